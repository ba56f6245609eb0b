"""Noise as sensors have it: more parts than shot and read noise, and cameras that state theirs.

    parameters    the parts of the noise of a batch of images, and the variance that they add up to
    sampling      drawing that noise, on any device
    tukey         the distribution of heavy-tailed read noise
    camera_files  the YAML file of a camera's noise: its keys, ranges and units
    cameras       a camera's noise model: ISO settings, what lies between them, draws
    names         the noise that a user names: a profile, variances, or a camera's file

Shot and read noise alone are in `utils/raw/noise.py`.
"""
