"""The names of the formats of pictures, apart from what encodes them: help texts list them."""

# The suffixes of their files; results get the first.
SUFFIXES = {"png": (".png",), "tiff": (".tif", ".tiff"), "jpeg": (".jpg", ".jpeg")}
FORMATS = tuple(SUFFIXES)
QUALITY = 95  # of a JPEG
