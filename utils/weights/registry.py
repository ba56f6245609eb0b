"""The registry of weights, pretrained_models/registry.yaml: names of files, and their sources."""

import functools
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, GetPydanticSchema, model_validator

from cycleisp.utils.config.files import check_recipe, read_yaml
from cycleisp.utils.config.values import Positive, Section
from cycleisp.utils.fingerprints import Stamp, stamp_of
from cycleisp.utils.output.json_lines import is_name_inside
from cycleisp.utils.weights import folders, kinds
from cycleisp.utils.weights.downloads.hub_addresses import FORM, is_address

FILE_NAME = "registry.yaml"


def _below_the_folder(file: str) -> str:
    if not is_name_inside(file) or PurePosixPath(file).suffix not in (".safetensors", ".pth"):
        raise ValueError(f"expected a .safetensors or .pth file below the registry's folder, got {file!r}")
    return file


def _fetchable(source: str) -> str:
    scheme = source.partition(":")[0]
    if scheme not in ("http", "https", "file", "gdrive", "hf") or source.endswith(":"):
        raise ValueError(f"expected https://..., http://..., file:///..., gdrive:ID or {FORM}, got {source!r}")
    if scheme == "hf" and not is_address(source):
        raise ValueError(f"expected {FORM} or hf://OWNER/NAME@REVISION/FILE, got {source!r}")
    return source


def _known_network(network: str) -> str:
    if network not in kinds.KINDS:
        raise ValueError(f"expected one of {', '.join(kinds.KINDS)}, got {network!r}")
    return network


Name = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
Network = Annotated[str, AfterValidator(_known_network)]
Source = Annotated[str, AfterValidator(_fetchable)]
Use = Literal["srgb", "raw", "srgb to raw", "raw to srgb", "srgb and raw"]  # spaces of what goes in and comes out
# The table of networks makes this model, which type checkers cannot know.
Sizes = Annotated[Section, GetPydanticSchema(lambda _, handler: handler(kinds.SIZES))]


class Weights(Section):
    """One file of weights."""

    name: Name
    file: Annotated[str, AfterValidator(_below_the_folder)]  # relative to `folder_of`
    bytes: Positive | None  # None: unknown
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None  # None: unknown, recorded on first download
    network: Network  # its class in networks/
    sizes: Sizes
    space: Use
    profile: tuple[str, ...] = ()  # noise profiles that it was trained on
    training_data: str
    licence: str
    numbers: tuple[str, ...] = ()  # each with its benchmark and protocol
    sources: tuple[Source, ...] = ()  # tried in this order; none: it is part of the checkout or the package
    note: str = ""  # printed where no source has the file

    @model_validator(mode="after")
    def _sizes_of_its_network(self) -> "Weights":
        parts = kinds.KINDS[self.network].parts.keys()
        if kinds.parts_of(self.sizes.model_dump()) != parts:
            raise ValueError(f"{self.name}: a {self.network} has sizes for {', '.join(sorted(parts))}")
        return self


class Bundle(Section):
    """A network whose branches lie in files of their own, in one folder."""

    name: Name
    network: Network
    space: Use
    members: Annotated[tuple[Name, ...], Field(min_length=1)]  # names of weights


class Registry(Section):
    """All weights that have a name."""

    weights: tuple[Weights, ...]
    bundles: tuple[Bundle, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> "Registry":
        names = [entry.name for entry in self.entries]
        files = [weights.file for weights in self.weights]
        for found in (names, files):
            twice = {item for item in found if found.count(item) > 1}
            if twice:
                raise ValueError(f"twice: {', '.join(sorted(twice))}")
        for bundle in self.bundles:
            unknown = set(bundle.members) - {weights.name for weights in self.weights}
            if unknown:
                raise ValueError(f"{bundle.name}: its members {', '.join(sorted(unknown))} are not in the registry")
            if len({PurePosixPath(weights.file).parent for weights in self.members(bundle)}) > 1:
                raise ValueError(f"{bundle.name}: its members lie in different folders")
        return self

    @property
    def entries(self) -> list[Weights | Bundle]:
        """Returns everything that has a name."""
        return [*self.weights, *self.bundles]

    def find(self, name: str) -> Weights | Bundle | None:
        """Returns the entry of this name, or None."""
        return next((entry for entry in self.entries if entry.name == name), None)

    def members(self, entry: Weights | Bundle) -> list[Weights]:
        """Returns the files that an entry stands for."""
        if isinstance(entry, Weights):
            return [entry]
        by_name = {weights.name: weights for weights in self.weights}
        return [by_name[name] for name in entry.members]

    def names(self) -> str:
        """Returns all names as text for messages."""
        shipped = [weights.name for weights in self.weights if not weights.sources]
        fetched = [weights.name for weights in self.weights if weights.sources] + [
            bundle.name for bundle in self.bundles
        ]
        return f"shipped are: {', '.join(shipped) or 'none'}; to be fetched: {', '.join(fetched) or 'none'}"


def read_registry(folder: Path | None = None) -> Registry:
    """Reads the registry in a folder of weights, by default that of the shipped ones.

    It is parsed once, and again when the file has changed.

    Raises:
        ConfigError: missing file, no YAML, unknown or missing key, a value outside its range, or a
            name or file that occurs twice.
    """
    path = (folder or folders.SHIPPED) / FILE_NAME
    try:
        stamp = stamp_of(path)
    except OSError:
        return _parsed.__wrapped__(path, None)  # what reads it says why
    return _parsed(path, stamp)


@functools.lru_cache(maxsize=4)
def _parsed(path: Path, _stamp: Stamp | None) -> Registry:
    return check_recipe(Registry, read_yaml(path), str(path))


def folder_of(weights: Weights) -> Path:
    """Returns the folder that `weights.file` is relative to: of shipped or of fetched files."""
    return folders.fetched() if weights.sources else folders.SHIPPED


def table(registry: Registry) -> str:
    """Returns all weights and bundles as text, one per line.

    The columns are name, network, space, bytes, whether the file is present, licence, and path. A
    bundle's path is its folder.
    """
    rows = [("name", "network", "space", "bytes", "present", "licence", "path")]
    for weights in registry.weights:
        size = f"{weights.bytes:,}" if weights.bytes else "unknown"
        path = folder_of(weights) / weights.file
        present = "yes" if path.is_file() else "no"
        rows.append((weights.name, weights.network, weights.space, size, present, weights.licence, str(path)))
    for bundle in registry.bundles:
        members = registry.members(bundle)
        paths = [folder_of(weights) / weights.file for weights in members]
        count = sum(path.is_file() for path in paths)
        licences = "; ".join(sorted({weights.licence for weights in members}))
        present = "yes" if count == len(paths) else f"{count} of {len(paths)}"
        files = f"{len(paths)} files"
        rows.append((bundle.name, bundle.network, bundle.space, files, present, licences, str(paths[0].parent)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)
