"""The files that DND's server takes, one an image, written whole and checked by reading them back.

NNNN.mat (MATLAB 5), 0001 to 0050
    Idenoised     1 x 20 cell of float32 crops in [0, 1]: 512x512 RAW in the image's Bayer order, or 512x512x3 sRGB
    israw         logical
    eval_version  "1.0"
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat, savemat

from cycleisp.utils.errors import UserError
from cycleisp.utils.images import Space
from cycleisp.utils.output.files import written_aside
from cycleisp.utils.output.progress import progress_bar

HOME_PAGE = "https://noise.visinf.tu-darmstadt.de"
EVAL_VERSION = "1.0"
_VARIABLES = ("Idenoised", "israw", "eval_version")


@dataclass(frozen=True)
class Extent:
    """How large DND is: images, boxes (crops) of each, and the side of a box in pixels. Only tests have another one."""

    images: int = 50
    boxes: int = 20
    side: int = 512

    @property
    def numbers(self) -> range:
        """Of the images, from 1."""
        return range(1, self.images + 1)

    def crop_shape(self, space: Space) -> tuple[int, ...]:
        return (self.side, self.side) if space == "raw" else (self.side, self.side, 3)


DND = Extent()


def file_name(number: int) -> str:
    """Of an image, 1 to 50, in the data set and in a submission: `0001.mat`."""
    return f"{number:04d}.mat"


def listed(numbers: Iterable[int], name: Callable[[int], str] = str) -> str:
    """Ascending numbers in words, runs shortened: `1 ... 3, 7`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(name(run[0]) if len(run) == 1 else f"{name(run[0])} ... {name(run[-1])}" for run in runs)


def write_bundle(path: Path, crops: Sequence[NDArray[np.float32]], space: Space, extent: Extent = DND) -> None:
    """Write the file of one image, whole or not at all.

    Args:
        path: `NNNN.mat` to write.
        crops: 20 of (512, 512) RAW or (512, 512, 3) sRGB, float32 in [0, 1], in the order of the boxes.
        space: what the crops are.
        extent: of the data set.

    Raises:
        ValueError: crops that the server would not take.
        OSError: the file cannot be written.
    """
    cells = np.empty((1, len(crops)), dtype=object)
    for column, crop in enumerate(crops):
        cells[0, column] = crop
    problems = _crop_problems(cells, [space], extent)
    if problems:
        raise ValueError(f"{path}: {'; '.join(problems)}")
    content = {"Idenoised": cells, "israw": space == "raw", "eval_version": EVAL_VERSION}
    with written_aside(path) as aside, aside.open("wb") as file:
        savemat(file, content)


def read_bundle(path: Path) -> list[NDArray[np.float32]]:
    """The crops of a file without problems, as `write_bundle` took them."""
    return list(loadmat(path, variable_names=["Idenoised"])["Idenoised"][0])


def bundle_problems(path: Path, space: Space, extent: Extent = DND) -> list[str]:
    """All that keeps a file from being the result of one image; none if it is in order."""
    return _inspect(path, space, extent)[1] if path.is_file() else ["missing"]


