"""Colour matching through RAW: a source view takes the colours of a target view.

It is an application that the CycleISP paper names in its abstract.
The work is done on reduced copies. The target view is aligned with the source, and the networks
render the source in the target's colours: RGB2RAW takes it to RAW, and RAW2RGB takes it back while
the colour branch looks at the target. A smooth lookup table over the colour cube is then fitted: to
the colours that both views show, and to the rendering where the target shows nothing. The table is
applied to the photo itself. In this way the photo keeps its detail, depth and size, equal colours
stay equal, and no ghost of the target's picture appears at depth edges (ours; the paper shows the
rendering).
"""

import logging

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from skimage.exposure import match_histograms
from torch import Tensor

from cycleisp.networks.cycleisp import CycleISP
from cycleisp.utils.color.alignment import align_view
from cycleisp.utils.color.color_lut import ColorLut, fit_color_lut
from cycleisp.utils.color.working_size import WORKING_SIZE
from cycleisp.utils.images import channels_last, photo_to_tensor

RENDERED_SHARE = 0.02  # weight of a rendered colour beside one that the target view shows
LEAST_SEEN = 0.05  # share of the source that the target must show, too, to count as a view of the same scene
log = logging.getLogger(__name__)


class ColorMatcher:
    """Finds the transformation of colours from one view to another.

    Args:
        isp: trained with `train_raw2rgb.py --stage matching`, on the device to compute on.
        working_size: longest side in pixels of what the networks see.
    """

    def __init__(self, isp: CycleISP, working_size: int = WORKING_SIZE) -> None:
        self.isp, self.working_size = isp.eval(), working_size
        self.device = next(isp.parameters()).device

    def render(self, source: NDArray, target: NDArray) -> NDArray[np.float32]:
        """Renders the source in the target's colours by the networks alone, at the source's size.

        Args:
            source: (H, W, 3) sRGB in [0, 1], even sides.
            target: the other view, (H', W', 3).

        Returns:
            (H, W, 3) in [0, 1].
        """
        aligned, _ = align_view(_reduce(target, max(source.shape[:2])), source)
        return self._render(source, aligned)

    def lut(self, source: NDArray, target: NDArray) -> ColorLut:
        """Returns the lookup table that gives the source view the colours of the target view.

        Views that have nothing in common are matched by their histograms (scikit-image), and a
        warning is logged.

        Args:
            source, target: (H, W, 3) sRGB in [0, 1], any sizes from 2x2.
        """
        small, target = _reduce(source, self.working_size, even=True), _reduce(target, self.working_size)
        aligned, seen = align_view(target, small)
        if seen.mean() >= LEAST_SEEN:
            rendered = self._render(small, aligned)
        else:
            log.warning("the views have too little in common to compare their places; their histograms are matched")
            rendered, seen = match_histograms(small, target, channel_axis=-1), np.zeros_like(seen)
        wanted = np.where(seen[..., None], aligned, rendered)
        weights = np.where(seen, 1.0, RENDERED_SHARE)
        return fit_color_lut(small.reshape(-1, 3), wanted.reshape(-1, 3), weights.ravel())

    @torch.no_grad()
    def _render(self, source: NDArray, aligned: NDArray) -> NDArray[np.float32]:
        raw = self.isp.rgb2raw(self._batch(source)).clamp(0, 1)
        rendered = self.isp.guided_raw2rgb(raw, self._batch(aligned))
        return channels_last(rendered[0].clamp(0, 1))

    def _batch(self, photo: NDArray) -> Tensor:
        return photo_to_tensor(np.ascontiguousarray(photo))[None].to(self.device)


def _reduce(photo: NDArray, longest: int, even: bool = False) -> NDArray[np.float32]:
    """Scales a photo down so that its longer side has at most `longest` pixels.

    Args:
        photo: (H, W, 3) in [0, 1].
        longest: in pixels.
        even: whether the sides must be even, for which a small photo may be enlarged.
    """
    photo = np.asarray(photo, dtype=np.float32)
    scale = min(1.0, longest / max(photo.shape[:2]))
    step = 2 if even else 1
    rows, columns = (max(step, step * round(side * scale / step)) for side in photo.shape[:2])
    if photo.shape[:2] == (rows, columns):
        return photo
    method = cv2.INTER_AREA if rows * columns < photo.shape[0] * photo.shape[1] else cv2.INTER_LINEAR
    return np.clip(cv2.resize(photo, (columns, rows), interpolation=method), 0, 1)
