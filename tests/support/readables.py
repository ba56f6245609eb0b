"""Every kind of file that the project reads: valid ones, as small as can be, and their reader.

`try_mutants` damages them and calls the readers. It runs in a process of its own (utils/apart.py),
which is watched.
"""

import contextlib
import dataclasses
import functools
import io
import os
import struct
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import tifffile
from PIL import Image

from cycleisp.utils.errors import UserError
from tests.support.mutation import mutant
from tests.support.pictures import PROFILE, camera_exif, random_mosaic, random_picture, write_dng, write_png

SMALL = 6  # pixels of a side
# This process is one apart already.
SETTINGS = {"CYCLEISP_MAX_PIXELS": str(4 << 20), "CYCLEISP_MAX_BYTES": str(64 << 20), "CYCLEISP_APART": "0"}
MEMORY = 1 << 30  # bytes that a process may take: 16 times the limit of what is read
LONGEST = 20  # seconds for one file

Make = Callable[[Path], Sequence[Path]]  # writes valid files to a folder, and returns those to damage
Read = Callable[[Path], object]


@dataclasses.dataclass(frozen=True)
class Readable:
    """One kind of file.

    Attributes:
        make: writes valid files, and whatever else their reader wants to see beside them.
        read: reads one of them, damaged or not.
    """

    make: Make
    read: Read


# ------------------------------------------------------------ photos and camera files


def _photo(path: Path) -> object:
    from cycleisp.dataloaders.photos import read_photo_and_metadata

    return read_photo_and_metadata(path)


def _pillow(suffix: str, **options: Any) -> Make:
    def make(folder: Path) -> list[Path]:
        paths = [folder / f"{number}{suffix}" for number in range(2)]
        for number, path in enumerate(paths):
            picture = Image.fromarray(random_picture(SMALL, SMALL + 2 * number, seed=number))
            picture.save(path, exif=camera_exif(3 + number), icc_profile=PROFILE, **options)
        return paths

    return make


def _png(dtype: type) -> Make:
    def make(folder: Path) -> list[Path]:
        return [write_png(folder / f"{n}.png", random_picture(SMALL, SMALL + n, dtype, n)) for n in range(2)]

    return make


def _tiff(dtype: type, **options: Any) -> Make:
    def make(folder: Path) -> list[Path]:
        picture = random_picture(SMALL, SMALL, dtype)
        first, second = folder / "a.tif", folder / "b.tif"
        tifffile.imwrite(first, picture, photometric="rgb", **options)
        tifffile.imwrite(second, picture, photometric="rgb", compression="zlib", predictor=True, byteorder=">")
        return [first, second]

    return make


def _tiff_of_12_bits(folder: Path) -> list[Path]:
    samples = (random_picture(SMALL, SMALL, np.uint16) >> 4).reshape(-1, 2).astype(int)
    packed = b"".join(bytes((a >> 4, (a & 15) << 4 | b >> 8, b & 255)) for a, b in samples.tolist())
    tags = {256: SMALL, 257: SMALL, 258: 12, 259: 1, 262: 2, 273: 8, 277: 3, 278: SMALL, 279: len(packed)}
    entries = b"".join(struct.pack("<HHII", code, 4, 1, value) for code, value in tags.items())
    ifd = struct.pack("<H", len(tags)) + entries + bytes(4)
    path = folder / "a.tif"
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(packed)) + packed + ifd)
    return [path]


def _dng(folder: Path) -> list[Path]:
    more = {"noise_profile": [0.01, 0.0001], "xyz2cam": np.eye(3)}
    return [
        write_dng(folder / "a.dng", random_mosaic(24, 32), **more),
        write_dng(folder / "b.dng", random_mosaic(40, 36), "BGGR", black=(60, 61, 62, 63), active_area=(2, 2, 38, 34)),
    ]


