"""Where pairs {photo, RAW} come from: camera files, and the clean frames of SIDD."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.sidd.medium import SiddFrame, find_sidd_frames
from cycleisp.dataloaders.sidd.scenes import scene_of
from cycleisp.dataloaders.sources import Source, SourceError, find_sources
from cycleisp.dataloaders.training.camera_rendering import read_camera_rendering
from cycleisp.utils.camera_jpeg.preview import jpegs_beside
from cycleisp.utils.config.values import Render
from cycleisp.utils.processes.apart import apart
from cycleisp.utils.raw.camera_files import RawFileError, read_raw, render_with_libraw
from cycleisp.utils.raw.capture_time import taken_at

LAYOUT = 1  # of the store; pairs of another layout are made again
Pair = tuple[NDArray[np.float32], NDArray[np.uint8], dict[str, Any]]


def find_pair_sources(inputs: Sequence[Path | str], render: Render) -> list[Source]:
    """Returns the camera files and the frames of SIDD among some files and folders.

    With the camera's JPEGs beside them, files are named as if the JPEGs were not there.
    """
    frames: list[Source] = list(find_sidd_frames(inputs))
    try:
        found = find_sources(inputs)
    except SourceError:
        # SIDD's RAW set holds neither photos nor camera files
        found = find_sources([item for item in inputs if not Path(item).is_dir() or _holds_sources(item)])
    raw = [source for source in found if source.space == "raw"]
    return [*(_named_alone(raw) if render == "camera" else raw), *frames]


def _named_alone(sources: Sequence[Source]) -> list[Source]:
    """Returns camera files by their paths without suffix; those of one path get numbers."""
    named: dict[str, Source] = {}
    for source in sources:
        name = PurePosixPath(source.relative).with_suffix("").as_posix()
        unique, number = name, 1
        while unique in named:
            number += 1
            unique = f"{name}-{number}"
        named[unique] = replace(source, name=unique)
    return list(named.values())


def _holds_sources(folder: Path | str) -> bool:
    try:
        return bool(find_sources([folder]))
    except SourceError:
        return False


def identity_of(source: Source, render: Render) -> dict[str, object]:
    """Returns what shows whether a file has changed since its pair was made, and for which render.

    Pairs of LibRaw's rendering say nothing of it, as those of earlier versions.
    """
    status = source.path.stat()
    identity = {"layout": LAYOUT, "file": source.path.name, "bytes": status.st_size, "modified_ns": status.st_mtime_ns}
    if isinstance(source, SiddFrame) and source.photo is not None:
        status = source.photo.stat()
        identity |= {"photo_bytes": status.st_size, "photo_modified_ns": status.st_mtime_ns}
    if render == "camera":
        beside = [(file.name, file.stat()) for file in jpegs_beside(source.path)]
        identity |= {"render": render, "jpegs": [[name, each.st_size, each.st_mtime_ns] for name, each in beside]}
    return identity


def read_pair_source(source: Source, render: Render) -> Pair:
    """Reads one pair.

    Returns:
        The mosaic (H, W), linear in [0, 1]; the photo (H, W, 3); and what the file says: its
        Bayer pattern, and its colours where it is a camera file.

    Raises:
        UserError: the file cannot be used.
    """
    if not isinstance(source, SiddFrame):
        return _read_camera_file(source.path, render)
    if render == "camera":
        raise RawFileError(f"{source.path}: a frame of SIDD has no camera's JPEG; leave it out, or --render camera")
    mosaic, pattern, photo = source.read()
    iso = scene_of(source.path).iso
    return mosaic, photo, {"pattern_in_file": pattern, "white_balance": None, "cam2rgb": None, "iso": iso}


def _read_camera_file(path: Path, render: Render) -> Pair:
    image = apart(read_raw, path)
    record = {
        "pattern_in_file": image.pattern,
        "white_balance": image.white_balance.tolist(),
        "cam2rgb": None if image.cam2rgb is None else image.cam2rgb.tolist(),
        "iso": image.iso,
        "taken": None if (time := taken_at(path)) is None else time.isoformat(),
    }
    if render == "libraw":
        return image.mosaic, apart(render_with_libraw, path), record
    found = apart(read_camera_rendering, path)
    record["jpeg"] = {
        "origin": found.origin,
        "rows": [found.rows.start, found.rows.stop],
        "columns": [found.columns.start, found.columns.stop],
        "warp": {"base": found.warp.base.tolist(), "size": found.warp.size, "terms": found.warp.terms.tolist()},
        "interpolated": found.warp.whole_crop is None,
        "typical_error": round(found.typical_error, 3),
        "large_error": round(found.large_error, 3),
    }
    return image.mosaic[found.rows, found.columns], found.photo, record  # it begins at an even place: the same pattern
