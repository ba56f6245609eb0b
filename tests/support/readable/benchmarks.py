"""SIDD and DND."""

from pathlib import Path
from typing import Any

import numpy as np

from tests.support.pictures import random_mosaic, write_png
from tests.support.readable.kind import Readable


def _sidd(folder: Path) -> Any:
    from cycleisp.dataloaders import protocols
    from tests.support import sidd

    protocols.SIDD_SIDE = sidd.SIDE = 2
    for space, compressed in (("srgb", True), ("raw", False)):
        clean = sidd.some_blocks(space)
        sidd.write_validation(folder, sidd.with_noise(clean), clean)
        for path in folder.glob(f"Validation*{space.title()}.mat"):
            sidd.write_blocks(path, clean, compressed)
    (folder / "scenes.txt").write_text("\n".join(sidd.VALIDATION_SCENES))
    return folder


def _sidd_blocks(folder: Path) -> list[Path]:
    return sorted(_sidd(folder).glob("ValidationNoisy*.mat"))


def _blocks(path: Path) -> object:
    from cycleisp.dataloaders.sidd.files import SiddBlocks

    space = "raw" if "Raw" in path.name else "srgb"
    blocks = SiddBlocks(path, space, path.parent / "unpacked")
    return [blocks[index] for index in range(0, len(blocks), 97)]


def _open_results(folder: Path) -> Any:
    from cycleisp.dataloaders.sidd.files import SiddData
    from cycleisp.dataloaders.sidd.results import SiddResults

    return SiddResults(folder / "out", SiddData(folder, "validation", "srgb"), {"weights": "abc"})


def _sidd_results(folder: Path) -> list[Path]:
    _open_results(_sidd(folder)).denoise(lambda noisy, _=None: noisy * noisy, 64)
    return [folder / "out" / "blocks.npy", folder / "out" / "seconds.npy"]


def _denoised_blocks(path: Path) -> object:
    results = _open_results(path.parents[1])
    return results.seconds_per_megapixel, [results[index] for index in range(0, 1280, 97)]


def _sidd_tables(folder: Path) -> list[Path]:
    _sidd(folder)
    return [folder / "noise_level_functions.csv", folder / "bayer_patterns.csv", folder / "scenes.txt"]


def _table(path: Path) -> object:
    from cycleisp.dataloaders.sidd.files import SiddData

    return SiddData(path.parent, "validation", "raw", path.parent / "scenes.txt")


def _sidd_medium(folder: Path) -> list[Path]:
    from tests.support.dnd import write_array

    scene = folder / "0001_001_S6_00100_00060_3200_L"
    mosaic = random_mosaic(16, 24).astype(np.float32) / 1023
    write_png(scene / "0001_GT_SRGB_010.PNG", np.stack([np.round(mosaic * 255).astype(np.uint8)] * 3, -1))
    return [write_array(scene / "0001_GT_RAW_010.MAT", "x", mosaic)]


def _frame(path: Path) -> object:
    from cycleisp.dataloaders.sidd.medium import find_sidd_frames

    return [frame.read() for frame in find_sidd_frames([path.parents[1]])]


def _sidd_submission(folder: Path) -> list[Path]:
    from cycleisp.dataloaders.sidd.submission import write_csv, write_matlab

    _sidd(folder)
    block = np.full((2, 2, 3), 7, np.uint8)
    write_matlab(folder / "SubmitSrgb.mat", "srgb", lambda _: block, 0.5)
    write_csv(folder / "SubmitSrgb.csv", lambda _: block)
    return [folder / "SubmitSrgb.mat", folder / "SubmitSrgb.csv"]


def _submission(path: Path) -> object:
    from cycleisp.dataloaders.sidd.submission import validate_submission

    return validate_submission(path)


def _extent() -> Any:
    """Returns the size of the smallest data set in the layout of DND."""
    from cycleisp.dataloaders.dnd.scenes import Extent

    return Extent(images=1, boxes=2, side=8)


def _dnd(folder: Path) -> list[Path]:
    from tests.support.dnd import fake_images, write_dnd

    write_dnd(folder, fake_images(["GRBG"], _extent()))
    return [folder / "info.mat", folder / "images_raw" / "0001.mat", folder / "images_srgb" / "0001.mat"]


def _dnd_data(path: Path) -> object:
    from cycleisp.dataloaders.dnd.files import DndData

    folder = path.parent if path.name == "info.mat" else path.parents[1]
    data = DndData(folder, "srgb" if "srgb" in path.parent.name else "raw", extent=_extent())
    return data.crops(data.scenes[0]), data.colors(data.scenes[0])


def _dnd_submission(folder: Path) -> list[Path]:
    from cycleisp.dataloaders.dnd.submission import write_bundle

    extent = _extent()
    crops = [np.full(extent.crop_shape("raw"), 0.5, np.float32)] * extent.boxes
    write_bundle(folder / "0001.mat", crops, "raw", extent)
    return [folder / "0001.mat"]


def _bundle(path: Path) -> object:
    from cycleisp.dataloaders.dnd.submission import bundle_problems

    return bundle_problems(path, "raw", _extent())


READABLES = {
    "SIDD blocks": Readable(_sidd_blocks, _blocks),
    "results of test_sidd.py": Readable(_sidd_results, _denoised_blocks),
    "SIDD tables": Readable(_sidd_tables, _table),
    "SIDD-Medium": Readable(_sidd_medium, _frame),
    "SIDD submission": Readable(_sidd_submission, _submission),
    "DND": Readable(_dnd, _dnd_data),
    "DND submission": Readable(_dnd_submission, _bundle),
}
