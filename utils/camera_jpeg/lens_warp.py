"""The places of a mosaic's pixels in the JPEG that the camera has made of it.

Between the two lie a crop, a scale, a turn of the picture, and the correction of the lens. The warp
is a sum of what can be seen as such:

    place in the JPEG = base(p + d(p))

`base` is a crop in one of the eight orientations, and a scale. `d` is a small displacement of the
mosaic's pixel p: an affine part, and the radial and tangential terms of the Brown-Conrady model
(Brown, Photogrammetric Engineering 1966), with which lenses are calibrated. All terms are linear in
their coefficients.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]  # (..., 2), x before y

# How many of the terms each model has: what is simple is preferred (see `LensWarp.fitted`).
MODELS = {"shift": 2, "affine": 6, "lens": 10}
_POINTS_A_TERM = 1.5  # the least; a point has two coordinates
_SOFT = 0.25  # pixels: errors beyond count less and less
_SIMPLER, _MARGIN = 1.15, 0.03  # a simpler model may miss by this factor more, and by these pixels
_QUANTILES = (0.5, 0.9)


@dataclass(frozen=True)
class LensWarp:
    """A smooth warp from places of one picture (H, W) to places of another.

    Pixels have their centres at whole numbers.

    Attributes:
        base: (2, 3) matrix, applied to (x, y, 1) after the displacement.
        size: H and W of the first picture.
        terms: coefficients of the displacement in pixels, of one of MODELS' lengths; others are 0.
    """

    base: NDArray[np.float64]
    size: tuple[int, int]
    terms: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))

    def __call__(self, points: Points) -> Points:
        """Returns the places (..., 2) in the other picture of places (..., 2) in the first."""
        return self._based(points + self.displacement(points))

    def displacement(self, points: Points) -> Points:
        """Returns d(p) in pixels of the first picture, for places (..., 2)."""
        terms = np.zeros(max(MODELS.values()))
        terms[: len(self.terms)] = self.terms
        if not terms[2:].any():
            return np.broadcast_to(terms[:2], points.shape)
        x, y = self._normalized(points)  # written out, since a table of all terms would fill the memory
        square = x * x + y * y
        radial, both = (terms[6] + terms[7] * square) * square, 2 * x * y
        right = terms[0] + (terms[2] + radial) * x + terms[3] * y + terms[8] * (square + 2 * x * x) + terms[9] * both
        down = terms[1] + terms[4] * x + (terms[5] + radial) * y + terms[8] * both + terms[9] * (square + 2 * y * y)
        return np.stack([right, down], axis=-1)

    def displacement_to(self, targets: Points, points: Points) -> Points:
        """Returns the displacements (..., 2) that take places to places in the other picture."""
        inverse = np.linalg.inv(self.base[:, :2])
        return (targets - self.base[:, 2]) @ inverse.T - points

    @property
    def scale(self) -> float:
        """Returns how many pixels of the other picture a pixel in the first one's centre takes."""
        height, width = self.size
        centre = np.array([(width - 1) / 2, (height - 1) / 2])
        corners = self(centre + np.array([[-8.0, 0], [8, 0], [0, -8], [0, 8]]))
        sides = np.stack([corners[1] - corners[0], corners[3] - corners[2]]) / 16
        return float(np.sqrt(abs(np.linalg.det(sides))))

    @property
    def whole_crop(self) -> "LensWarp | None":
        """Returns the warp as a crop that needs no interpolation; None if it is more than that."""
        matrix = self.base[:, :2]
        if len(self.terms) > MODELS["shift"] or not np.array_equal(matrix, np.rint(matrix)):
            return None
        shift = self.base[:, 2] + matrix @ self.terms
        if np.abs(shift - np.rint(shift)).max() > _WHOLE:
            return None
        return LensWarp(np.column_stack([matrix, np.rint(shift)]), self.size)

    def fitted(self, points: Points, targets: Points) -> "LensWarp":
        """Returns the warp that takes points to targets, with the same base.

        The simplest model is taken that misses the points by hardly more than the richest one that
        their number allows, so that it can be trusted where there are no points.

        Args:
            points: (N, 2) places in the first picture.
            targets: (N, 2) places in the other picture. Some of them may be wrong.
        """
        wanted = self.displacement_to(targets, points)
        found: list[tuple[LensWarp, NDArray[np.float64]]] = []
        for count in MODELS.values():
            if len(points) >= _POINTS_A_TERM * count or not found:
                warp = replace(self, terms=self._fit(points, wanted, count))
                misses = np.linalg.norm(warp.displacement(points) - wanted, axis=-1)
                found.append((warp, np.quantile(misses, _QUANTILES)))
        best = np.min([misses for _, misses in found], axis=0)
        good = [warp for warp, misses in found if (misses <= _SIMPLER * best + _MARGIN).all()]
        return good[0] if good else found[-1][0]

    def scaled(self, factor: float) -> "LensWarp":
        """Returns the same warp between the two pictures, both resized by a factor."""
        height, width = self.size
        matrix, shift = self.base[:, :2], self.base[:, 2]
        # A place x becomes (x + 1/2) * factor - 1/2.
        moved = (shift + 0.5 - matrix @ [0.5, 0.5]) * factor - 0.5 + matrix @ [0.5, 0.5]
        size = max(1, round(height * factor)), max(1, round(width * factor))
        return LensWarp(np.column_stack([matrix, moved]), size, self.terms * factor)

    def _based(self, points: Points) -> Points:
        return points @ self.base[:, :2].T + self.base[:, 2]

    def _normalized(self, points: Points) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Returns x and y from the centre of the picture, in units of half its diagonal."""
        height, width = self.size
        radius = np.hypot(width, height) / 2
        return (points[..., 0] - (width - 1) / 2) / radius, (points[..., 1] - (height - 1) / 2) / radius

    def _basis(self, points: Points, count: int) -> NDArray[np.float64]:
        """Returns the first terms (..., 2, count) at places. Each is about 1 at most."""
        x, y = self._normalized(points)
        zero, one, square = np.zeros_like(x), np.ones_like(x), x * x + y * y
        terms = [
            (one, zero), (zero, one),
            (x, zero), (y, zero), (zero, x), (zero, y),
            (x * square, y * square), (x * square**2, y * square**2),
            (square + 2 * x * x, 2 * x * y), (2 * x * y, square + 2 * y * y),
        ]  # fmt: skip
        return np.stack([np.stack(term, axis=-1) for term in terms[:count]], axis=-1)

    def _fit(self, points: Points, wanted: Points, count: int) -> NDArray[np.float64]:
        from scipy.optimize import least_squares  # here, since SciPy takes a while

        basis = self._basis(points, count).reshape(-1, count)
        start = np.zeros(count)
        start[:2] = np.median(wanted, axis=0)
        result = least_squares(
            lambda terms: basis @ terms - wanted.ravel(),
            start,
            jac=lambda _: basis.copy(),  # which old versions of SciPy, as 1.12, change in place
            loss="cauchy",
            f_scale=_SOFT,
        )
        return np.asarray(result.x)


_WHOLE = 0.25  # pixels: a crop that is this near to whole pixels is one of whole pixels


def base_of(similarity: NDArray, size: tuple[int, int], same_scale: float = 0.02) -> LensWarp:
    """Returns a warp whose base is the nearest quarter turn and mirror of a similarity.

    What is left of the turn becomes a displacement. A scale that is nearly 1 becomes 1, so that a
    crop of the same scale is whole pixels.

    Args:
        similarity: (2, 3) turn, mirror, scale and shift, from places of a picture to places of
            another.
        size: H and W of the first picture.
        same_scale: how far from 1 the scale of a mere crop may be.
    """
    matrix = np.asarray(similarity[:, :2], np.float64)
    scale = float(np.sqrt(abs(np.linalg.det(matrix))))
    turned = np.zeros((2, 2))
    first = int(np.argmax(np.abs(matrix[0])))
    turned[0, first], turned[1, 1 - first] = np.sign(matrix[0, first]), np.sign(matrix[1, 1 - first])
    base = turned * (1.0 if abs(scale - 1) < same_scale else scale)
    centre = np.array([(size[1] - 1) / 2, (size[0] - 1) / 2])
    shift = matrix @ centre + similarity[:, 2] - base @ centre
    if abs(scale - 1) < same_scale:
        shift = np.rint(shift)
    return LensWarp(np.column_stack([base, shift]), size)
