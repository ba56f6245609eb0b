"""Finds where the pixels of a mosaic lie in the camera's JPEG, and checks the result.

1. SIFT features, matched between both pictures at a reduced size, give turn, mirror, scale and
   crop; a robust fit to them begins with the correction of the lens.
2. The JPEG is looked up at these places. The shifts that small tiles still have against the
   mosaic's picture correct the warp, first at the reduced size and then at full size.
3. A last measurement of all tiles checks it.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.camera_jpeg.lens_warp import LensWarp, base_of
from cycleisp.utils.camera_jpeg.tile_shifts import TileShifts, tile_shifts
from cycleisp.utils.color.alignment import match_features

_COARSE = 800  # pixels of the longer side at which features are matched
_LEAST_SIDE = 96  # pixels; smaller pictures have too little to compare
_LOOSE = 0.03  # of the longer side: what lenses and turns may move features against a similarity
_FEWEST_FEATURES = 12
_FEWEST_TILES = 8
_FEW_LOST, _LEAST_FOUND = 3, 0.3  # of the tiles with detail in a ninth of the picture
_MOST_FEATURES = 1500
_SMOOTHING = 1.0  # pixels: sigma, against noise and against what demosaicking invents
_SIDES, _REACHES = (32, 64, 96), (12, 6, 4)  # of tiles, in pixels: the first that fits often enough
_ACROSS = 16  # tiles along the longer side
_ROUNDS = 2  # at the reduced size
_TYPICAL, _LARGE = 0.4, 1.0  # pixels: what half and nine tenths of the tiles may be apart in the end
_LARGE_SHARE = 0.9
STRIP = 1 << 20  # pixels that are looked up at a time

Grey = NDArray[np.uint8]


class RegistrationError(Exception):
    """Two pictures that do not fit together. The message says why, without their names."""


@dataclass(frozen=True)
class Registration:
    """Where the pixels of a picture lie in another one, and how well that is known.

    Attributes:
        warp: from places of the first picture to places of the other.
        typical_error: median distance that is left between tiles, in pixels of the first picture.
        large_error: the distance that a tenth of the tiles exceeds.
        tiles: how many tiles were compared.
    """

    warp: LensWarp
    typical_error: float
    large_error: float
    tiles: int


def register(reference: NDArray[np.uint8], view: NDArray[np.uint8]) -> Registration:
    """Finds the smooth warp that lays a view onto a reference.

    The two may differ in orientation, crop, scale, tone curve, contrast and sharpness.

    Args:
        reference: (H, W) grey.
        view: (H', W') grey.

    Raises:
        RegistrationError: the pictures are too small, show different things, have too little
            detail, or do not fit together to a fraction of a pixel.
    """
    if min(*reference.shape, *view.shape) < _LEAST_SIDE:
        raise RegistrationError(f"cannot be aligned: it or its RAW has fewer than {_LEAST_SIDE} pixels a side")
    # Equal histograms make the tone curves equal, whatever they were.
    even, curve = np.asarray(cv2.equalizeHist(reference), np.uint8), _equalizing_curve(view)
    factor = -(-max(*reference.shape, *view.shape) // _COARSE)
    small, small_view = _reduced(even, factor), _reduced(view, factor)
    warp = _by_features(small, curve[small_view])
    for _ in range(_ROUNDS):
        warp = _improved(warp, small, small_view, curve)
    if factor > 1:
        warp = warp.scaled(factor)
        warp = _snapped(LensWarp(warp.base, reference.shape, warp.terms))
        warp = _improved(warp, even, view, curve)
    warp = _improved(warp, even, view, curve)
    warp = warp.whole_crop or warp
    return _checked(warp, _measured(warp, even, view, curve))


def _checked(warp: LensWarp, tiles: TileShifts) -> Registration:
    """Returns a warp with its errors, if the shifts that tiles still have are small."""
    if len(tiles.shifts) < _FEWEST_TILES:
        raise RegistrationError(_too_few(len(tiles.shifts), _FEWEST_TILES, "parts of the picture"))
    if part := _part_without_tiles(tiles, warp.size):
        raise RegistrationError(f"cannot be aligned: what it shows {part} is not what the RAW shows there")
    distances = np.linalg.norm(tiles.shifts, axis=1)
    typical, large = (float(np.quantile(distances, share)) for share in (0.5, _LARGE_SHARE))
    if typical > _TYPICAL or large > _LARGE:
        raise RegistrationError(
            f"cannot be aligned: half of its parts are {typical:.2f} pixels or more from their places, a "
            f"tenth {large:.2f}; at most {_TYPICAL} and {_LARGE} are useful"
        )
    return Registration(warp, typical, large, len(distances))


def _part_without_tiles(tiles: TileShifts, size: tuple[int, int]) -> str:
    """Returns the ninth of the picture in which detail was lost; "" where there is none."""
    cells = np.zeros((2, 3, 3), int)
    for kind, centres in enumerate((tiles.centres, tiles.lost)):
        columns, rows = (centres // (np.array(size[::-1]) / 3)).astype(int).T
        np.add.at(cells[kind], (rows, columns), 1)
    found, lost = cells
    bad = np.argwhere((lost >= _FEW_LOST) & (found < _LEAST_FOUND * (found + lost)))
    if not len(bad):
        return ""
    row, column = bad[0]
    return f"at the {('top', 'middle', 'bottom')[row]} {('left', 'centre', 'right')[column]}"


def look_up(picture: NDArray[np.uint8], warp: LensWarp, rows: slice, columns: slice) -> NDArray[np.uint8]:
    """Looks up a picture at the places of a window's pixels.

    A crop of whole pixels is copied. Otherwise values between pixels come from Lanczos' filter,
    which keeps a picture sharp.

    Args:
        picture: (H', W') or (H', W', 3).
        warp: from places of the window's picture to places of `picture`.
        rows, columns: the window; its start and stop are given.

    Returns:
        (H, W) or (H, W, 3) of the window's size. Places beyond the border take the values there.
    """
    method = cv2.INTER_LANCZOS4 if warp.whole_crop is None else cv2.INTER_NEAREST
    width = columns.stop - columns.start
    result = np.empty((rows.stop - rows.start, width, *picture.shape[2:]), np.uint8)
    step = max(1, STRIP // width)
    for top in range(rows.start, rows.stop, step):
        bottom = min(top + step, rows.stop)
        places = warp(grid(range(top, bottom), range(columns.start, columns.stop))).astype(np.float32)
        result[top - rows.start : bottom - rows.start] = cv2.remap(
            picture,
            places,
            None,
            method,
            borderMode=cv2.BORDER_REPLICATE,  # type: ignore[call-overload]
        )
    return result


def grid(rows: range, columns: range) -> NDArray[np.float64]:
    """Returns the places (H, W, 2), x before y, of some rows and columns."""
    return np.stack(np.meshgrid(np.array(columns), np.array(rows)), axis=-1).astype(np.float64)


def _by_features(reference: NDArray[np.uint8], view: NDArray[np.uint8]) -> LensWarp:
    """Returns a first warp, from features that both pictures have."""
    loose, best = _LOOSE * max(reference.shape), (0, _FEWEST_FEATURES)
    for mirrored in (False, True):
        here, there = match_features(
            reference, np.ascontiguousarray(view[:, ::-1]) if mirrored else view, _MOST_FEATURES
        )
        if len(here) < _FEWEST_FEATURES:
            continue
        cv2.setRNGSeed(0)
        matrix, inliers = cv2.estimateAffinePartial2D(here, there, method=cv2.RANSAC, ransacReprojThreshold=loose)
        agreeing = 0 if matrix is None else int(inliers.sum())
        needed = max(_FEWEST_FEATURES, len(here) // 4)
        best = max(best, (agreeing, needed))
        if agreeing < needed:
            continue
        chosen = inliers.ravel().astype(bool)
        here, there = here[chosen], there[chosen]
        if mirrored:
            last = view.shape[1] - 1
            there, matrix = (
                there * [-1, 1] + [last, 0],
                np.array([[-1, 0], [0, 1]]) @ matrix + [[0, 0, last], [0, 0, 0]],
            )
        return base_of(matrix, reference.shape).fitted(here, there)
    raise RegistrationError(_too_few(*best, "features"))


def _too_few(found: int, least: int, what: str) -> str:
    return (
        f"cannot be aligned: only {found} {what} agree with what the RAW shows, {least} or more are needed; it shows "
        "something else, or has too little detail"
    )


def _improved(warp: LensWarp, reference: Grey, view: Grey, curve: Grey) -> LensWarp:
    """Returns a warp without the shifts that tiles have; the same one if too few are found."""
    tiles = _measured(warp, reference, view, curve)
    if len(tiles.centres) < _FEWEST_TILES:
        return warp
    return warp.fitted(tiles.centres, warp(tiles.centres + tiles.shifts))


def _measured(warp: LensWarp, reference: Grey, view: Grey, curve: Grey) -> TileShifts:
    """Measures tiles against the view, which is looked up by the warp.

    Args:
        warp: the one to measure.
        reference: (H, W), with an equalized histogram.
        view: (H', W') as it is.
        curve: (256,) what equalizes the histogram of the view.
    """
    height, width = reference.shape
    brought = look_up(view, warp, slice(0, height), slice(0, width))
    smooth, other, plain = (
        np.asarray(cv2.GaussianBlur(picture.astype(np.float32), (0, 0), _SMOOTHING), np.float32)
        for picture in (reference, curve[brought], brought)
    )
    which = int(np.searchsorted((320, 1200), min(height, width)))
    tiles = tile_shifts(smooth, other, plain, _SIDES[which], _REACHES[which], _ACROSS)
    limits, room = np.array(view.shape[::-1]) - 1, _SIDES[which] / 2

    def shown(centres: NDArray[np.float64]) -> NDArray[np.bool_]:  # tiles that the view shows as a whole
        places = warp(centres)
        return np.asarray(((places >= room) & (places <= limits - room)).all(axis=-1))

    inside = shown(tiles.centres)
    return TileShifts(tiles.centres[inside], tiles.shifts[inside], tiles.lost[shown(tiles.lost)])


def _equalizing_curve(picture: Grey) -> Grey:
    """Returns the levels (256,) that OpenCV's equalization gives to those of a picture."""
    curve = np.zeros(256, np.uint8)
    curve[picture.ravel()] = cv2.equalizeHist(picture).ravel()
    present = np.flatnonzero(np.bincount(picture.ravel(), minlength=256))
    return np.interp(np.arange(256), present, curve[present]).astype(np.uint8)  # levels between those that occur


def _snapped(warp: LensWarp) -> LensWarp:
    """Returns the same warp, its base a crop of whole pixels where the scale is 1."""
    matrix = warp.base[:, :2]
    if not np.array_equal(matrix, np.rint(matrix)):
        return warp
    rest = warp.base[:, 2] - np.rint(warp.base[:, 2])
    terms = warp.terms.copy()
    terms[:2] += np.linalg.solve(matrix, rest)
    return LensWarp(np.column_stack([matrix, np.rint(warp.base[:, 2])]), warp.size, terms)


def _reduced(picture: Grey, factor: int) -> Grey:
    """Returns the means of squares; what is left at the right and at the bottom is cut off."""
    height, width = (side // factor for side in picture.shape)
    whole = picture[: height * factor, : width * factor]
    return np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