def _camera_file(path: Path) -> object:
    from cycleisp.dataloaders.kinds import kind_of
    from cycleisp.utils.raw.camera_files import read_raw, render_with_libraw

    kind_of(path)
    return read_raw(path), render_with_libraw(path)


# ------------------------------------------------------------ folders that the scripts write


def _pairs(folder: Path) -> list[Path]:
    from tests.support.pairs import store_raw

    planes = np.arange(4 * SMALL * SMALL, dtype=np.uint16).reshape(4, SMALL, SMALL)
    for name in ("a", "b/c"):
        store_raw(folder, name, planes, planes + 7)
    return [next(folder.glob("manifest*.jsonl"))]


def _manifest(path: Path) -> object:
    from cycleisp.dataloaders.pairs.store import PairStore, read_manifest
    from cycleisp.dataloaders.training.pair_sources import find_training_pairs
    from tests.support.pairs import SETTINGS

    content = path.read_bytes()
    with contextlib.suppress(UserError):
        for pair in find_training_pairs(path.parent, "raw"):
            pair.read()
    with contextlib.suppress(UserError):
        read_manifest(path.parent)
    try:
        PairStore(path.parent, SETTINGS).merge()
    finally:
        (path.parent / "manifest.jsonl").unlink(missing_ok=True)
        path.write_bytes(content)
    return None


def _stored_pair(folder: Path) -> list[Path]:
    _pairs(folder)
    return sorted(folder.rglob("*.h5"))


def _raw_pair(path: Path) -> object:
    from cycleisp.dataloaders.pairs.store import read_raw_pair

    return read_raw_pair(path)


def _settings_file(folder: Path) -> list[Path]:
    from cycleisp.utils.output.settings import claim_folder

    claim_folder(folder, {"seed": 0, "noise": "dnd", "size": [1, 2]}, "pairs")
    return [folder / "settings.json"]


def _settings(path: Path) -> object:
    from cycleisp.utils.output.settings import check_folder

    return check_folder(path.parent, {"seed": 0, "noise": "dnd", "size": [1, 2]}, "pairs")


def _results(folder: Path) -> list[Path]:
    from cycleisp.dataloaders.sources import Source

    photos = [write_png(folder / "in" / f"{n}.png", random_picture(SMALL, SMALL, seed=n)) for n in range(2)]
    results = _result_folder(folder)
    plan = results.plan([Source(path, path.stem) for path in photos], lambda _: [".png"], lambda _: {"tile": None})
    for result in plan:
        fingerprint = results.fingerprint(result)
        with results.writing(result, fingerprint, results.missing(result)) as parts:
            for part in parts.values():
                part.write_bytes(b"made")
    return [folder / "results.jsonl"]


def _result_folder(folder: Path) -> Any:
    from cycleisp.dataloaders.results.result_folder import ResultFolder

    return ResultFolder(folder)


def _record(path: Path) -> object:
    from cycleisp.dataloaders.sources import Source

    results = _result_folder(path.parent)
    photos = sorted((path.parent / "in").iterdir())
    plan = results.plan([Source(photo, photo.stem) for photo in photos], lambda _: [".png"], lambda _: {"tile": None})
    return [results.missing(result) for result in plan]


def _prepared(folder: Path) -> list[Path]:
    from cycleisp.dataloaders.training.raw_pairs import prepare

    write_dng(folder / "raw" / "a.dng", random_mosaic(24, 32))
    prepare([folder / "raw"], folder / "store", workers=1)
    return sorted((folder / "store").glob("a.*"))


def _prepared_pair(path: Path) -> object:
    from cycleisp.dataloaders.training.raw_pair_store import RawPairStore
    from cycleisp.dataloaders.training.raw_pairs import prepare

    with contextlib.suppress(UserError):
        RawPairStore(path.parent, ["a"]).draw(np.random.default_rng(0), 8)
    report = prepare([path.parent.parent / "raw"], path.parent, workers=1)  # makes anew what is damaged
    return RawPairStore(path.parent, report.ready).draw(np.random.default_rng(0), 8)


