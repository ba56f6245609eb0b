"""Photos as users have them: finding them, and reading them without being fooled."""

import io
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from cycleisp.utils.errors import UserError
from cycleisp.utils.output.png import PhotoMetadata
from cycleisp.utils.raw.camera_files import RAW_SUFFIXES

# Tags of a TIFF that describe the picture; the others describe how the file lays it out.
ABOUT_THE_PICTURE = frozenset(
    (
        ExifTags.Base.ImageDescription,
        ExifTags.Base.Make,
        ExifTags.Base.Model,
        ExifTags.Base.XResolution,
        ExifTags.Base.YResolution,
        ExifTags.Base.ResolutionUnit,
        ExifTags.Base.Software,
        ExifTags.Base.DateTime,
        ExifTags.Base.Artist,
        ExifTags.Base.Copyright,
        ExifTags.Base.ExifOffset,
        ExifTags.Base.GPSInfo,
    )
)
PHOTO_SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"))


class PhotoError(UserError):
    """A photo that cannot be used; the message says which, why, and what to do."""


@dataclass(frozen=True)
class Source:
    """One input file: where it is, and the `name` (relative path without suffix) that its results bear."""

    path: Path
    name: str

    @property
    def is_raw(self) -> bool:
        return self.path.suffix.lower() in RAW_SUFFIXES


def find_sources(inputs: Iterable[Path | str], raw: bool = True, exclude: Path | None = None) -> list[Source]:
    """List photos, and camera RAW files if `raw`, among files and, recursively, folders; sorted by name.

    A file inside a folder is named by its path below that folder. Where two would bear one name, the later one gets a
    number: `a/1.jpg`, `b/1.jpg` given as two folders become `1` and `1-2`. What lies in the folder `exclude` is left
    out: an output inside the input is no input.

    Raises:
        PhotoError: an input does not exist, or a folder holds no photo.
    """
    suffixes = PHOTO_SUFFIXES | (RAW_SUFFIXES if raw else frozenset())
    found: list[tuple[str, Path]] = []
    for item in map(Path, inputs):
        if item.is_dir():
            files = [file for file in sorted(item.rglob("*")) if file.suffix.lower() in suffixes and file.is_file()]
            if exclude is not None:
                files = [file for file in files if not file.resolve().is_relative_to(exclude.resolve())]
            if not files:
                raise PhotoError(f"{item}: no photo in this folder; looked for {' '.join(sorted(suffixes))}")
            found += [(file.relative_to(item).with_suffix("").as_posix(), file) for file in files]
        elif item.exists():
            found.append((item.stem, item))
        else:
            raise PhotoError(f"{item}: no such file or folder")
    sources: list[Source] = []
    taken: set[str] = set()
    for name, path in sorted(found, key=lambda pair: (pair[0], pair[1].as_posix())):
        unique, number = name, 1
        while unique in taken:
            number += 1
            unique = f"{name}-{number}"
        taken.add(unique)
        sources.append(Source(path, unique))
    return sources


