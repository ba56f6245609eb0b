"""A camera's noise from calibration frames: estimators on arrays, each with its standard error.

Frames of one ISO setting go in, all that can be said about the noise comes out:

    frames           a frame: its mosaic, and how it was taken
    strips           walks through frames, so that memory does not grow with them
    estimate         a value and its standard error
    grouping         which frames belong together, and what is missing
    levels           which digital numbers occur: rounding step, clipped black, saturation
    dark             dark frames: parts of the noise, tails, hot photosites
    dead             flat frames: photosites that see no light
    scene_noise      flat frames and bursts: variance and brightness of every block
    photon_transfer  the gain: the line of variance against brightness
    setting          all of it for the frames of one ISO setting
    unit_scale       the result on the scale from black, 0, to white, 1
    interpolation    what lies between ISO settings
    camera_yaml      the file of the camera's noise

A value is in digital numbers (DN), a noise is a variance in DN^2, and `Estimate.sigma` turns it
into a deviation.
"""
