"""Alignment of two views of a scene, so that both show the same things at the same pixels."""

import cv2
import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.images import to_8bit

_SMALLEST = 32  # pixels of a side; smaller views have too little to compare
_AGREEMENT = 1.5  # pixels by which the way there and back may miss its start
_DISTINCT = 0.8  # a feature's best match is this much nearer than its second best (Lowe, IJCV 2004)
_FEWEST_MATCHES = 12
_INLIER = 8.0  # pixels: depth moves things apart, which the flow corrects
_LARGEST_ZOOM = 4.0  # and 1 / 4; views beyond do not count as views of the same scene


def align_view(view: NDArray, reference: NDArray) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Warps a view so that it looks as if seen from the place of `reference`.

    SIFT features give the shift, turn and scale of the whole, and dense optical flow (OpenCV's DIS,
    Kroeger et al., ECCV 2016) gives the rest. The views' colours may differ: only brightness is
    compared, after the histogram of one has been matched to that of the other.

    Args:
        view: (H', W', 3) display-encoded in [0, 1].
        reference: (H, W, 3) likewise.

    Returns:
        The view warped to the reference, (H, W, 3), and where that can be trusted, (H, W): where
        the flow there and back returns to its start and stays in the picture. If the views have too
        little in common, no pixel can be trusted, and the view is only resized to the reference's
        size.
    """
    height, width = reference.shape[:2]
    view = np.ascontiguousarray(view, dtype=np.float32)
    resized = np.asarray(cv2.resize(view, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)
    unaligned = resized, np.zeros((height, width), dtype=bool)
    if min(*view.shape[:2], height, width) < _SMALLEST:
        return unaligned
    gray_reference = _gray(reference)
    from skimage.exposure import match_histograms  # here, since SciPy takes a while

    gray_view = np.rint(match_histograms(_gray(view), gray_reference)).astype(np.uint8)
    rough = _similarity(gray_reference, gray_view)
    if rough is None:
        return unaligned
    places = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float32)
    roughly = places @ rough[:, :2].T + rough[:, 2]  # where in the view the reference's pixels are
    brought = _look_up(gray_view, roughly)
    there, back = _flow(gray_reference, brought), _flow(brought, gray_reference)
    missed = there + _look_up(back, places + there)
    target = _look_up(roughly, places + there)
    inside = ((target >= 0) & (target <= (view.shape[1] - 1, view.shape[0] - 1))).all(axis=-1)
    return _look_up(view, target), inside & (np.linalg.norm(missed, axis=-1) < _AGREEMENT)


def _gray(photo: NDArray) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(to_8bit(photo), cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def match_features(
    reference: NDArray[np.uint8], view: NDArray[np.uint8], most: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Finds places that look alike in two grey pictures, by their SIFT features.

    Args:
        reference: (H, W).
        view: (H', W').
        most: how many of the strongest features of each picture to use; 0 for all.

    Returns:
        Places in the reference and those in the view, (N, 2) each, x before y. Some may be wrong.
    """
    sift = cv2.SIFT.create(most)
    (here, of_reference), (there, of_view) = (sift.detectAndCompute(gray, None) for gray in (reference, view))
    if of_reference is None or of_view is None or len(of_view) < 2:
        return np.empty((0, 2)), np.empty((0, 2))
    # One for a feature of the view: many that share one would shrink all to a point.
    nearest: dict[int, cv2.DMatch] = {}
    for first, second in cv2.BFMatcher().knnMatch(of_reference, of_view, k=2):
        if first.distance < _DISTINCT * second.distance:
            known = nearest.get(first.trainIdx)
            nearest[first.trainIdx] = first if known is None or first.distance < known.distance else known
    source = np.array([here[match.queryIdx].pt for match in nearest.values()], np.float64).reshape(-1, 2)
    target = np.array([there[match.trainIdx].pt for match in nearest.values()], np.float64).reshape(-1, 2)
    return source, target


def _similarity(reference: NDArray[np.uint8], view: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """Returns the shift, turn and scale from places of the reference to places of the view.

    The result is a (2, 3) matrix, or None if too few features agree.
    """
    source, target = match_features(reference, view)
    if len(source) < _FEWEST_MATCHES:
        return None
    cv2.setRNGSeed(0)
    matrix, inliers = cv2.estimateAffinePartial2D(source, target, method=cv2.RANSAC, ransacReprojThreshold=_INLIER)
    if matrix is None or inliers.sum() < _FEWEST_MATCHES:
        return None
    zoom = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if not 1 / _LARGEST_ZOOM < zoom < _LARGEST_ZOOM:
        return None
    return matrix.astype(np.float32)


def _flow(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Returns how far the pixels of `first` have moved in `second`: (H, W, 2), x before y."""
    return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(first, second, None)  # type: ignore[call-overload]


def _look_up(picture: NDArray, places: NDArray[np.float32]) -> NDArray:
    """Returns the picture's values at places (H, W, 2), x before y.

    Beyond the border of the picture the values are those at the border.
    """
    return cv2.remap(picture, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
