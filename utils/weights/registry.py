"""The registry of weights, pretrained_models/registry.yaml: which files, whose they are, and where they come from."""

from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from cycleisp.utils.config import (
    ColorCorrectionSizes,
    DenoiserSizes,
    Positive,
    Raw2RgbSizes,
    Rgb2RawSizes,
    Section,
    check_recipe,
    read_yaml,
)

FOLDER = Path(__file__).resolve().parents[2] / "pretrained_models"
FILE_NAME = "registry.yaml"

# network -> the parts of its sizes
PARTS = {
    "Rgb2Raw": {"rgb2raw"},
    "Raw2Rgb": {"raw2rgb"},
    "ColorCorrection": {"color_correction"},
    "GuidedRaw2Rgb": {"raw2rgb", "color_correction"},
    "CycleISP": {"rgb2raw", "raw2rgb", "color_correction"},
    "RawDenoiser": {"denoiser"},
    "SrgbDenoiser": {"denoiser"},
}


def _below_the_folder(file: str) -> str:
    path = PurePosixPath(file)
    if path.is_absolute() or ".." in path.parts or path.suffix not in (".safetensors", ".pth"):
        raise ValueError(f"expected a .safetensors or .pth file below the registry's folder, got {file!r}")
    return file


def _fetchable(source: str) -> str:
    if source.partition(":")[0] not in ("http", "https", "file", "gdrive") or source.endswith(":"):
        raise ValueError(f"expected https://..., http://..., file:///... or gdrive:ID, got {source!r}")
    return source


def _known_network(network: str) -> str:
    if network not in PARTS:
        raise ValueError(f"expected one of {', '.join(PARTS)}, got {network!r}")
    return network


Name = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
Network = Annotated[str, AfterValidator(_known_network)]
Source = Annotated[str, AfterValidator(_fetchable)]
Space = Literal["srgb", "raw", "srgb to raw", "raw to srgb", "srgb and raw"]


class Sizes(Section):
    """The sizes of a network as in the header of its file: the arguments of each part; None for parts it has not."""

    rgb2raw: Rgb2RawSizes | None = None
    raw2rgb: Raw2RgbSizes | None = None
    color_correction: ColorCorrectionSizes | None = None
    denoiser: DenoiserSizes | None = None
    stabilized: bool = False

    def arguments(self) -> dict[str, Any]:
        """What `networks.pretrained.build` takes."""
        return self.model_dump(exclude_none=True)


class Weights(Section):
    """One file of weights."""

    name: Name
    file: Annotated[str, AfterValidator(_below_the_folder)]  # relative to the registry's folder
    bytes: Positive | None  # None: unknown
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None  # None: unknown, recorded on first download
    network: Network  # its class in networks/
    sizes: Sizes
    space: Space
    profile: tuple[str, ...] = ()  # noise profiles that it was trained on
    training_data: str
    licence: str
    numbers: tuple[str, ...] = ()  # each with its benchmark and protocol
    sources: tuple[Source, ...] = ()  # tried in this order; none: it is part of the checkout
    note: str = ""  # said where no source gives the file

    @model_validator(mode="after")
    def _sizes_of_its_network(self) -> "Weights":
        parts = {part for part in ("rgb2raw", "raw2rgb", "color_correction", "denoiser") if getattr(self.sizes, part)}
        if parts != PARTS[self.network]:
            raise ValueError(f"{self.name}: a {self.network} has sizes for {', '.join(sorted(PARTS[self.network]))}")
        return self


class Bundle(Section):
    """A network whose branches lie in files of their own, in one folder."""

    name: Name
    network: Network
    space: Space
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
        """Whatever has a name."""
        return [*self.weights, *self.bundles]

    def find(self, name: str) -> Weights | Bundle | None:
        """What bears this name, if anything does."""
        return next((entry for entry in self.entries if entry.name == name), None)

    def members(self, entry: Weights | Bundle) -> list[Weights]:
        """The files that an entry stands for."""
        if isinstance(entry, Weights):
            return [entry]
        by_name = {weights.name: weights for weights in self.weights}
        return [by_name[name] for name in entry.members]

    def names(self) -> str:
        """All names, for messages."""
        shipped = [weights.name for weights in self.weights if not weights.sources]
        fetched = [weights.name for weights in self.weights if weights.sources] + [
            bundle.name for bundle in self.bundles
        ]
        return f"shipped are: {', '.join(shipped) or 'none'}; to be fetched: {', '.join(fetched) or 'none'}"


def read_registry(folder: Path) -> Registry:
    """The registry of a folder of weights, as FOLDER.

    Raises:
        ConfigError: missing file, no YAML, unknown or missing key, a value outside its range, a name or file twice.
    """
    path = folder / FILE_NAME
    return check_recipe(Registry, read_yaml(path), str(path))


def table(registry: Registry, folder: Path) -> str:
    """All weights and bundles as text, a line each: name, network, space, bytes, whether present, licence."""
    rows = [("name", "network", "space", "bytes", "present", "licence")]
    for weights in registry.weights:
        size = f"{weights.bytes:,}" if weights.bytes else "unknown"
        present = "yes" if (folder / weights.file).is_file() else "no"
        rows.append((weights.name, weights.network, weights.space, size, present, weights.licence))
    for bundle in registry.bundles:
        files = registry.members(bundle)
        count = sum((folder / weights.file).is_file() for weights in files)
        licences = "; ".join(sorted({weights.licence for weights in files}))
        present = "yes" if count == len(files) else f"{count} of {len(files)}"
        rows.append((bundle.name, bundle.network, bundle.space, f"{len(files)} files", present, licences))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)
