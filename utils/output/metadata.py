"""What belongs to a photo besides its pixels, on the way from its file into results."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PhotoMetadata:
    """The metadata of a photo's file; None for those that it lacks.

    Attributes:
        exif: TIFF structure without the `Exif` prefix; its orientation is upright.
        icc_profile: the colour profile, as in the file.
        color_chunks: kinds and contents of a PNG's other chunks about colours: cICP, sRGB, gAMA,
            cHRM, mDCV and cLLI (utils/color/png_colors.py).
    """

    exif: bytes | None = None
    icc_profile: bytes | None = None
    color_chunks: tuple[tuple[bytes, bytes], ...] = ()
