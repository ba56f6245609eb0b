"""Files of PyTorch, `.pth`: what they claim is compared with what they store, then they are read.

PyTorch reads with `weights_only=True`, so that no code from a file ever runs. It trusts what a file
says of sizes, though, and does not look at the checksums of the zip archive. So each file is gone
through before: the entries of the archive, and the pickle with stand-ins in place of tensors, which
takes next to no memory.
"""

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, ClassVar

import torch

from cycleisp.utils.errors import reading, reason
from cycleisp.utils.limits import check_bytes
from cycleisp.utils.weights.errors import WeightsError
from cycleisp.utils.weights.formats.contents import layout_of

LARGEST_PICKLE = 4 << 20  # bytes of the list of tensors; that of the paper's largest network has 0.1 MB
UNPACKED = 64 << 20  # bytes that a small compressed file may unpack to
TIMES_STORED = 10  # times its own size that a large one may; true weights save a tenth at most
LARGEST_SIDE = 1 << 48
_ITEM_SIZES = {"Double": 8, "Float": 4, "Half": 2, "BFloat16": 2, "Long": 8, "Int": 4, "Short": 2}
_FOLDER = 0x10  # the bit of an entry's attributes
_ADVICE = "if you trust it, open it with PyTorch and save the state dict alone"


def read_pickle(path: Path) -> dict[str, Any]:
    """Reads everything in a `.pth`: the state dict, and what stands beside it.

    Raises:
        WeightsError: missing or damaged file, one that claims more than it stores, code in the
            pickle, or no dict.
    """
    layout = layout_of(path)
    if layout == "safetensors":
        raise WeightsError(f"{path}: holds safetensors under another name; rename it to .safetensors")
    with reading(path, WeightsError, "get it again"):
        foreign: list[str] = []
        try:
            _check_zip(path, foreign) if layout == "zip" else _check_legacy(path, foreign)
            content = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            why = f"it names {', '.join(foreign[:3])}" if foreign else reason(error).partition(". ")[0]
            raise WeightsError(f"{path}: refused, holds more than tensors or is damaged ({why}); {_ADVICE}") from None
    if not isinstance(content, dict):
        raise WeightsError(f"{path}: expected a dict with `state_dict`, got {type(content).__name__}")
    return content


# ---------------------------------------------------------------- the zip archive


def _check_zip(path: Path, foreign: list[str]) -> None:
    """Checks a file of today's format; adds the names of what is no tensor in it to `foreign`."""
    with zipfile.ZipFile(path) as archive:
        sizes = {member.filename: member.file_size for member in archive.infolist()}
        _check_members(path, archive)
        pickles = [name for name in sizes if name.endswith("/data.pkl")]
        if len(pickles) != 1 or any(name.endswith("/constants.pkl") for name in sizes):
            raise WeightsError(f"{path}: {_what_zip(list(sizes))}")
        if damaged := archive.testzip():
            raise WeightsError(f"{path}: damaged, {damaged!r} does not match its checksum; get it again")
        if sizes[pickles[0]] > LARGEST_PICKLE:
            raise WeightsError(f"{path}: its list of tensors has more than {LARGEST_PICKLE} bytes; {_ADVICE}")
        claims = _Claims(io.BytesIO(archive.read(pickles[0])), foreign)
        claims.load()
    folder = pickles[0].removesuffix("data.pkl")
    for key, claimed in claims.storages.items():
        stored = sizes.get(f"{folder}data/{key}", 0)
        if claimed > stored:
            raise WeightsError(
                f"{path}: claims {claimed} bytes for a tensor of which {stored} are stored; get it again"
            )
    _check_views(path, claims)


def _check_members(path: Path, archive: zipfile.ZipFile) -> None:
    """Checks that the entries of an archive are what the file has room for."""
    members, stored = archive.infolist(), path.stat().st_size
    if len({member.filename for member in members}) < len(members):
        raise WeightsError(f"{path}: damaged, two entries of it have one name; get it again")
    if any(member.external_attr & _FOLDER for member in members):  # PyTorch would leave such tensors unfilled
        raise WeightsError(f"{path}: damaged, an entry of it is marked as a folder; get it again")
    plain = sum(member.file_size for member in members if member.compress_type == zipfile.ZIP_STORED)
    total = sum(member.file_size for member in members)
    if plain > stored or total > max(UNPACKED, TIMES_STORED * stored):
        raise WeightsError(f"{path}: claims to unpack to {total:,} bytes from {stored:,}; get it again")
    check_bytes(path, total, WeightsError)


def _what_zip(names: list[str]) -> str:
    if any(name.endswith("/constants.pkl") for name in names):
        return "is a TorchScript program, which is not run; give the state dict that it was made of"
    shown = ", ".join(repr(name) for name in names[:3])
    inside = [name for name in names if name.lower().endswith((".pth", ".pt", ".safetensors"))]
    if inside:
        return f"is a zip archive that holds {', '.join(repr(name) for name in inside[:3])}; unpack it"
    return f"is a zip archive of something else ({shown}), no weights; give another file"


