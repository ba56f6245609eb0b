"""The bytes of a pair's members in a shard."""

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.pairs.shards.layout import ABOUT, CLEAN, NOISY, PARAMETERS, RAW
from cycleisp.dataloaders.pairs.store import PairFiles
from cycleisp.utils.output.png import encode_png

# What depends on the machine that makes a pair, or on how its photo was named; it is no part of a
# shard, whose bytes shall be the same wherever it is made. The done-file has what matters of it.
OF_MACHINE = frozenset(
    ("source", "source_path", "source_stamp", "threads", "cpu_capability", "version", "weights", "files")
)
_LEVEL = 1  # of deflate: 30 % smaller than without, and higher levels gain 3 % in three times the time
_DATE = (1980, 1, 1, 0, 0, 0)  # of members of the .npz: the first that a zip archive can state


def encode_members(pair: PairFiles, name: str, record: Mapping[str, Any]) -> dict[str, bytes]:
    """Returns the members of a pair, in their order in the tar.

    Args:
        pair: what to store.
        name: the name of the pair.
        record: all its parameters. What depends on the machine is left out.
    """
    members: dict[str, bytes] = {}
    for member, image in ((CLEAN, pair.clean_srgb), (NOISY, pair.noisy_srgb)):
        if image is not None:
            members[member] = encode_png(image)
    if pair.clean_raw is not None:
        members[RAW] = encode_planes({"clean": pair.clean_raw, "noisy": pair.noisy_raw, "variance": pair.variance})
    kept = {key: value for key, value in record.items() if key not in OF_MACHINE}
    members[PARAMETERS] = encode_parameters({"name": name, **kept})
    return members


def encode_parameters(parameters: Mapping[str, Any]) -> bytes:
    """Returns the member with all parameters of a pair: equal ones give equal bytes."""
    return json.dumps(dict(parameters), sort_keys=True).encode("ascii")


def encode_planes(planes: Mapping[str, NDArray | None]) -> bytes:
    """Returns a .npz of the arrays that are not None, as `np.load` reads it.

    NumPy's own function compresses at a higher level, which takes three times as long.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for key, plane in planes.items():
            if plane is not None:
                array = io.BytesIO()
                np.lib.format.write_array(array, np.ascontiguousarray(plane), allow_pickle=False)
                info = zipfile.ZipInfo(f"{key}.npy", _DATE)
                info.create_system = 3  # Unix; it would be the system of the machine
                archive.writestr(info, array.getbuffer(), zipfile.ZIP_DEFLATED, _LEVEL)
    return content.getvalue()


def about(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Returns what the index says of a pair."""
    return {**{key: record.get(key) for key in ABOUT}, "name": name}
