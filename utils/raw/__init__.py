"""The sensor's side: Bayer mosaics, noise, camera files.

bayer                   Bayer CFA patterns, packed RAW and back
noise, noise_estimate   noise profiles, shot and read noise, and their estimate from one picture
file_noise              the noise of a camera file, stated or estimated
picture_noise/          how that estimate is made, and from several pictures
hot_pixels              hot and dead photosites, found or listed, and repaired
variance_stabilization  the transform that gives noise of any level the same strength
camera_files            one frame of a camera file, as its sensor recorded it
libraw_files            opening such files
camera_metadata         what they state, checked before it is used
capture_time            when they were taken
dng/                    DNG files, read and written
"""
