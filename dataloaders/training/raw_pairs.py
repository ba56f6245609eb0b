"""Pairs {photo, RAW} from any folder of camera RAW files, prepared for fast random access.

    STORE/NAME.mosaic.npy    (H, W) uint16, linear RGGB times 65535
    STORE/NAME.srgb.npy      (H, W, 3) uint8, LibRaw's rendering
    STORE/NAME.json          what the camera file says; written last, it marks the pair as whole
    STORE/report.tsv         which files are ready, and which cannot be used for what reason

The clean frames of SIDD-Medium serve as well: <scene>/NNNN_GT_RAW_010.MAT with
NNNN_GT_SRGB_010.PNG.
"""

import fnmatch
import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.sidd.medium import SiddFrame, find_sidd_frames
from cycleisp.dataloaders.sidd.scenes import scene_of
from cycleisp.dataloaders.sources import Source, SourceError, find_sources
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import as_float
from cycleisp.utils.output.files import atomic_path, write_bytes
from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.camera_files import RAW_SUFFIXES, RawFileError, read_raw, render_with_libraw

LAYOUT = 1  # of the store; pairs of another layout are made again


@dataclass(frozen=True)
class Report:
    """What `prepare` did.

    Attributes:
        ready: the names of the usable pairs.
        skipped: the files that were left out, each with the reason.
    """

    ready: list[str]
    skipped: list[tuple[Path, str]]


def prepare(inputs: Sequence[Path | str], store: Path, workers: int | None = None) -> Report:
    """Fills a folder with one pair for each camera file, and for each clean frame of SIDD-Medium.

    Pairs that are already there, and whose file has not changed, are kept. Bad files do not stop
    the others.

    Args:
        inputs: files, and folders that are searched at all depths.
        store: the folder to fill.
        workers: how many files to read at a time; None takes one per processor.

    Raises:
        UserError: an input does not exist, or the inputs hold no camera file.
    """
    sources = _find(inputs)
    if not sources:
        raise RawFileError(
            f"{', '.join(map(str, inputs))}: no camera RAW file; looked for {' '.join(sorted(RAW_SUFFIXES))}"
        )
    store.mkdir(parents=True, exist_ok=True)
    ready: list[str] = []
    skipped: list[tuple[Path, str]] = []
    missing = [source for source in sources if not _is_ready(source, store)]
    ready += [source.name for source in sources if source not in missing]
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        jobs = {pool.submit(_prepare_one, source, store): source for source in missing}
        for job in progress_bar(
            iterable=as_completed(jobs), total=len(jobs), desc="preparing RAW", unit="file", disable=not jobs
        ):
            source = jobs[job]
            try:
                job.result()
                ready.append(source.name)
            except (UserError, ValueError, OSError) as error:
                skipped.append((source.path, str(error)))
    lines = [f"ready\t{name}\t" for name in sorted(ready)] + [
        f"skipped\t{path}\t{why}" for path, why in sorted(skipped)
    ]
    write_bytes(store / "report.tsv", ("\n".join(["state\tfile\treason", *lines]) + "\n").encode())
    return Report(sorted(ready), sorted(skipped))


def _find(inputs: Sequence[Path | str]) -> list[Source]:
    """Returns the camera files and the frames of SIDD-Medium among some files and folders."""
    frames: list[Source] = list(find_sidd_frames(inputs))
    try:
        found = find_sources(inputs)
    except SourceError:
        others = [item for item in inputs if not any(frame.path.is_relative_to(item) for frame in frames)]
        if not frames:
            raise
        found = find_sources(others)  # SIDD's RAW set holds neither photos nor camera files
    return [*(source for source in found if source.space == "raw"), *frames]


def _identity(source: Source) -> dict[str, object]:
    """Returns what shows whether a file has changed since its pair was made."""
    status = source.path.stat()
    identity = {"layout": LAYOUT, "file": source.path.name, "bytes": status.st_size, "modified_ns": status.st_mtime_ns}
    if isinstance(source, SiddFrame) and source.photo is not None:
        status = source.photo.stat()
        identity |= {"photo_bytes": status.st_size, "photo_modified_ns": status.st_mtime_ns}
    return identity


def _is_ready(source: Source, store: Path) -> bool:
    if not all((store / f"{source.name}.{kind}.npy").is_file() for kind in ("mosaic", "srgb")):
        return False
    try:
        return json.loads((store / f"{source.name}.json").read_text())["source"] == _identity(source)
    except (OSError, ValueError, KeyError):
        return False


