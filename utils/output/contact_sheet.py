"""A contact sheet: rows of captioned pictures on one page."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from cycleisp.utils.images import to_8bit
from cycleisp.utils.words import printable

MARGIN, CAPTION = 8, 20  # pixels
INK, PAPER = (20, 20, 20), (255, 255, 255)


def contact_sheet(rows: Sequence[Sequence[tuple[str, NDArray]]], cell: int = 300) -> NDArray[np.uint8]:
    """Lays out rows of captioned pictures on one page.

    Args:
        rows: of (caption, picture); pictures are (H, W, 3), uint8 or uint16. What a caption holds
            besides letters is shown escaped, since names of files can hold anything.
        cell: largest side of a picture in pixels; larger pictures are scaled down.

    Returns:
        (H, W, 3)

    Raises:
        ValueError: no picture at all.
    """
    tiles = [[(caption, _fit(picture, cell)) for caption, picture in row] for row in rows if row]
    if not tiles:
        raise ValueError("a contact sheet needs at least one picture")
    columns = max(map(len, tiles))
    heights = [max(picture.shape[0] for _, picture in row) + CAPTION + MARGIN for row in tiles]
    sheet = Image.new("RGB", (MARGIN + columns * (cell + MARGIN), MARGIN + sum(heights)), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=13)
    top = MARGIN
    for row, height in zip(tiles, heights, strict=True):
        for column, (caption, picture) in enumerate(row):
            left = MARGIN + column * (cell + MARGIN)
            draw.text((left, top), printable(caption), fill=INK, font=font)
            sheet.paste(Image.fromarray(picture), (left, top + CAPTION))
        top += height
    return np.asarray(sheet)


def difference_picture(first: NDArray, second: NDArray, gain: float = 4.0) -> NDArray[np.uint8]:
    """Returns `gain` * (second - first) around middle grey.

    Both pictures are (H, W, 3) of one integer type.
    """
    scale = np.iinfo(first.dtype).max
    difference = (second.astype(np.float32) - first.astype(np.float32)) / scale
    return to_8bit(0.5 + gain * difference)


def _fit(picture: NDArray, cell: int) -> NDArray[np.uint8]:
    if picture.dtype == np.uint16:
        picture = (picture >> 8).astype(np.uint8)
    height, width = picture.shape[:2]
    scale = min(1.0, cell / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
