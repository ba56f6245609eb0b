"""The format in which a script writes its pictures: PNG, TIFF or JPEG."""

from dataclasses import dataclass, replace
from pathlib import Path

from numpy.typing import NDArray

from cycleisp.utils.errors import UserError
from cycleisp.utils.output.encoders import encode_photo
from cycleisp.utils.output.exif_size import with_size
from cycleisp.utils.output.formats import FORMATS, QUALITY, SUFFIXES
from cycleisp.utils.output.metadata import PhotoMetadata


@dataclass(frozen=True)
class PictureFormat:
    """A format and its quality.

    Attributes:
        name: `png` or `tiff`, which are lossless, or `jpeg`, which has 8 bits.
        quality: of JPEG, 1 to 100; None takes 95. The other formats have none.

    Raises:
        UserError: an unknown format, or a quality that makes no sense. Messages name the options
            of the scripts.
    """

    name: str = "png"
    quality: int | None = None

    def __post_init__(self) -> None:
        if self.name not in SUFFIXES:
            raise UserError(f"--format {self.name}: expected {', '.join(FORMATS)}")
        if self.quality is not None and self.name != "jpeg":
            raise UserError(f"--quality {self.quality}: is for --format jpeg; {self.name} is lossless")
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise UserError(f"--quality {self.quality}: expected 1 to 100")

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Returns the suffixes of such files."""
        return SUFFIXES[self.name]

    @property
    def suffix(self) -> str:
        """Returns the suffix of results."""
        return self.suffixes[0]

    def to_json(self) -> dict[str, object]:
        """Returns what results depend on, for their record."""
        return {"format": self.name} | ({"quality": self.quality or QUALITY} if self.name == "jpeg" else {})

    def encode(self, photo: NDArray, metadata: PhotoMetadata | None = None, source: Path | None = None) -> bytes:
        """Returns the bytes of a file with an RGB photo (H, W, 3), uint8 or uint16.

        EXIF data that state a size state that of the photo: it may be a piece, or have been turned.
        Warnings name `source`, the file that the photo stems from.

        Raises:
            ValueError: it is too large for the format.
            OSError: it cannot be encoded.
        """
        if metadata is not None and metadata.exif is not None:
            metadata = replace(metadata, exif=with_size(metadata.exif, photo.shape[1], photo.shape[0]))
        return encode_photo(photo, metadata, self.name, self.quality or QUALITY, source)


PNG = PictureFormat()