def _prepare_one(source: Source, store: Path) -> None:
    linear, rendered, record = _read_frame(source) if isinstance(source, SiddFrame) else _read_camera_file(source)
    height, width = linear.shape
    rows, columns = bayer.rggb_window(height, width, record["pattern_in_file"])
    mosaic = np.round(linear[rows, columns] * 65535).astype(np.uint16)
    target = store / source.name
    target.parent.mkdir(parents=True, exist_ok=True)
    _save_array(target.with_name(f"{target.name}.mosaic.npy"), mosaic)
    _save_array(target.with_name(f"{target.name}.srgb.npy"), rendered[rows, columns])
    content = json.dumps({"source": _identity(source), **record}, indent=1)
    write_bytes(target.with_name(f"{target.name}.json"), content.encode())


def _read_camera_file(source: Source) -> tuple[NDArray[np.float32], NDArray[np.uint8], dict[str, Any]]:
    """Reads the mosaic (H, W), the photo (H, W, 3), and what the camera file says."""
    image = read_raw(source.path)
    record = {
        "pattern_in_file": image.pattern,
        "white_balance": image.white_balance.tolist(),
        "cam2rgb": None if image.cam2rgb is None else image.cam2rgb.tolist(),
        "iso": image.iso,
    }
    return image.mosaic, render_with_libraw(source.path), record


def _read_frame(source: SiddFrame) -> tuple[NDArray[np.float32], NDArray[np.uint8], dict[str, Any]]:
    """Reads the same of a frame of SIDD-Medium, which says nothing of its colours."""
    mosaic, pattern, photo = source.read()
    iso = scene_of(source.path).iso
    return mosaic, photo, {"pattern_in_file": pattern, "white_balance": None, "cam2rgb": None, "iso": iso}


def _save_array(path: Path, array: NDArray) -> None:
    with atomic_path(path) as aside, aside.open("wb") as file:
        np.save(file, array)


def split_names(names: Sequence[str], holdout: Sequence[str], holdout_count: int = 0) -> tuple[list[str], list[str]]:
    """Splits the names of pairs into those to train on and those to hold out.

    Args:
        names: the names of all pairs.
        holdout: shell patterns of names to hold out. One pattern can hold all files of one scene.
        holdout_count: how many more to hold out. A hash of the name decides which, so that the
            choice is the same everywhere and in any order.

    Raises:
        UserError: a pattern fits no name, or nothing is left to train on.
    """
    held = {name for pattern in holdout for name in fnmatch.filter(names, pattern)}
    for pattern in holdout:
        if not fnmatch.filter(names, pattern):
            raise UserError(f"holdout pattern {pattern!r} fits none of {len(names)} RAW pairs")
    rest = sorted(set(names) - held, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    held.update(rest[:holdout_count])
    training = [name for name in names if name not in held]
    if not training:
        raise UserError("every RAW pair is held out, nothing is left to train on")
    return training, [name for name in names if name in held]


class RawPairStore:
    """Prepared pairs, which are memory-mapped, and from which random squares are drawn.

    Args:
        store: the folder that `prepare` filled.
        names: the pairs to use.
        scenes: shell patterns of names that show one scene. Every scene is drawn equally often. A
            file that fits no pattern is a scene of its own.
    """

    def __init__(self, store: Path, names: Sequence[str], scenes: Sequence[str] = ()) -> None:
        self.names = list(names)
        self.folder = Path(store)
        self._open: dict[str, tuple[NDArray, NDArray]] = {}
        grouped: dict[str, list[str]] = {}
        for name in self.names:
            scene = next((pattern for pattern in scenes if fnmatch.fnmatch(name, pattern)), name)
            grouped.setdefault(scene, []).append(name)
        self._scenes = list(grouped.values())

    def __len__(self) -> int:
        return len(self.names)

    def pair(self, name: str) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
        """Returns a whole pair.

        The RGGB mosaic is (H, W) uint16, linear times 65535. The photo is (H, W, 3) uint8.
        """
        if name not in self._open:
            self._open[name] = tuple(  # type: ignore[assignment]
                np.load(self.folder / f"{name}.{kind}.npy", mmap_mode="r") for kind in ("mosaic", "srgb")
            )
        return self._open[name]

    def draw(self, rng: np.random.Generator, size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Draws a random square of a random file, at an even offset.

        Returns:
            Mosaic (size, size) and photo (size, size, 3), both in [0, 1].

        Raises:
            UserError: the file is smaller than the square.
        """
        scene = self._scenes[int(rng.integers(len(self._scenes)))]
        name = scene[int(rng.integers(len(scene)))]
        mosaic, srgb = self.pair(name)
        height, width = mosaic.shape
        if min(height, width) < size:
            raise UserError(f"RAW pair {name!r} is {height}x{width}, smaller than a patch of {size}; hold it out")
        top, left = (2 * int(rng.integers((side - size) // 2 + 1)) for side in (height, width))
        window = np.s_[top : top + size, left : left + size]
        return as_float(mosaic[window]), as_float(srgb[window])
