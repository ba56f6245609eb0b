"""Dark frames: what a sensor writes without light.

dark_noise     all of it for one colour in one group of frames
components     pixel, row, column and fixed parts of the variance
latent         the same parts where black is clipped or the steps are coarse
tails          the shape of read noise: families of distributions and their fit
distributions  their probabilities on a grid, rounded, summed and subtracted
defects        hot photosites
"""
