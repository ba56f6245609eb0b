"""The ranges of a sensor's noise parameters, which recipes and cameras' files must keep to."""

HEAVIEST, LIGHTEST = -0.3, 1.0  # shapes of Tukey's lambda; 1 is uniform, and below -0.5 there is no variance
FINEST = 24  # bits of quantisation, which float32 has
