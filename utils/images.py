"""What an image is in this project: the space of its values, and its layout in memory."""

from typing import Literal

Space = Literal["raw", "srgb"]  # packed RAW, linear; or display-encoded sRGB
