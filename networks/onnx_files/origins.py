"""Where weights come from: name, licence, training data and hash, for whoever passes a file on."""

import json
from dataclasses import dataclass
from pathlib import Path

from cycleisp.networks.pretrained import RELEASED_ISP, find_weights, weights_sha256
from cycleisp.utils.weights.files import read_metadata
from cycleisp.utils.weights.registry import Weights, folder_of, read_registry

UNKNOWN = "not stated in the weight file; ask whoever trained it"


@dataclass(frozen=True)
class Origin:
    """What is known of some weights.

    Attributes:
        name: in the registry, or the name of the file or folder.
        sha256: of the file; of a folder those of its files, joined by `+`.
        licence, training_data: as the registry states them, or UNKNOWN.
        numbers: results, each with its benchmark.
        recipe: the complete recipe of the training, YAML, or "" where the file has none.
    """

    name: str
    sha256: str
    licence: str = UNKNOWN
    training_data: str = UNKNOWN
    numbers: tuple[str, ...] = ()
    recipe: str = ""


def origin_of(name_or_path: str | Path) -> Origin:
    """Returns what the registry and the file itself say of weights.

    Args:
        name_or_path: as `networks.pretrained.load_network` takes it.

    Raises:
        WeightsError, DownloadError: as `networks.pretrained.find_weights`.
    """
    path = find_weights(name_or_path)
    files = [path / name for name in RELEASED_ISP] if path.is_dir() else [path]
    entries = [entry for file in files if (entry := _entry_of(file)) is not None]
    sha256 = weights_sha256(name_or_path)
    if len(entries) < len(files):
        return Origin(path.stem, sha256, recipe=_recipe(files[0]))
    return Origin(
        entries[0].name if len(entries) == 1 else path.name,
        sha256,
        "; ".join(dict.fromkeys(entry.licence for entry in entries)),
        "; ".join(dict.fromkeys(entry.training_data for entry in entries)),
        tuple(number for entry in entries for number in entry.numbers),
        _recipe(files[0]),
    )


def _entry_of(file: Path) -> Weights | None:
    """Returns the registry's entry of a file that lies where registered files have their place."""
    real = file.resolve()
    return next((one for one in read_registry().weights if (folder_of(one) / one.file).resolve() == real), None)


def _recipe(file: Path) -> str:
    """Returns the recipe in a weight file's header, as YAML; "" without one."""
    recipe = read_metadata(file).get("recipe", "")
    return recipe if isinstance(recipe, str) else json.dumps(recipe)
