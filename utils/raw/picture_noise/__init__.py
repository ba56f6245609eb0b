"""The noise of RAW, told from ordinary pictures, without calibration frames.

    blocks    small blocks of a plane: their brightness, and how much they vary at several scales
    clipping  what a sensor's range does to noise: where it cuts, and what it leaves
    levels    the variance of the noise at each level of brightness, with texture taken out
    line      shot and read noise from these levels
    mixture   the levels' residuals, of which some have texture on top
    rows      noise that the photosites of a row share
    estimate  all of it: the noise of one picture, or of several pictures of one ISO setting

Frames that were taken for the purpose tell more, and more exactly: `utils/raw/calibration/`.
"""
