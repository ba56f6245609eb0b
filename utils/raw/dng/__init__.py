"""DNG files: the tags of camera files, and denoised RAW that develops as the original does.

tags           the tags of TIFF-like camera files
source         everything of a camera file that its denoised DNG needs
kept           which tags go from the one to the other
opcodes        corrections that the file asks of its developer
writer         the denoised DNG
tiff_writer    the container around it
lossless_jpeg  the compression inside it
"""
