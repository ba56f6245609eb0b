"""Recipes, runs and weights."""

import contextlib
import functools
from pathlib import Path
from typing import Any

from cycleisp.utils.errors import UserError
from tests.support.readable.kind import Readable


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
    from cycleisp.utils.weights.formats.released_files import read_released

    with contextlib.suppress(UserError):
        load_any(path)
    return read_released(path)


READABLES = {
    "recipe": Readable(_recipe_file, _recipe),
    "recipe of a run": Readable(_run_recipe_file, _run_recipe),
    "registry.yaml": Readable(_registry_file, _registry),
    "checkpoint": Readable(_run, _resumed),
    "metrics.jsonl": Readable(_metrics_file, _metrics),
    "safetensors": Readable(_safetensors, _weights),
    "pth": Readable(_released, _pickle),
}
