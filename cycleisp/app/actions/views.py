"""Gives a photo the colours of another view."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cycleisp.app.actions.running import check_made, said
from cycleisp.app.actions.workspace import Workspace
from cycleisp.dataloaders.photos import read_photo
from cycleisp.tasks.matching import match_files
from cycleisp.utils.output.report.pictures import fitted
from cycleisp.utils.processes.apart import apart

SHOWN = 960  # pixels of the longer side of a picture on the page


@dataclass(frozen=True)
class MatchedView:
    """A photo in the colours of another view.

    Attributes:
        before, after: small pictures, (H, W, 3) sRGB.
        result: the PNG file.
        warnings: what should be known about it.
    """

    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    result: Path
    warnings: list[str]


def match_view(workspace: Workspace, source: Path, target: Path) -> MatchedView:
    """Gives a photo the colours of another view of the same scene.

    Raises:
        UserError: one of the two is no photo that can be read.
    """
    made = workspace.new_folder() / f"{source.stem}_matched.png"
    with said() as warnings:
        check_made(match_files(source, target, made, device=workspace.device))
    before, after = (fitted(apart(read_photo, path), SHOWN) for path in (source, made))
    return MatchedView(before, after, made, [workspace.sentence(each) for each in warnings])
