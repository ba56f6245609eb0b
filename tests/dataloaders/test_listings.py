"""What macOS adds to folders is never taken for a photo, a pair, a scene or a result."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cycleisp.dataloaders.dnd.submission import validate_submission, write_bundle
from cycleisp.dataloaders.near_misses import near_misses
from cycleisp.dataloaders.pairs.folders import find_pairs
from cycleisp.dataloaders.real_noise.finding import find_residual_sources
from cycleisp.dataloaders.results.view_pairs import find_view_pairs
from cycleisp.dataloaders.sidd.medium import advice_on_archives, find_sidd_frames
from cycleisp.dataloaders.sources import find_sources
from cycleisp.dataloaders.training.pair_sources import find_training_pairs
from cycleisp.dataloaders.training.raw_pairs import prepare
from tests.support.dnd import SMALL
from tests.support.pairs import numbered, store_srgb, write_pair
from tests.support.pictures import random_mosaic, random_picture, write_dng, write_png
from tests.support.real_noise import SCENES, clean_mosaic, write_frame, write_known_cameras, write_scene


def as_macos_leaves_it(folder: Path) -> None:
    """Puts a `._NAME` beside every file, and copies of all below `__MACOSX` and `.Trashes`."""
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        inside = path.relative_to(folder)
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\26\7\0\2\0\0Mac OS X")
        for hidden in ("__MACOSX", ".Trashes"):
            (folder / hidden / inside.parent).mkdir(parents=True, exist_ok=True)
            (folder / hidden / inside).write_bytes(path.read_bytes())


def photos(folder: Path) -> None:
    for name in ("a.png", "deep/b.png"):
        write_png(folder / name, random_picture(16, 16))
    write_dng(folder / "c.dng", random_mosaic(40, 48))


def pairs(folder: Path) -> None:
    write_pair(folder, "a", numbered(20, 24, 1), numbered(20, 24, 2))


def sidd_pairs(folder: Path) -> None:
    for kind in ("NOISY", "GT"):
        write_png(folder / SCENES["RGGB"] / f"0031_{kind}_SRGB_010.PNG", numbered(20, 24, 1))


def stored_pairs(folder: Path) -> None:
    store_srgb(folder, "a", numbered(20, 24, 1), numbered(20, 24, 2))


def scenes(folder: Path) -> None:
    write_known_cameras(folder)
    clean = clean_mosaic(40, 48)
    write_scene(folder, SCENES["RGGB"], clean + 0.001, clean)
    for number in range(2):
        write_frame(folder / "frames" / f"{number}.dng", clean)


def camera_files(folder: Path) -> None:
    write_dng(folder / "a.dng", random_mosaic(40, 48))


def archives(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "SIDD.zip").write_bytes(b"")


def submission(folder: Path) -> None:
    for number in SMALL.numbers:
        crops = [np.zeros(SMALL.crop_shape("raw"), np.float32)] * SMALL.boxes
        write_bundle(folder / f"{number:04d}.mat", crops, "raw", SMALL)


def elsewhere(folder: Path) -> None:
    (folder / "below").mkdir(parents=True)
    (folder / "below" / "info.mat").write_bytes(b"")


LISTINGS: dict[str, tuple[Callable[[Path], None], Callable[[Path], object]]] = {
    "photos": (photos, lambda folder: [source.path for source in find_sources([folder])]),
    "views": (photos, lambda folder: len(find_view_pairs(folder, folder, folder.parent / "out"))),
    "pairs": (pairs, find_pairs),
    "pairs of SIDD": (sidd_pairs, find_pairs),
    "pairs of generate_data": (stored_pairs, lambda folder: find_training_pairs(folder, "srgb")),
    "sources of noise": (scenes, lambda folder: [source.name for source in find_residual_sources(folder)[0]]),
    "frames of SIDD": (scenes, lambda folder: find_sidd_frames([folder])),
    "RAW to prepare": (camera_files, lambda folder: prepare([folder], folder.parent / "store", workers=1)),
    "archives": (archives, lambda folder: advice_on_archives([folder])),
    "submission": (submission, lambda folder: validate_submission(folder, "raw", SMALL)),
    "near misses": (elsewhere, lambda folder: near_misses(folder, ["info.mat"])),
}


@pytest.mark.parametrize("kind", LISTINGS)
def test_nothing_is_found_that_macos_has_added(tmp_path: Path, kind: str) -> None:
    write, listed = LISTINGS[kind]
    write(tmp_path / "folder")
    before = listed(tmp_path / "folder")
    assert before or kind == "submission"
    as_macos_leaves_it(tmp_path / "folder")
    assert listed(tmp_path / "folder") == before