# ------------------------------------------------------------ training


def _recipe_file(folder: Path) -> list[Path]:
    from cycleisp.utils.config.files import SHIPPED

    names = ("paper/denoiser_raw_dnd.yaml", "denoiser_smoke.yaml")
    for name in names:
        (folder / Path(name).name).write_bytes((SHIPPED / name).read_bytes())
    return [folder / Path(name).name for name in names]


def _recipe(path: Path) -> object:
    from cycleisp.utils.config import DenoiserRecipe, load_recipe

    return load_recipe(DenoiserRecipe, path)


def _registry_file(folder: Path) -> list[Path]:
    from tests.support.weights import ENTRY, write_registry

    write_registry(folder, ENTRY, bundles=[{"name": "all", "network": "CycleISP", "space": "raw", "members": ["tiny"]}])
    return [folder / "registry.yaml"]


def _registry(path: Path) -> object:
    from cycleisp.utils.weights.registry import read_registry, table

    return table(read_registry(path.parent))


@functools.cache
def _trainer(folder: Path) -> Any:
    from tests.support.training import recipe, trainer

    return trainer(folder, recipe(), "SrgbDenoiser")


def _run(folder: Path) -> list[Path]:
    _trainer(folder).save()
    (folder / "metrics.jsonl").write_text('{"step": 0, "psnr_srgb": 20.5}\n{"step": 6, "psnr_srgb": 21.5}\n')
    return [folder / "checkpoint.ckpt"]


def _resumed(path: Path) -> object:
    return _trainer(path.parent).resume()


def _metrics_file(folder: Path) -> list[Path]:
    _run(folder)
    return [folder / "metrics.jsonl"]


def _metrics(path: Path) -> object:
    from cycleisp.utils.training.journal import keep_records

    return keep_records(path, 3)


def _run_recipe_file(folder: Path) -> list[Path]:
    _run(folder)
    return [folder / "recipe.yaml"]


def _run_recipe(path: Path) -> object:
    from cycleisp.utils.config import TrainingRecipe
    from cycleisp.utils.training.run_folder import RunFolder
    from tests.support.training import SIZES, recipe

    return RunFolder(path.parent, TrainingRecipe(seed=5, train=recipe()), SIZES, _trainer(path.parent).fabric)


# ------------------------------------------------------------ weights


def _safetensors(folder: Path) -> list[Path]:
    import torch

    from cycleisp.networks import pretrained
    from cycleisp.utils.weights.files import save_weights
    from tests.support.weights import DENOISER_SIZES

    torch.manual_seed(3)
    paths = []
    for kind in ("SrgbDenoiser", "RawDenoiser"):
        paths.append(folder / f"{kind}.safetensors")
        save_weights(paths[-1], pretrained.build(kind, DENOISER_SIZES), {"network": kind, "sizes": DENOISER_SIZES})
    return paths


def _released(folder: Path) -> list[Path]:
    import torch

    state = {f"module.{number}.weight": torch.arange(8.0).reshape(2, 4) + number for number in range(3)}
    torch.save({"state_dict": state, "epoch": 3}, folder / "a.pth")
    torch.save(state, folder / "b.pth", _use_new_zipfile_serialization=False)
    return [folder / "a.pth", folder / "b.pth"]


def _weights(path: Path) -> object:
    from cycleisp.networks.pretrained import load_any

    return load_any(path)


def _pickle(path: Path) -> object:
    from cycleisp.networks.pretrained import load_any
    from cycleisp.utils.weights.released_files import read_released

    with contextlib.suppress(UserError):
        load_any(path)
    return read_released(path)


