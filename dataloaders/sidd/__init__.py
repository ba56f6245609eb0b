"""The Smartphone Image Denoising Dataset (SIDD), laid out as `dnd` is.

scenes      what is known of each scene: camera, Bayer pattern, noise level
files       SiddData: the files of the validation and benchmark sets, and their blocks
results     SiddResults: a folder of denoised blocks, scored or submitted
scores      means of the scores, printed and stored
submission  the two forms that the servers take
medium      SIDD-Medium, the training set: its RAW, and its clean frames as pairs {photo, RAW}
"""