# ---------------------------------------------------------------- the format before PyTorch 1.6


def _check_legacy(path: Path, foreign: list[str]) -> None:
    """Checks a file of the older format; adds the names of what is no tensor in it to `foreign`.

    It is a row of pickles, followed by the bytes of all tensors.
    """
    with path.open("rb") as file:
        stream = io.BytesIO(file.read(LARGEST_PICKLE))
    for _ in range(4):  # a number that marks the format, its version, the machine, the content
        claims = _Claims(stream, foreign)
        claims.load()
        if stream.tell() == path.stat().st_size:  # a plain pickle, which PyTorch will refuse
            return
    _Claims(stream, foreign).load()  # the names of what is stored
    claimed, stored = sum(claims.storages.values()), path.stat().st_size
    if claimed > stored:
        raise WeightsError(f"{path}: claims {claimed} bytes of tensors, {stored} are stored; damaged, get it again")
    _check_views(path, claims)


# ---------------------------------------------------------------- what a pickle claims


class _Inert:
    """Stands in for anything that a pickle names, and does nothing."""

    def __new__(cls, *_: object, **__: object) -> "_Inert":
        return object.__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __call__(self, *_: object, **__: object) -> "_Inert":
        return self

    def __setstate__(self, _: object) -> None:
        pass

    def __setitem__(self, _: object, __: object) -> None:
        pass

    def append(self, _: object) -> None:
        """Does nothing."""

    def extend(self, _: object) -> None:
        """Does nothing."""

    add = append


class _Kind(_Inert):
    """A type of numbers: what a pickle names where PyTorch has a class of storages."""

    def __init__(self, size: int) -> None:
        self.size = size


class _Storage(_Inert):
    """The bytes that tensors are views of."""

    def __init__(self, size: int) -> None:
        self.size = size  # bytes of one number


class _Claims(pickle._Unpickler):  # type: ignore[name-defined, misc]
    """Goes through a pickle, builds nothing of it, and collects the sizes that it claims.

    It is the unpickler in Python: that in C makes room for as many objects as a pickle says.
    """

    # The one opcode for which this one does that, too, is left out. PyTorch does not know it.
    dispatch: ClassVar[dict[int, Any]] = {**pickle._Unpickler.dispatch}  # type: ignore[attr-defined]
    del dispatch[pickle.BYTEARRAY8[0]]

    def __init__(self, stream: io.BytesIO, foreign: list[str]) -> None:
        super().__init__(stream)
        self.storages: dict[str, int] = {}  # key -> bytes
        self.views = 0  # bytes of all tensors, if each had its own
        self.foreign = foreign  # names of what is neither a tensor nor a part of one

    def persistent_load(self, pid: object) -> _Storage:
        """Takes the description of a storage."""
        if not isinstance(pid, tuple) or len(pid) < 5:
            raise ValueError("a tensor is described in an unknown way")
        kind, key, count = pid[1], str(pid[2]), pid[4]
        size = kind.size if isinstance(kind, _Kind) else 1
        self.storages[key] = max(_whole(count) * size, self.storages.get(key, 0))
        return _Storage(size)

    def find_class(self, module: str, name: str) -> Any:
        """Returns a stand-in for whatever a pickle names; nothing is imported."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module in ("torch", "torch.storage", "torch.cuda") and name.endswith("Storage"):
            return _Kind(_ITEM_SIZES.get(name.removesuffix("Storage"), 1))
        if module == "torch._utils" and name.startswith("_rebuild_tensor"):
            return self._view()
        if module.partition(".")[0] != "torch":
            self.foreign.append(f"{module}.{name}"[:100])
        return _Inert

    def _view(self) -> type[_Inert]:
        claims = self

        class View(_Inert):
            """A tensor: a storage, where it begins in it, its shape, and its steps."""

            def __init__(self, storage: object = None, _: object = 0, shape: object = (), *__: object) -> None:
                size = storage.size if isinstance(storage, _Storage) else 1
                sides = [_whole(side) for side in shape] if isinstance(shape, tuple) else []
                claims.views += size * math.prod(sides[:16])

        return View


def _whole(number: object) -> int:
    if not isinstance(number, int) or not 0 <= number <= LARGEST_SIDE:
        raise ValueError("a tensor claims an impossible size")
    return number


def _check_views(path: Path, claims: _Claims) -> None:
    """Checks what tensors would take if each were copied; one number can be shown as a million."""
    stored = path.stat().st_size
    if claims.views > max(UNPACKED, TIMES_STORED * stored):
        raise WeightsError(f"{path}: claims tensors of {claims.views:,} bytes, {stored:,} are stored; get it again")
    check_bytes(path, claims.views, WeightsError)