def read_photo(path: Path | str) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Read an 8 or 16 bit sRGB photo, upright, as (H, W, 3); grey photos get three equal channels.

    Raises:
        PhotoError: unreadable, empty, truncated or 1-pixel file; alpha channel, CMYK or another colour space than RGB
            and grey; floating point.
    """
    return decode_photo(_content(Path(path)), Path(path))


def read_photo_and_metadata(path: Path) -> tuple[NDArray[np.uint8] | NDArray[np.uint16], PhotoMetadata]:
    """As `read_photo`, and what the file says besides the pixels."""
    content = _content(path)
    return decode_photo(content, path), photo_metadata(content)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PhotoError(f"{path}: cannot be read ({error.strerror})") from None


def decode_photo(content: bytes, path: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """As `read_photo`, from bytes already read; `path` is for messages."""
    if not content:
        raise PhotoError(f"{path}: the file is empty; get it again or remove it")
    try:
        with Image.open(io.BytesIO(content)) as image:
            _check_mode(image, path)
            image.load()  # truncated files fail here, OpenCV would fill them with grey
            deep = _is_deep(image, content)
            photo = None if deep else np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except UnidentifiedImageError:
        if _is_float_tiff(content):
            raise PhotoError(f"{path}: holds floating point values; save it as 8 or 16 bit sRGB") from None
        raise PhotoError(f"{path}: not a JPEG, PNG, WebP or TIFF, or damaged; get it again or remove it") from None
    except Image.DecompressionBombError:
        raise PhotoError(f"{path}: more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels; cut it into parts") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise PhotoError(f"{path}: damaged image ({error}); get it again or remove it") from None
    if photo is None:
        photo = _decode_deep(content, path)
    if min(photo.shape[:2]) < 2:
        raise PhotoError(
            f"{path}: {photo.shape[1]}x{photo.shape[0]} pixels; a Bayer tile needs at least 2x2; remove it"
        )
    return photo


def _check_mode(image: Image.Image, path: Path) -> None:
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        raise PhotoError(f"{path}: has an alpha channel; flatten it onto a background first")
    if image.mode == "CMYK":
        raise PhotoError(f"{path}: is CMYK; convert it to sRGB first")
    if image.mode == "F":
        raise PhotoError(f"{path}: holds floating point values; save it as 8 or 16 bit sRGB")
    if image.mode not in ("RGB", "L", "P", "1", "I", "I;16", "I;16B", "I;16L", "YCbCr"):
        raise PhotoError(f"{path}: colour mode {image.mode} is none of RGB and grey; convert it to sRGB first")


def _is_deep(image: Image.Image, content: bytes) -> bool:
    """Whether the file holds 16 bits a channel; Pillow would decode 16 bit RGB to 8."""
    if image.mode.startswith("I"):
        return True
    if image.format == "TIFF":
        return max(image.tag_v2.get(258, (8,))) == 16  # type: ignore[attr-defined]  # BitsPerSample
    if image.format == "PNG":
        return content[24] == 16  # after signature, IHDR's length and type, width and height
    return False


def _is_float_tiff(content: bytes) -> bool:
    """Whether this is a TIFF of floating point colours, which Pillow does not know."""
    try:
        with tifffile.TiffFile(io.BytesIO(content)) as tiff:
            return tiff.pages[0].dtype is not None and tiff.pages[0].dtype.kind == "f"
    except Exception:  # damaged bytes can make a parser stumble anywhere
        return False


def _decode_deep(content: bytes, path: Path) -> NDArray[np.uint16]:
    white_is_zero = False
    try:
        if content[:4] in (b"II*\0", b"MM\0*"):
            with tifffile.TiffFile(io.BytesIO(content)) as tiff:
                page = tiff.pages[0]
                separate_planes = page.tags.get("PlanarConfiguration", None)  # type: ignore[union-attr]
                white_is_zero = page.photometric == 0  # type: ignore[union-attr]
                if separate_planes is not None and separate_planes.value == 2:  # OpenCV mixes such planes up
                    turn = page.tags.get("Orientation", None)  # type: ignore[union-attr]
                    return _upright(np.moveaxis(page.asarray(), 0, -1).astype(np.uint16), turn.value if turn else 1)
        decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR)
    except Exception as error:  # damaged bytes can make a parser stumble anywhere
        raise PhotoError(f"{path}: damaged image ({error}); get it again or remove it") from None
    if decoded is None or decoded.dtype != np.uint16:
        raise PhotoError(f"{path}: cannot be decoded as a 16 bit image; save it as 8 or 16 bit sRGB")
    photo = np.ascontiguousarray(decoded[..., ::-1]).astype(np.uint16)
    return 65535 - photo if white_is_zero else photo


def _upright(stored: NDArray[np.uint16], orientation: int) -> NDArray[np.uint16]:
    """Undo an EXIF orientation, 1 to 8, of (H, W, 3), as OpenCV and Pillow do by themselves."""
    photo = stored.swapaxes(0, 1) if orientation >= 5 else stored
    rows, columns = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}.get(orientation, (1, 1))
    return np.ascontiguousarray(photo[::rows, ::columns])


def photo_metadata(content: bytes) -> PhotoMetadata:
    """EXIF, with the orientation set upright as `decode_photo` turns the pixels, and colour profile of a photo's bytes.

    Damaged metadata count as none: they are no reason to refuse the picture.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            profile = image.info.get("icc_profile")
            if profile is not None and profile[16:20] != b"RGB ":  # of grey, for one, whose pixels become RGB
                profile = None
            exif = image.getexif()
            for tag in list(exif):
                if tag == ExifTags.Base.Orientation or (image.format == "TIFF" and tag not in ABOUT_THE_PICTURE):
                    del exif[tag]
            return PhotoMetadata(exif.tobytes().removeprefix(b"Exif\0\0") if exif else None, profile)
    except Exception:  # damaged bytes can make a parser stumble anywhere
        return PhotoMetadata()


def as_float(photo: NDArray) -> NDArray[np.float32]:
    """uint8 or uint16 photo -> float32 in [0, 1]."""
    return photo.astype(np.float32) / np.float32(np.iinfo(photo.dtype).max)


class PhotoStore:
    """Photos of a training set, read when needed and kept in memory up to a limit.

    Args:
        inputs: files and folders, as `find_sources` takes them.
        cache_bytes: decoded photos to keep, in bytes, in each process.

    Raises:
        PhotoError: as `find_sources`; on `draw`, as `read_photo`.
    """

    def __init__(self, inputs: Sequence[Path | str], cache_bytes: int = 512 << 20) -> None:
        self.sources = find_sources(inputs, raw=False)
        self._cache: OrderedDict[int, NDArray] = OrderedDict()
        self._cache_bytes = cache_bytes

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: int) -> NDArray:
        if index in self._cache:
            self._cache.move_to_end(index)
            return self._cache[index]
        photo = read_photo(self.sources[index].path)
        self._cache[index] = photo
        while len(self._cache) > 1 and sum(kept.nbytes for kept in self._cache.values()) > self._cache_bytes:
            self._cache.popitem(last=False)
        return photo

    def draw(self, rng: np.random.Generator, size: int) -> NDArray[np.float32]:
        """A random square of a random photo, (size, size, 3) in [0, 1]; photos too small for it are enlarged."""
        photo = self[int(rng.integers(len(self)))]
        height, width = photo.shape[:2]
        if min(height, width) < size:
            scale = size / min(height, width)
            larger = (max(size, round(width * scale)), max(size, round(height * scale)))
            photo = cv2.resize(photo, larger, interpolation=cv2.INTER_LINEAR)
            height, width = photo.shape[:2]
        top, left = (int(rng.integers(side - size + 1)) for side in (height, width))
        return as_float(photo[top : top + size, left : left + size])
