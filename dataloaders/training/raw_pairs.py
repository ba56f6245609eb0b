"""Pairs {photo, RAW} from any folder of camera RAW files, prepared for fast random access.

    STORE/NAME.mosaic.npy    (H, W) uint16, linear RGGB times 65535
    STORE/NAME.srgb.npy      (H, W, 3) uint8, LibRaw's rendering, or the camera's own JPEG
    STORE/NAME.json          what the camera file says; written last, it marks the pair as whole
    STORE/report.tsv         which files are ready, and which cannot be used for what reason
    STORE/render.txt         with the camera's JPEGs alone, which keeps the two kinds apart

The clean frames of SIDD-Medium and SIDD-Small serve as well: <scene>/NNNN_GT_RAW_010.MAT with
NNNN_GT_SRGB_010.PNG, or without NNNN_.
"""

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.sidd.medium import SiddFrame, advice_on_archives
from cycleisp.dataloaders.sources import Source
from cycleisp.dataloaders.training.raw_pair_sources import find_pair_sources, identity_of, read_pair_source
from cycleisp.dataloaders.training.raw_pair_store import open_pair
from cycleisp.utils.config.values import Render
from cycleisp.utils.errors import UserError, reading, reason
from cycleisp.utils.output.files import atomic_path, remove_temporary_files, write_bytes
from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.camera_files import RAW_SUFFIXES, RawFileError
from cycleisp.utils.raw.capture_time import taken_at

_REPORT, _RENDER_FILE = "report.tsv", "render.txt"
RENDERS: dict[str, str] = {"libraw": "LibRaw's rendering", "camera": "the camera's JPEG"}


@dataclass(frozen=True)
class Report:
    """What `prepare` did.

    Attributes:
        ready: the names of the usable pairs.
        skipped: the files that were left out, each with the reason.
        taken: when the camera files of usable pairs were taken, by name, where they say it.
        scenes: the scene of each usable pair of SIDD, by name.
    """

    ready: list[str]
    skipped: list[tuple[Path, str]]
    taken: dict[str, datetime] = field(default_factory=dict)
    scenes: dict[str, str] = field(default_factory=dict)


def prepare(inputs: Sequence[Path | str], store: Path, workers: int | None = None, render: Render = "libraw") -> Report:
    """Fills a folder with one pair for each camera file, and for each clean frame of SIDD-Medium.

    Pairs that are already there, whole, and whose file has not changed, are kept. Bad files do not
    stop the others.

    Args:
        inputs: files, and folders that are searched at all depths.
        store: the folder to fill.
        workers: how many files to read at a time; None takes one per processor.
        render: what the photo of a pair is: LibRaw's rendering of the RAW file, or the camera's own
            JPEG. A folder holds pairs of one kind.

    Raises:
        UserError: an input does not exist, the inputs hold no camera file, the folder holds pairs
            of the other rendering, or it cannot be written.
    """
    sources = find_pair_sources(inputs, render)
    if not sources:
        raise RawFileError(
            f"{', '.join(map(str, inputs))}: no camera RAW file; looked for {' '.join(sorted(RAW_SUFFIXES))} and for "
            f"SIDD's NNNN_GT_RAW_010.MAT{advice_on_archives(inputs)}"
        )
    with _writing(store):
        store.mkdir(parents=True, exist_ok=True)
        _check_render(store, render)
        remove_temporary_files(store)
    records = {source.name: _stored_record(source, store, render) for source in sources}
    missing = [source for source in sources if records[source.name] is None]
    skipped: list[tuple[Path, str]] = []
    pool = ThreadPoolExecutor(workers or os.cpu_count())
    try:
        jobs = {pool.submit(_prepare_one, source, store, render): source for source in missing}
        for job in progress_bar(
            iterable=as_completed(jobs), total=len(jobs), desc="preparing RAW", unit="file", disable=not jobs
        ):
            source = jobs[job]
            try:
                records[source.name] = job.result()
            except _StoreError:
                raise
            except UserError as error:
                skipped.append((source.path, str(error)))
    finally:
        pool.shutdown(cancel_futures=True)
    ready = {source.name: source for source in sources if records[source.name] is not None}
    _write_report(store, sorted(ready), sorted(skipped))
    taken = {name: _time(records[name], source, store) for name, source in ready.items()}
    return Report(
        sorted(ready),
        sorted(skipped),
        {name: time for name, time in taken.items() if time is not None},
        {name: source.path.parent.name for name, source in ready.items() if isinstance(source, SiddFrame)},
    )


