"""Pictures inside of a page: small ones to look at, and cuts that show every pixel."""

import base64
import io
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from cycleisp.utils.color import colorimetry
from cycleisp.utils.output.report.page import escaped

SIDE = 264  # pixels of a small picture; four of them fit into a line
CUT = 88  # pixels of a cut, each of which is shown three times as wide
_ZOOM = SIDE // CUT
_QUALITY = 85  # of JPEG
_STRIDE = 4  # where the pictures differ most is looked for in every fourth row and column


def small_picture(caption: str, picture: NDArray) -> str:
    """Returns a figure with a picture, scaled down to SIDE pixels.

    Args:
        caption: what it shows.
        picture: (H, W, 3) uint8 or uint16, sRGB.
    """
    return _figure(caption, fitted(picture, SIDE), "JPEG")


def pixels(caption: str, picture: NDArray) -> str:
    """Returns a figure with a small piece of a picture, every pixel of which can be seen.

    Args:
        caption: what it shows.
        picture: (H, W, 3) uint8 or uint16, sRGB; at most CUT pixels a side are shown.
    """
    return _figure(caption, _eight_bits(picture[:CUT, :CUT]), "PNG", _ZOOM)


def row(figures: Iterable[str]) -> str:
    """Returns figures beside each other."""
    return f'<div class="row">{"".join(figures)}</div>'


def fitted(picture: NDArray, side: int) -> NDArray[np.uint8]:
    """Returns a picture (H, W, 3) in 8 bits, scaled down to at most `side` pixels a side."""
    height, width = picture.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    shown = _eight_bits(picture)
    if scale == 1:
        return shown
    return np.asarray(Image.fromarray(np.ascontiguousarray(shown)).resize(size, Image.Resampling.BOX))


def of_planes(
    planes: NDArray[np.float32], white_balance: ArrayLike, cam2rgb: ArrayLike | None = None, gain: float = 1.0
) -> NDArray[np.uint8]:
    """Renders packed RAW for the eye: white balance, colours, curve; a pixel for each Bayer tile.

    Args:
        planes: (4, H, W) R, G_r, G_b, B, linear in [0, 1].
        white_balance: (3,) gains of R, G and B.
        cam2rgb: (3, 3) white-balanced camera colours to linear sRGB; None keeps camera colours.
        gain: of all colours, as from `gain_for_eyes`.

    Returns:
        (H, W, 3) sRGB.
    """
    red, green_r, green_b, blue = planes
    gains = np.asarray(white_balance, dtype=np.float32)
    rgb = np.stack([red, (green_r + green_b) / 2, blue], axis=-1) * (gain * gains / gains.min())
    linear = np.clip(rgb, 0, 1)
    if cam2rgb is not None:
        linear = np.clip(colorimetry.apply_matrix(linear, np.asarray(cam2rgb)), 0, 1)
    return np.round(255 * colorimetry.srgb_encode(linear)).astype(np.uint8)


def gain_for_eyes(planes: NDArray[np.float32]) -> float:
    """Returns the gain, at least 1, that makes 99 % of packed RAW as bright as can be."""
    brightest = float(np.percentile(planes[:, ::_STRIDE, ::_STRIDE], 99))
    return 1 / min(1.0, max(brightest, 1e-3))


def before_and_after(
    name: str, pictures: tuple[NDArray, NDArray], cuts: tuple[NDArray, NDArray], words: str = ""
) -> str:
    """Returns a row: a picture before and after, and a cut of both.

    Args:
        name: of the file.
        pictures: (H, W, 3) each, uint8 or uint16.
        cuts: pieces of them, of CUT pixels a side, as `most_changed` finds them.
        words: what else to say of the file.
    """
    figures = [
        small_picture(f"{name}{f', {words}' if words else ''}", pictures[0]),
        small_picture("denoised", pictures[1]),
    ]
    return row([*figures, pixels("where they differ most: before", cuts[0]), pixels("and after", cuts[1])])


def most_changed(first: NDArray, second: NDArray, side: int = CUT) -> tuple[slice, slice]:
    """Returns the square in which two pictures differ most, in the mean of absolute differences.

    Args:
        first, second: (H, W, C) of one type.
        side: of the square, in pixels; smaller pictures are taken whole.

    Returns:
        Its rows and columns, which begin at even numbers.
    """
    difference = np.abs(first[::_STRIDE, ::_STRIDE].astype(np.float32) - second[::_STRIDE, ::_STRIDE]).mean(axis=2)
    reach = tuple(min(max(1, side // _STRIDE), length) for length in difference.shape)
    sums = np.pad(difference.astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    down, across = reach
    means = sums[down:, across:] - sums[:-down, across:] - sums[down:, :-across] + sums[:-down, :-across]
    corner = np.unravel_index(int(np.argmax(means)), means.shape)
    starts = (
        max(0, min(int(place) * _STRIDE, length - side)) // 2 * 2
        for place, length in zip(corner, first.shape[:2], strict=True)
    )
    rows, columns = (slice(start, start + side) for start in starts)
    return rows, columns


def _figure(caption: str, picture: NDArray[np.uint8], format: str, zoom: int = 1) -> str:
    content = io.BytesIO()
    options = {"quality": _QUALITY, "subsampling": 0} if format == "JPEG" else {"optimize": True}
    Image.fromarray(np.ascontiguousarray(picture)).save(content, format, **options)
    height, width = picture.shape[:2]
    words, kind = escaped(caption), ' class="pixels"' if zoom > 1 else ""
    data = base64.b64encode(content.getvalue()).decode("ascii")
    return (
        f'<figure><img{kind} width="{zoom * width}" height="{zoom * height}" alt="{words}" '
        f'src="data:image/{format.lower()};base64,{data}"><figcaption>{words}</figcaption></figure>'
    )


def _eight_bits(picture: NDArray) -> NDArray[np.uint8]:
    return (picture >> 8).astype(np.uint8) if picture.dtype == np.uint16 else picture
