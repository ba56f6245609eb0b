"""Lookup tables of colours: fitted to pairs of colours, applied to photos, written as .cube files.

The fit is a smoothing spline on a grid over the colour cube: between and beyond the colours that it
was given, it bends as little as possible.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from scipy import fft, sparse
from scipy.sparse.linalg import LinearOperator, cg

from cycleisp.utils.images import as_float, channels_last

SIZE = 17  # nodes along each side of the cube, which editors expect: 17, 33 or 65
SMOOTHNESS = 1e-3  # see fit_color_lut

_FEWEST_COLORS = 4  # an affine map has 12 numbers, a colour gives 3
_SPREAD = 0.02  # colours that vary by less than this along an axis hardly determine the slope along it
_PULL = 3e-4  # weight of the mean square of the table's difference from the affine map
_CURVES = 0.003  # weight of pure second derivatives against mixed ones
_CELLS = 16  # along each side of the cube, for counting how common colours are
_AFFINE_ROUNDS, _TABLE_ROUNDS = 10, 5  # of robust reweighting
_HUBER = 1.5  # errors above this many medians pull no harder than one of that length
_FINEST = 2 / 255  # a median error below this, two 8-bit levels, counts as this
_STRIP_PIXELS = 2**18  # that `apply` works on at once: some 15 MB


@dataclass(frozen=True, eq=False)
class ColorLut:
    """A table of a colour for each node of a regular grid over display-encoded RGB.

    Between the nodes it is trilinear.

    Attributes:
        nodes: (N, N, N, 3), N from 2, indices in the order [r, g, b]. May leave [0, 1], so that a
            tone curve can reach the end of the range between two nodes; `apply` clips.
    """

    nodes: NDArray[np.float32]

    def __post_init__(self) -> None:
        shape, dtype = self.nodes.shape, self.nodes.dtype
        if shape != (len(self.nodes),) * 3 + (3,) or len(self.nodes) < 2 or dtype != np.float32:
            raise ValueError(f"nodes are float32 of shape (N, N, N, 3) with N from 2, got {dtype} {shape}")
        if not np.isfinite(self.nodes).all():
            raise ValueError("nodes must be finite numbers")

    def apply(self, photo: NDArray) -> NDArray:
        """Transforms every pixel of a photo.

        Only the change is interpolated: a colour that the table does not change stays bit for bit.

        Args:
            photo: (H, W, 3) display-encoded, uint8, uint16, or float32 in [0, 1].

        Returns:
            The same shape and dtype, clipped to the range.

        Raises:
            ValueError: another shape or dtype.
        """
        if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype not in (np.uint8, np.uint16, np.float32):
            raise ValueError(f"a photo is (H, W, 3) uint8, uint16 or float32, got {photo.shape} {photo.dtype}")
        change = self.nodes - _grid(len(self.nodes)).astype(np.float32)
        # grid_sample takes (1, C, D, H, W) and coordinates x, y, z; with b, g, r for D, H, W those
        # are r, g, b
        table = torch.from_numpy(np.ascontiguousarray(change.transpose(3, 2, 1, 0)))[None]
        result = np.empty_like(photo, order="C")
        rows = max(1, _STRIP_PIXELS // max(1, photo.shape[1]))
        for top in range(0, photo.shape[0], rows):
            result[top : top + rows] = _changed(photo[top : top + rows], table)
        return result

    def to_cube(self, title: str) -> str:
        """Returns the table as the text of a .cube file (Adobe Cube LUT specification 1.0).

        Each line is a node, and red changes fastest.

        Line breaks and double quotes, which a title cannot hold, become spaces and single quotes.
        """
        name = " ".join(title.split()).replace('"', "'")
        rows = self.nodes.transpose(2, 1, 0, 3).reshape(-1, 3) + 0.0  # no -0
        lines = [f"{red:.9f} {green:.9f} {blue:.9f}" for red, green, blue in rows.tolist()]
        return "\n".join([f'TITLE "{name}"', f"LUT_3D_SIZE {len(self.nodes)}", *lines, ""])


def average_luts(luts: Sequence[ColorLut], weights: ArrayLike) -> ColorLut:
    """Returns the weighted mean of tables of one size, as for changes that drift over a video.

    Raises:
        ValueError: no table, different sizes, or weights that are not one for each table, finite,
            at least 0 and not all 0.
    """
    sizes = [len(lut.nodes) for lut in luts]
    if len(set(sizes)) != 1:
        raise ValueError(f"averaging takes tables of one size, got sizes {sizes}")
    shares = _checked_weights(weights, len(luts))
    nodes = np.zeros(luts[0].nodes.shape)
    for lut, share in zip(luts, shares, strict=True):
        nodes += share * lut.nodes
    return ColorLut(nodes.astype(np.float32))


def fit_color_lut(
    source: ArrayLike,
    target: ArrayLike,
    weights: ArrayLike | None = None,
    size: int = SIZE,
    smoothness: float = SMOOTHNESS,
) -> ColorLut:
    """Fits the smooth table that takes source colours to target colours.

    With weights w that sum to 1, a robust affine map A (`_fit_affine`) and u = table - A at the
    nodes, it minimises

        sum_i w_i |target_i - table(source_i)|^2
            + smoothness * mean(bending of u) + 0.0003 * mean(|u|^2)
        bending = 2 (u_rg^2 + u_rb^2 + u_gb^2) + 0.003 (u_rr^2 + u_gg^2 + u_bb^2)

    by conjugate gradients, with second derivatives u_rg ... and means over the whole cube. All
    terms are squared differences of colours, so neither the number of colours nor the size of the
    table shifts the balance between them. Mixed derivatives cost most, because a curve for each
    channel followed by a matrix has none, and that is most of what cameras and editors do: white
    balance, exposure, gamma, contrast, saturation. Where there are no colours the table continues
    straight, and the last term leads it slowly back to A. Errors count by their square up to 1.5
    times their median (at least 2/255), and by their length beyond that (Huber, reweighted least
    squares), which makes the fit robust to noise and outliers. Colours clipped in the target (0 or
    1) mean 'this or beyond'.

    Photos have common colours, such as a sky, and rare ones. A colour counts 1 / sqrt(weight of all
    within 1/16 of the cube's side): noise averages out where colours are common, but a sky of 9000
    pixels counts against a flower of 90 as 10 : 1, not 100 : 1. Weights add up: giving all colours
    twice changes nothing, giving one colour twice doubles its weight.

    Args:
        source, target: (n, 3) in [0, 1], display-encoded, n from 4.
        weights: (n,) at least 0; None for equal ones.
        size: nodes along each side of the cube.
        smoothness: see above. With 0.001, curves of a channel can turn within a cell, other changes
            within about 0.1.

    Raises:
        ValueError: other shapes, fewer colours, numbers that are not finite or out of range.
    """
    source, target = _checked_colors(source, "source"), _checked_colors(target, "target")
    if source.shape != target.shape or len(source) < _FEWEST_COLORS:
        raise ValueError(f"a fit takes {_FEWEST_COLORS} pairs of colours or more, got {len(source)} and {len(target)}")
    if not (np.isfinite(smoothness) and smoothness > 0):
        raise ValueError(f"smoothness must be a positive number, got {smoothness}")
    grid = _grid(size)
    weights = _balanced(source, _checked_weights(np.ones(len(source)) if weights is None else weights, len(source)))

    slope, offset = _fit_affine(source, target, weights)
    affine = source + source @ slope + offset
    corners = _corners(source, size)
    penalty = smoothness * _bending(size) + _PULL / size**3 * sparse.diags_array(np.ones(size**3))
    precondition = _preconditioner(size, smoothness)
    residual = np.zeros((size**3, 3))
    for _ in range(_TABLE_ROUNDS):
        predicted = affine + corners @ residual
        wanted = _or_beyond(target, predicted)
        trusted = _trusted(wanted - predicted, weights)
        weighted = (sparse.diags_array(trusted) @ corners).T
        system, right = (weighted @ corners + penalty).tocsr(), weighted @ (wanted - affine)
        for channel in range(3):
            start = residual[:, channel]
            residual[:, channel], _ = cg(system, right[:, channel], start, maxiter=500, M=precondition)
    nodes = grid + grid @ slope + offset + residual.reshape(size, size, size, 3)
    return ColorLut(nodes.astype(np.float32))


def _fit_affine(source: NDArray, target: NDArray, weights: NDArray) -> tuple[NDArray, NDArray]:
    """Fits slope (3, 3) and offset (3,) of target - source ~ source @ slope + offset, robustly.

    The slope is pulled to 0 as if the colours were spread by another _SPREAD without any change.
    Along directions in which they hardly vary the map therefore only shifts: grey colours across
    the grey axis, a single colour in all directions.
    """
    slope, offset = np.zeros((3, 3)), np.zeros(3)
    for _ in range(_AFFINE_ROUNDS):
        predicted = source + source @ slope + offset
        wanted = _or_beyond(target, predicted)
        trusted = _trusted(wanted - predicted, weights)
        center, change = trusted @ source, trusted @ (wanted - source)
        weighted = (source - center).T * trusted
        slope = np.linalg.solve(weighted @ (source - center) + _SPREAD**2 * np.eye(3), weighted @ (wanted - source))
        offset = change - center @ slope
    return slope, offset


def _or_beyond(target: NDArray, predicted: NDArray) -> NDArray:
    """Returns the targets, or the predictions where a target at the end of the range is exceeded.

    There the prediction counts as exact.
    """
    beyond = ((target >= 1) & (predicted > 1)) | ((target <= 0) & (predicted < 0))
    return np.where(beyond, predicted, target)


def _trusted(errors: NDArray, weights: NDArray) -> NDArray:
    """Returns the weights (n,), with sum 1, of the next round of least squares (Huber).

    Large errors count by their length, not by their square.
    """
    lengths = np.linalg.norm(errors, axis=1)
    order = np.argsort(lengths)
    median = lengths[order[np.searchsorted(np.cumsum(weights[order]), 0.5 * weights.sum())]]
    bound = _HUBER * max(median, _FINEST)
    trusted = weights * (bound / np.maximum(lengths, bound))
    return trusted / trusted.sum()


def _balanced(source: NDArray, weights: NDArray) -> NDArray:
    """Divides weights (n,) by the root of the sum of weights in the same cell of the colour cube.

    The results have the sum 1.
    """
    cells = np.minimum((source * _CELLS).astype(np.intp), _CELLS - 1) @ (_CELLS**2, _CELLS, 1)
    totals = np.bincount(cells, weights, minlength=_CELLS**3)
    balanced = weights / np.sqrt(np.maximum(totals[cells], np.finfo(float).tiny))
    return balanced / balanced.sum()


def _corners(colors: NDArray, size: int) -> sparse.csr_array:
    """Returns the shares (n, size^3) of the eight nodes around each colour in its interpolation."""
    position = colors * (size - 1)
    cell = np.clip(position.astype(np.intp), 0, size - 2)
    upper = position - cell
    shares = np.stack([1 - upper, upper], axis=2)  # (n, rgb, lower or upper)
    products = np.einsum("ni,nj,nk->nijk", shares[:, 0], shares[:, 1], shares[:, 2])
    strides = np.array([size**2, size, 1])
    steps = np.indices((2, 2, 2)).reshape(3, 8).T @ strides
    nodes = (cell @ strides)[:, None] + steps
    starts = np.arange(0, nodes.size + 1, 8)
    return sparse.csr_array((products.ravel(), nodes.ravel(), starts), shape=(len(colors), size**3))


@lru_cache(maxsize=4)
def _bending(size: int) -> sparse.csr_array:
    """Returns the mean bending (see `fit_color_lut`) as a quadratic form (size^3, size^3)."""
    first = np.diff(np.eye(size), axis=0) * (size - 1)
    second = np.diff(np.eye(size), n=2, axis=0) * (size - 1) ** 2
    slope, bend, same = (sparse.csr_array(part) for part in (first.T @ first, second.T @ second, np.eye(size)))
    pure = [(bend, same, same), (same, bend, same), (same, same, bend)]
    mixed = [(slope, slope, same), (slope, same, slope), (same, slope, slope)]
    terms = [(_CURVES, axes) for axes in pure] + [(2, axes) for axes in mixed]
    total = sum(weight * sparse.kron(sparse.kron(red, green), blue) for weight, (red, green, blue) in terms)
    return (total / size**3).tocsr()


def _preconditioner(size: int, smoothness: float) -> LinearOperator:
    """Returns an approximate inverse of the system.

    It is the inverse for colours that are spread evenly over a cube that continues mirrored, which
    the cosine transform computes. With it conjugate gradients take some 30 steps, without it many
    hundreds.
    """
    wave = (2 - 2 * np.cos(np.pi * np.arange(size) / size)) * (size - 1) ** 2  # squared frequencies
    pure = wave[:, None, None] ** 2 + wave[:, None] ** 2 + wave**2
    mixed = (wave[:, None, None] + wave[:, None] + wave) ** 2 - pure
    stiffness = (smoothness * (mixed + _CURVES * pure) + 1 + _PULL) / size**3

    def solve(right: NDArray) -> NDArray:
        cube = right.reshape(size, size, size)
        return fft.idctn(fft.dctn(cube, norm="ortho") / stiffness, norm="ortho").ravel()

    return LinearOperator((size**3, size**3), matvec=solve, dtype=np.float64)


def _grid(size: int) -> NDArray[np.float64]:
    """Returns the colours at the nodes, (size, size, size, 3)."""
    if size < 2:
        raise ValueError(f"a table has 2 nodes or more along each side, got {size}")
    steps = np.linspace(0, 1, size)
    return np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1)


def _changed(strip: NDArray, table: torch.Tensor) -> NDArray:
    """Adds the interpolated change to a strip of a photo; `table` is (1, 3, b, g, r)."""
    if strip.dtype == np.float32:
        highest, photo = 1.0, np.clip(strip, 0, 1)
    else:
        highest = float(np.iinfo(strip.dtype).max)
        photo = as_float(strip)
    places = torch.from_numpy(np.ascontiguousarray(photo * 2 - 1))[None, None]
    change = F.grid_sample(table, places, mode="bilinear", padding_mode="border", align_corners=True)
    colors = np.clip(photo + channels_last(change[0, :, 0]), 0, 1)
    return colors if strip.dtype == np.float32 else np.rint(colors * np.float32(highest))


def _checked_colors(colors: ArrayLike, name: str) -> NDArray[np.float64]:
    values = np.asarray(colors, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != 3:
        raise ValueError(f"{name} colours are (n, 3), got {values.shape}")
    if not ((values >= 0) & (values <= 1)).all():  # false for NaN too
        raise ValueError(f"{name} colours must lie in [0, 1], got {values.min()} to {values.max()}")
    return values


def _checked_weights(weights: ArrayLike, count: int) -> NDArray[np.float64]:
    """Returns the weights scaled to the sum 1."""
    values = np.asarray(weights, dtype=np.float64)
    if values.shape != (count,):
        raise ValueError(f"expected {count} weights, got shape {values.shape}")
    if not (np.isfinite(values) & (values >= 0)).all() or not values.any():
        raise ValueError("weights must be finite, at least 0, and not all 0")
    return values / values.sum()
