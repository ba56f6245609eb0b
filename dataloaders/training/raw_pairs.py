"""Pairs {photo, RAW} from any folder of camera RAW files, to train the ISP networks.

    python -m cycleisp.dataloaders.training.raw_pairs --input RAW_FOLDER... --output STORE

makes LibRaw's rendering of every file and stores, for fast random access, `NAME.mosaic.npy` (H, W) uint16 (linear RGGB
times 65535), `NAME.srgb.npy` (H, W, 3) uint8, and last `NAME.json`, which marks the pair as whole. Files that cannot be
used are listed with the reason in `report.tsv`. Run again, it goes on where it stopped. The clean frames of SIDD-Medium
serve as well: `<scene>/NNNN_GT_RAW_010.MAT` with `NNNN_GT_SRGB_010.PNG`.
"""

import argparse
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

from cycleisp.dataloaders.photos import PhotoError, Source, find_sources
from cycleisp.dataloaders.sidd.blocks import parse_scene
from cycleisp.dataloaders.sidd.frames import SiddFrame, find_sidd_frames
from cycleisp.utils.errors import UserError
from cycleisp.utils.output.files import write_bytes, written_aside
from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.camera_files import RAW_SUFFIXES, RawFileError, read_raw, render_with_libraw

LAYOUT = 1  # of the store; a pair written in another layout is made anew


@dataclass(frozen=True)
class Report:
    """What `prepare` did: names of usable pairs, and (file, reason) of the files that it left out."""

    ready: list[str]
    skipped: list[tuple[Path, str]]


def prepare(inputs: Sequence[Path | str], store: Path, workers: int | None = None) -> Report:
    """Fill `store` with one pair for each camera file, or clean frame of SIDD, in `inputs`.

    Pairs that are already there and whose file has not changed are kept. Bad files never stop the rest.

    Args:
        inputs: files or folders, searched recursively.
        store: the folder to fill.
        workers: files read at a time; None takes one a processor.

    Raises:
        RawFileError: `inputs` hold no camera file at all.
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
    frames: list[Source] = list(find_sidd_frames(inputs))
    try:
        found = find_sources(inputs)
    except PhotoError:
        others = [item for item in inputs if not any(frame.path.is_relative_to(item) for frame in frames)]
        if not frames:
            raise
        found = find_sources(others)  # SIDD's RAW set holds neither photos nor camera files
    return [*(source for source in found if source.is_raw), *frames]


def _identity(source: Source) -> dict[str, object]:
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
    """Mosaic (H, W), photo (H, W, 3), and what is noted of a camera file."""
    image = read_raw(source.path)
    record = {
        "pattern_in_file": image.pattern,
        "white_balance": image.white_balance.tolist(),
        "cam2rgb": None if image.cam2rgb is None else image.cam2rgb.tolist(),
        "iso": image.iso,
    }
    return image.mosaic, render_with_libraw(source.path), record


def _read_frame(source: SiddFrame) -> tuple[NDArray[np.float32], NDArray[np.uint8], dict[str, Any]]:
    """The same of a frame of SIDD, which says nothing of its colours."""
    mosaic, pattern, photo = source.read()
    iso = parse_scene(source.path.parent.absolute().name).iso
    return mosaic, photo, {"pattern_in_file": pattern, "white_balance": None, "cam2rgb": None, "iso": iso}


def _save_array(path: Path, array: NDArray) -> None:
    with written_aside(path) as aside, aside.open("wb") as file:
        np.save(file, array)


def split_names(names: Sequence[str], holdout: Sequence[str], holdout_count: int = 0) -> tuple[list[str], list[str]]:
    """Split pair names into (training, held out).

    Args:
        holdout: shell patterns of names to hold out, so that a scene shot more than once can be kept together.
        holdout_count: hold out this many more, chosen by a hash of the name: the same everywhere and in any order.

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
    """Prepared pairs, memory-mapped: `draw` random squares of them.

    Args:
        store: the folder that `prepare` filled.
        names: the pairs to use.
        scenes: shell patterns of names that show one scene; `draw` takes every scene equally often. A file that fits
            none is a scene of its own.
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
        """The whole pair: RGGB mosaic (H, W) uint16 (linear times 65535) and photo (H, W, 3) uint8."""
        if name not in self._open:
            self._open[name] = tuple(  # type: ignore[assignment]
                np.load(self.folder / f"{name}.{kind}.npy", mmap_mode="r") for kind in ("mosaic", "srgb")
            )
        return self._open[name]

    def draw(self, rng: np.random.Generator, size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """A random square of a random file at an even offset: mosaic (size, size) and photo (size, size, 3), [0, 1].

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
        return mosaic[window].astype(np.float32) / np.float32(65535), srgb[window].astype(np.float32) / np.float32(255)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", nargs="+", required=True, help="camera RAW files or folders of them")
    parser.add_argument("--output", type=Path, required=True, help="the store to fill")
    parser.add_argument("--workers", type=int, default=None, help="files read at a time (default: one a processor)")
    args = parser.parse_args()
    report = prepare(args.input, args.output, args.workers)
    for path, reason in report.skipped:
        print(f"skipped {path}: {reason}")
    print(f"{len(report.ready)} pairs ready in {args.output}, {len(report.skipped)} files skipped (report.tsv)")


if __name__ == "__main__":
    main()
