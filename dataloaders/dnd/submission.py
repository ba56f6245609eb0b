"""What DND's server takes: one MATLAB 5 file for each image, written and checked.

NNNN.mat    0001 to 0050
            Idenoised: a 1 x 20 cell array of float32 crops in [0, 1], which are 512x512 RAW in
            the image's Bayer order, or 512x512x3 sRGB
            israw: logical
            eval_version: "1.0"
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import savemat

from cycleisp.dataloaders.dnd.files import file_name, listed
from cycleisp.dataloaders.dnd.scenes import DND, Extent
from cycleisp.dataloaders.matlab.loading import load_variables
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import Space
from cycleisp.utils.listing import is_visible
from cycleisp.utils.output.files import atomic_path
from cycleisp.utils.output.progress import progress_bar

EVAL_VERSION = "1.0"
_VARIABLES = ("Idenoised", "israw", "eval_version")

# ---------------------------------------------------------------- writing


def write_bundle(path: Path, crops: Sequence[NDArray[np.float32]], space: Space, extent: Extent = DND) -> None:
    """Writes the file of one image, whole or not at all.

    Args:
        path: `NNNN.mat` to write.
        crops: 20 crops, (512, 512) of RAW or (512, 512, 3) of sRGB, float32 in [0, 1], in the order
            of the boxes.
        space: the space of the crops.
        extent: how large the data set is.

    Raises:
        ValueError: the server would not take the crops.
        OSError: the file cannot be written.
    """
    cells = np.empty((1, len(crops)), dtype=object)
    for column, crop in enumerate(crops):
        cells[0, column] = crop
    problems = _crop_problems(cells, [space], extent)
    if problems:
        raise ValueError(f"{path}: {'; '.join(problems)}")
    content = {"Idenoised": cells, "israw": space == "raw", "eval_version": EVAL_VERSION}
    with atomic_path(path) as aside, aside.open("wb") as file:
        savemat(file, content)


def read_bundle(path: Path) -> list[NDArray[np.float32]]:
    """Reads the crops of a file without problems, as `write_bundle` took them."""
    return list(load_variables(path, ["Idenoised"])["Idenoised"][0])


# ---------------------------------------------------------------- checking


def bundle_problems(path: Path, space: Space, extent: Extent = DND) -> list[str]:
    """Returns all that is wrong with the file of one image: nothing if it is in order."""
    return _inspect(path, space, extent)[1] if path.is_file() else ["missing"]


def validate_submission(folder: Path, space: Space | None = None, extent: Extent = DND) -> list[str]:
    """Checks a submission, whoever made it.

    Args:
        folder: the folder with the 50 files.
        space: what the files should hold; None takes either, but the same in all files.
        extent: how large the data set is.

    Returns:
        All problems, each with the name of the file; nothing if the submission is in order.

    Raises:
        UserError: there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; name the one with {listed(extent.numbers, file_name)}")
    present = [number for number in extent.numbers if (folder / file_name(number)).is_file()]
    missing = [number for number in extent.numbers if number not in present]
    found_files = {path.name for path in folder.glob("*.mat") if is_visible(path, folder)}
    surplus = sorted(found_files - {file_name(number) for number in extent.numbers})
    problems = [f"missing: {listed(missing, file_name)}"] if missing else []
    problems += [f"{name}: not part of a submission, remove it" for name in surplus]
    found_spaces: dict[Space, list[int]] = {"raw": [], "srgb": []}
    for number in progress_bar(iterable=present, desc="checking", unit="file"):
        found_space, found = _inspect(folder / file_name(number), space, extent)
        problems += [f"{file_name(number)}: {problem}" for problem in found]
        if found_space is not None:
            found_spaces[found_space].append(number)
    if space is None and all(found_spaces.values()):
        raw, srgb = (listed(numbers, file_name) for numbers in found_spaces.values())
        problems.append(f"RAW and sRGB mixed: israw is true in {raw}, false in {srgb}")
    return problems


def _inspect(path: Path, space: Space | None, extent: Extent) -> tuple[Space | None, list[str]]:
    """Returns the space that a file names, or None, and all problems of the file."""
    try:
        content = load_variables(path, _VARIABLES, logical=True)
    except UserError as error:
        return None, [str(error).removeprefix(f"{path}: ")]
    problems = [f"lacks {name}" for name in _VARIABLES if name not in content]
    found_space: Space | None = None
    if "israw" in content:
        value = content["israw"]
        if isinstance(value, np.ndarray) and value.dtype == bool and value.size == 1:
            found_space = "raw" if value.item() else "srgb"
            if space is not None and space != found_space:
                problems.append(f"israw is {str(value.item()).lower()}, expected a submission of {space}")
        else:
            problems.append(f"israw: expected one logical value, got {_described(value)}")
    if "eval_version" in content:
        value = content["eval_version"]
        if not (isinstance(value, np.ndarray) and value.dtype.kind == "U" and value.tolist() == [EVAL_VERSION]):
            problems.append(f'eval_version: expected the text "{EVAL_VERSION}", got {_described(value)}')
    if "Idenoised" in content:
        wanted = space or found_space
        spaces: list[Space] = ["raw", "srgb"] if wanted is None else [wanted]
        problems += _crop_problems(content["Idenoised"], spaces, extent)
    return found_space, problems


def _crop_problems(cells: Any, spaces: Sequence[Space], extent: Extent) -> list[str]:
    """Returns all problems of `Idenoised`, whose crops may be of any of `spaces`.

    A problem that several crops share is reported once.
    """
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
