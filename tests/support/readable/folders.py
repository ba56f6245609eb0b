"""What lies in the folders that the scripts write."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from cycleisp.utils.errors import UserError
from tests.support.pictures import random_mosaic, random_picture, write_dng, write_png
from tests.support.readable.kind import Readable

SMALL = 6  # pixels of a side


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


READABLES = {
    "manifest.jsonl": Readable(_pairs, _manifest),
    "stored RAW pair": Readable(_stored_pair, _raw_pair),
    "settings.json": Readable(_settings_file, _settings),
    "results.jsonl": Readable(_results, _record),
    "prepared RAW pair": Readable(_prepared, _prepared_pair),
}