class _StoreError(UserError):
    """The store cannot be used, so that all further pairs would fail, too."""


@contextmanager
def _writing(store: Path) -> Iterator[None]:
    """Turns an error while writing to the store into one error that ends the run."""
    try:
        yield
    except OSError as error:
        raise _StoreError(
            f"{store}: cannot be written ({reason(error)}); make room or give another --prepared or --output; "
            "pairs that are finished are kept"
        ) from None


def _write_report(store: Path, ready: Sequence[str], skipped: Sequence[tuple[Path, str]]) -> None:
    rows = [("state", "file", "reason"), *(("ready", name, "") for name in ready)]
    rows += [("skipped", str(path), why) for path, why in skipped]
    lines = ["\t".join(" ".join(cell.split("\t")).replace("\n", " ") for cell in row) for row in rows]
    with _writing(store):  # names of files need not be UTF-8
        write_bytes(store / _REPORT, ("\n".join(lines) + "\n").encode(errors="backslashreplace"))


def _stored_record(source: Source, store: Path, render: Render) -> dict[str, Any] | None:
    """Returns what is stored of a pair beside its pictures; None if it is to be made (again).

    Raises:
        UserError: it is a pair of the other rendering, which is not to be lost.
    """
    try:
        record = json.loads((store / f"{source.name}.json").read_bytes())
        if (stored := record["source"].get("render", "libraw")) != render:
            raise _other_render(store, stored, render)
        if record["source"] != identity_of(source, render):
            return None
        open_pair(store, source.name)
    except _StoreError:
        raise
    except Exception:  # whatever is damaged in the store is made again
        return None
    return record


def _check_render(store: Path, render: Render) -> None:
    """Marks a folder for the camera's JPEGs. Raises _StoreError if it holds the other kind."""
    mark = store / _RENDER_FILE
    if mark.exists():
        stored = mark.read_text(encoding="utf-8", errors="replace").strip()
    else:
        stored = "libraw" if (store / _REPORT).exists() else render
    if stored != render:
        raise _other_render(store, stored, render)
    if render != "libraw" and not mark.exists():  # LibRaw's have none, as in earlier versions
        write_bytes(mark, render.encode())


def _other_render(store: Path, stored: str, render: Render) -> _StoreError:
    return _StoreError(
        f"{store}: holds pairs with {RENDERS.get(stored, 'another rendering')}, and pairs with {RENDERS[render]} are "
        "wanted (--render, data.render); give another --prepared or --output"
    )


def _prepare_one(source: Source, store: Path, render: Render) -> dict[str, Any]:
    """Makes a pair, and returns what is stored of it beside its pictures.

    Raises:
        RawFileError: the file cannot be used.
        _StoreError: the store cannot be written.
    """
    with reading(source.path, RawFileError):
        linear, rendered, record = read_pair_source(source, render)
        height, width = linear.shape
        rows, columns = bayer.rggb_window(height, width, record["pattern_in_file"])
        mosaic = np.round(linear[rows, columns] * 65535).astype(np.uint16)
        record = {"source": identity_of(source, render), **record}
    target = store / source.name
    with _writing(store):
        target.parent.mkdir(parents=True, exist_ok=True)
        _save_array(target.with_name(f"{target.name}.mosaic.npy"), mosaic)
        _save_array(target.with_name(f"{target.name}.srgb.npy"), rendered[rows, columns])
        _save_record(record, source, store)
    return record


def _save_record(record: dict[str, Any], source: Source, store: Path) -> None:
    write_bytes(store / f"{source.name}.json", json.dumps(record, indent=1).encode())


def _time(record: dict[str, Any] | None, source: Source, store: Path) -> datetime | None:
    """Returns when a camera file was taken. Earlier stores lack it, and get it."""
    if record is None or isinstance(source, SiddFrame):
        return None
    if "taken" not in record:
        time = taken_at(source.path)
        record["taken"] = None if time is None else time.isoformat()
        with _writing(store):
            _save_record(record, source, store)
    try:
        return None if record["taken"] is None else datetime.fromisoformat(record["taken"])
    except (TypeError, ValueError):
        return None


def _save_array(path: Path, array: NDArray) -> None:
    with atomic_path(path) as aside, aside.open("wb") as file:
        np.save(file, np.ascontiguousarray(array))