# ------------------------------------------------------------ benchmarks


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
    "JPEG": Readable(_pillow(".jpg", quality=90), _photo),
    "PNG of 8 bits": Readable(_png(np.uint8), _photo),
    "PNG with metadata": Readable(_pillow(".png"), _photo),
    "PNG of 16 bits": Readable(_png(np.uint16), _photo),
    "WebP": Readable(_pillow(".webp"), _photo),
    "TIFF of 8 bits": Readable(_tiff(np.uint8), _photo),
    "TIFF of 16 bits": Readable(_tiff(np.uint16), _photo),
    "TIFF of 12 bits": Readable(_tiff_of_12_bits, _photo),
    "BigTIFF": Readable(_tiff(np.uint16, bigtiff=True), _photo),
    "DNG": Readable(_dng, _camera_file),
    "manifest.jsonl": Readable(_pairs, _manifest),
    "stored RAW pair": Readable(_stored_pair, _raw_pair),
    "settings.json": Readable(_settings_file, _settings),
    "results.jsonl": Readable(_results, _record),
    "prepared RAW pair": Readable(_prepared, _prepared_pair),
    "recipe": Readable(_recipe_file, _recipe),
    "recipe of a run": Readable(_run_recipe_file, _run_recipe),
    "registry.yaml": Readable(_registry_file, _registry),
    "checkpoint": Readable(_run, _resumed),
    "metrics.jsonl": Readable(_metrics_file, _metrics),
    "safetensors": Readable(_safetensors, _weights),
    "pth": Readable(_released, _pickle),
    "SIDD blocks": Readable(_sidd_blocks, _blocks),
    "results of test_sidd.py": Readable(_sidd_results, _denoised_blocks),
    "SIDD tables": Readable(_sidd_tables, _table),
    "SIDD-Medium": Readable(_sidd_medium, _frame),
    "SIDD submission": Readable(_sidd_submission, _submission),
    "DND": Readable(_dnd, _dnd_data),
    "DND submission": Readable(_dnd_submission, _bundle),
}


# ------------------------------------------------------------ the trial


@dataclasses.dataclass
class _Made:
    paths: list[Path]
    contents: list[bytes]


_MADE: dict[str, _Made] = {}


def try_mutants(note: Path, kind: str, seed: int, numbers: range) -> list[str]:
    """Reads damaged files, and says what came of those that were not refused as they should be.

    Args:
        note: a file that always holds the number of the damaged file that is read, for whoever
            waits in vain.
        kind: a key of READABLES.
        seed, numbers: which damaged files.

    Returns:
        One text for each error that is not the project's own, and each file that took too long.
    """
    readable = READABLES[kind]
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        try:
            made = _made(note, kind)
        except Exception:
            return [f"the valid files cannot be read: {traceback.format_exc(limit=-6)}"]
        complaints = []
        for number in numbers:
            note.write_text(str(number))
            path = made.paths[number % len(made.paths)]
            before = path.read_bytes()
            path.write_bytes(mutant(made.contents, seed, number))
            begun = time.monotonic()
            try:
                with mock.patch.dict(os.environ, SETTINGS):
                    readable.read(path)
            except UserError as error:
                if "does not fit into memory" in str(error):
                    complaints.append(f"{number}: took memory before it thought: {error}")
            except Exception:
                complaints.append(f"{number}: {traceback.format_exc(limit=-6)}")
            finally:
                path.write_bytes(before)
            if (seconds := time.monotonic() - begun) > LONGEST:
                complaints.append(f"{number}: took {seconds:.0f} s")
    return complaints


def _made(note: Path, kind: str) -> _Made:
    """Makes the valid files of a kind, once a process, and checks that they can be read."""
    if kind not in _MADE:
        cv2.setNumThreads(1)
        folder = note.parent / f"{kind} of {os.getpid()}"
        folder.mkdir(parents=True)
        with mock.patch.dict(os.environ, SETTINGS):
            paths = list(READABLES[kind].make(folder))
            contents = [path.read_bytes() for path in paths]
            for path in paths:
                READABLES[kind].read(path)
        _MADE[kind] = _Made(paths, contents)
    return _MADE[kind]