def validate_submission(folder: Path, space: Space | None = None, extent: Extent = DND) -> list[str]:
    """Check a submission, whoever made it.

    Args:
        folder: of the 50 files.
        space: what they should hold; None takes either, the same in all files.
        extent: of the data set.

    Returns:
        All problems, each naming the file; none if the submission is in order.

    Raises:
        UserError: no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; name the one with {listed(extent.numbers, file_name)}")
    present = [number for number in extent.numbers if (folder / file_name(number)).is_file()]
    missing = [number for number in extent.numbers if number not in present]
    surplus = sorted({path.name for path in folder.glob("*.mat")} - {file_name(number) for number in extent.numbers})
    problems = [f"missing: {listed(missing, file_name)}"] if missing else []
    problems += [f"{name}: not part of a submission, remove it" for name in surplus]
    kinds: dict[bool, list[int]] = {True: [], False: []}
    for number in progress_bar(iterable=present, desc="checking", unit="file"):
        israw, found = _inspect(folder / file_name(number), space, extent)
        problems += [f"{file_name(number)}: {problem}" for problem in found]
        if israw is not None:
            kinds[israw].append(number)
    if space is None and all(kinds.values()):
        raw, srgb = (listed(kinds[israw], file_name) for israw in (True, False))
        problems.append(f"RAW and sRGB mixed: israw is true in {raw}, false in {srgb}")
    return problems


def _inspect(path: Path, space: Space | None, extent: Extent) -> tuple[bool | None, list[str]]:
    """What `israw` says, None if nothing, and all problems of a file."""
    try:
        content = loadmat(path, variable_names=_VARIABLES, mat_dtype=True)  # mat_dtype: logical comes as bool
    except NotImplementedError:
        return None, ["is a MATLAB v7.3 file, save it with -v7"]
    except Exception as error:  # damaged bytes can make a parser stumble anywhere
        return None, [f"cannot be read ({error or type(error).__name__}); make it again"]
    problems = [f"lacks {name}" for name in _VARIABLES if name not in content]
    israw = None
    if "israw" in content:
        value = content["israw"]
        if isinstance(value, np.ndarray) and value.dtype == bool and value.size == 1:
            israw = bool(value.item())
            if space is not None and israw != (space == "raw"):
                problems.append(f"israw is {str(israw).lower()}, expected a submission of {space}")
        else:
            problems.append(f"israw: expected one logical value, got {_described(value)}")
    if "eval_version" in content:
        value = content["eval_version"]
        if not (isinstance(value, np.ndarray) and value.dtype.kind == "U" and value.tolist() == [EVAL_VERSION]):
            problems.append(f'eval_version: expected the text "{EVAL_VERSION}", got {_described(value)}')
    if "Idenoised" in content:
        spaces: list[Space] = ["raw", "srgb"]
        if space is not None:
            spaces = [space]
        elif israw is not None:
            spaces = ["raw" if israw else "srgb"]
        problems += _crop_problems(content["Idenoised"], spaces, extent)
    return israw, problems


def _crop_problems(cells: Any, spaces: Sequence[Space], extent: Extent) -> list[str]:
    """All problems of `Idenoised`, whose crops may be of any of `spaces`; equal problems of several crops in one."""
    if not isinstance(cells, np.ndarray) or cells.dtype != object or cells.shape != (1, extent.boxes):
        return [f"Idenoised: expected a 1x{extent.boxes} cell, got {_described(cells)}"]
    shapes = [extent.crop_shape(space) for space in spaces]
    wrong: dict[str, list[int]] = {}
    for number, crop in enumerate(cells[0], start=1):
        for problem in _problems_of_crop(crop, shapes):
            wrong.setdefault(problem, []).append(number)
    return [f"Idenoised, crops {listed(numbers)}: {problem}" for problem, numbers in wrong.items()]


def _problems_of_crop(crop: Any, shapes: Sequence[tuple[int, ...]]) -> list[str]:
    if not isinstance(crop, np.ndarray) or crop.dtype.kind not in "fiub":
        return [f"expected a float32 array, got {_described(crop)}"]
    problems = []
    if crop.shape not in shapes:
        problems.append(f"expected {' or '.join(map(_sides, shapes))}, got {_sides(crop.shape)}")
    if crop.dtype != np.float32:
        problems.append(f"expected float32 (single), got {crop.dtype}")
    if not np.isfinite(crop).all():
        problems.append("holds NaN or infinite values")
    elif crop.size and (crop.min() < 0 or crop.max() > 1):
        problems.append("values leave [0, 1]")
    return problems


def _sides(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _described(value: Any) -> str:
    if not isinstance(value, np.ndarray):
        return type(value).__name__
    if value.size == 1 and value.dtype != object:
        return f"{value.item()!r} ({value.dtype})"
    return f"{'cell' if value.dtype == object else value.dtype} {_sides(value.shape)}"
