"""SIDD's blocks: the validation and the benchmark set as the authors hand them out, and what is known of each scene."""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.protocols import SIDD_GRID
from cycleisp.dataloaders.sidd.matlab import open_array
from cycleisp.dataloaders.sidd.submission import block_shape
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import Space
from cycleisp.utils.raw import bayer
from cycleisp.utils.weights.files import file_sha256

Split = Literal["validation", "benchmark"]
SCENES, BLOCKS = SIDD_GRID  # the first two axes of every file
HOME = "https://www.eecs.yorku.ca/~kamel/sidd/"

# Bayer patterns of SIDD's five phones (bayer_patterns.csv).
PATTERNS = {"GP": "BGGR", "IP": "RGGB", "S6": "GRBG", "N6": "BGGR", "G4": "BGGR"}

# fmt: off
VALIDATION_SCENES = (
    "0009_001_S6_00800_00350_3200_L", "0021_001_GP_10000_05000_5500_N", "0024_001_N6_03200_01500_5500_N",
    "0026_001_G4_00400_00160_5500_L", "0031_001_IP_01600_02000_3200_N", "0037_002_GP_06400_03200_3200_L",
    "0041_002_IP_01600_04000_5500_L", "0046_002_G4_00400_00350_3200_L", "0049_002_N6_00800_00800_5500_L",
    "0053_002_S6_03200_02000_5500_N", "0056_003_N6_03200_04000_5500_N", "0058_003_G4_00400_00500_5500_L",
    "0061_003_S6_00800_00500_4400_L", "0067_003_GP_01600_01500_3200_L", "0071_003_IP_02000_04000_5500_L",
    "0074_004_N6_00400_00040_3200_L", "0079_004_G4_00800_00160_3200_N", "0082_004_S6_03200_00500_4400_L",
    "0085_004_GP_06400_02000_4400_N", "0093_004_IP_01250_00250_3200_L", "0095_005_N6_00400_00200_3200_L",
    "0100_005_G4_00800_00400_3200_N", "0103_005_S6_01600_00800_4400_L", "0109_005_GP_10000_08000_4400_N",
    "0112_005_IP_01000_07500_5500_L", "0119_006_N6_00400_00100_3200_L", "0124_006_G4_00800_00350_3200_N",
    "0128_006_S6_03200_01600_4400_L", "0131_006_GP_01600_01250_4400_N", "0141_006_IP_01600_01620_3200_L",
    "0143_007_N6_00800_00800_4400_N", "0148_007_G4_00400_00400_4400_L", "0153_007_S6_03200_03200_5500_L",
    "0158_007_GP_03200_03200_5500_N", "0162_007_IP_01600_01600_3200_L", "0171_008_N6_03200_01600_4400_L",
    "0174_008_G4_00800_00800_4400_N", "0176_008_S6_00400_00100_5500_L", "0183_008_GP_06400_06400_5500_N",
    "0187_008_IP_01600_01600_3200_L",
)
# fmt: on

_NAME = re.compile(
    r"(?P<instance>\d{4})_(?P<scene>\d{3})_(?P<camera>[A-Z0-9]{2})_(?P<iso>\d{5})_(?P<shutter>\d{5})_(?P<illuminant>\d{4})_"
    r"(?P<brightness>[LNH])"
)
_BETAS = tuple(f"beta{part}_{color}" for part in (1, 2) for color in "rgb")


class SiddError(UserError):
    """SIDD data that are missing or not as SIDD has them; the message says what to get and where to put it."""


@dataclass(frozen=True)
class Scene:
    """What a scene's name tells, e.g. 0009_001_S6_00800_00350_3200_L; `brightness` is L(ow), N(ormal) or H(igh)."""

    name: str
    instance: int
    camera: str
    iso: int
    shutter: int
    illuminant: int
    brightness: str


def parse_scene(name: str) -> Scene:
    """A scene from its name.

    Raises:
        SiddError: no name of SIDD.
    """
    match = _NAME.fullmatch(name.strip())
    if match is None:
        raise SiddError(f"{name!r} is no scene of SIDD; expected a name like {VALIDATION_SCENES[0]}")
    numbers = {key: int(match[key]) for key in ("instance", "iso", "shutter", "illuminant")}
    return Scene(name=match[0], camera=match["camera"], brightness=match["brightness"], **numbers)


def block_name(index: int) -> tuple[int, int]:
    """Scene and block of the index-th of all blocks, counted scene by scene: index = scene * 32 + block."""
    return divmod(index, BLOCKS)


# ---------------------------------------------------------------- files


def file_names(split: Split, space: Space) -> dict[str, str]:
    """The .mat files of a split: `noisy` and, for validation, `clean`. Variables are named as the files."""
    kind = {"raw": "Raw", "srgb": "Srgb"}[space]
    if split == "benchmark":
        return {"noisy": f"BenchmarkNoisyBlocks{kind}.mat"}
    return {"noisy": f"ValidationNoisyBlocks{kind}.mat", "clean": f"ValidationGtBlocks{kind}.mat"}


def check_files(data: Path, split: Split, space: Space) -> None:
    """Make sure that everything a run needs is there.

    Raises:
        SiddError: files are missing; the message lists all of them and says where to get them.
    """
    needed = [*file_names(split, space).values()] + ["noise_level_functions.csv"] * (space == "raw")
    missing = [name for name in needed if not (data / name).is_file()]
    if not missing:
        return
    lines = [f"  {'missing' if name in missing else 'found  '}  {data / name}" for name in needed]
    raise SiddError(
        f"SIDD's {split} set ({space}) is not complete in {data}. Needed:\n"
        + "\n".join(lines)
        + f"\nGet them from {HOME} (validation and benchmark blocks, noise level functions) and put them there."
    )


def file_hashes(data: Path, split: Split, space: Space, scenes: Path | None) -> dict[str, str]:
    """SHA-256 of every file that the results depend on, by file name; that of the scenes as `scenes`.

    Raises:
        SiddError: a file cannot be read.
    """
    files = {name: data / name for name in file_names(split, space).values()}
    if space == "raw":
        known = {name: data / name for name in ("noise_level_functions.csv", "bayer_patterns.csv")}
        files |= {name: path for name, path in known.items() if path.is_file()}
        files |= {"scenes": scenes} if scenes is not None else {}
    try:
        return {name: file_sha256(path) for name, path in files.items()}
    except OSError as error:
        raise SiddError(f"{error.filename}: cannot be read ({error.strerror})") from None


class SiddBlocks:
    """The 40 x 32 blocks of one file, read one at a time.

    Args:
        path: a file of `file_names`.
        space: of its blocks.
        unpacked: folder for the values of a compressed file, 250 to 340 MB.

    Raises:
        SiddError: another shape or type than SIDD's.
        MatlabError: no MATLAB 5 file, damaged, or without the variable.
    """

    def __init__(self, path: Path, space: Space, unpacked: Path) -> None:
        self.path, self._space = path, space
        self._values = open_array(path, path.stem, unpacked / f"{path.stem}.bin")
        shape = (SCENES, BLOCKS, *block_shape(space))
        kind = np.dtype(np.uint8 if space == "srgb" else np.float32)
        if self._values.shape != shape or self._values.dtype.newbyteorder("=") != kind:
            raise SiddError(
                f"{path}: {path.stem} is {self._values.shape} of {self._values.dtype}, SIDD's is {shape} of {kind}"
            )

    def __len__(self) -> int:
        return SCENES * BLOCKS

    def __getitem__(self, index: int) -> NDArray:
        """Block number scene * 32 + block: (256, 256, 3) uint8, or (256, 256) float32 in [0, 1].

        Raises:
            SiddError: RAW that leaves [0, 1].
        """
        block = np.ascontiguousarray(self._values[block_name(index)])
        if self._space == "srgb":
            return block
        if not (block.min() >= 0 and block.max() <= 1):
            raise SiddError(f"{self.path}: block {block_name(index)} leaves [0, 1]: {block.min():g}..{block.max():g}")
        return block.astype(np.float32)


# ---------------------------------------------------------------- scenes


def read_scenes(path: Path | None) -> list[Scene]:
    """The scenes in the order of the blocks' first axis: those of a text file with 40 names, or the validation set's.

    Raises:
        SiddError: unreadable, not 40, or no names of SIDD.
    """
    if path is None:
        return [parse_scene(name) for name in VALIDATION_SCENES]
    try:
        names = path.read_text().split()
    except (OSError, UnicodeDecodeError) as error:
        raise SiddError(f"{path}: cannot be read ({error})") from None
    if len(names) != SCENES:
        raise SiddError(f"{path}: expected {SCENES} scene names, one for each row of blocks, got {len(names)}")
    return [parse_scene(name) for name in names]


def read_patterns(path: Path) -> dict[str, str]:
    """Bayer pattern of each camera from bayer_patterns.csv; SIDD's five where the file is absent.

    Raises:
        SiddError: no such columns, or an unknown pattern.
    """
    if not path.is_file():
        return dict(PATTERNS)
    patterns = {}
    for row in _rows(path, ("camera_id", "bayer_pattern")):
        pattern = row["bayer_pattern"].strip().upper()
        if pattern not in bayer.PATTERNS:
            raise SiddError(f"{path}: unknown Bayer pattern {pattern!r}; expected one of {', '.join(bayer.PATTERNS)}")
        patterns[row["camera_id"].strip()] = pattern
    return patterns


def pattern_of(scene: Scene, patterns: Mapping[str, str]) -> str:
    """The pattern of a scene's camera. Raises SiddError for an unknown camera: a guess would spoil the score."""
    if scene.camera not in patterns:
        raise SiddError(f"{scene.name}: camera {scene.camera} has no known Bayer pattern; add it to bayer_patterns.csv")
    return patterns[scene.camera]


def read_noise_levels(path: Path, scenes: Sequence[Scene]) -> NDArray[np.float32]:
    """Shot and read noise of each scene's planes R, G_r, G_b, B from noise_level_functions.csv.

    A straight line that was fitted to measurements can cross 0 below black: a negative read noise counts as 0.

    Returns:
        (scenes, 2, 4): variance = [:, 0] * x + [:, 1].

    Raises:
        SiddError: columns or scenes are missing, or a value is no variance.
    """
    known: dict[str, NDArray[np.float32]] = {}
    for row in _rows(path, _BETAS):
        name = next((value.strip() for value in row.values() if _NAME.fullmatch(str(value).strip())), None)
        if name is None:
            raise SiddError(f"{path}: a row names no scene: {', '.join(map(str, row.values()))}")
        try:
            betas = np.array([[float(row[f"beta{part}_{color}"]) for color in "rggb"] for part in (1, 2)], np.float32)
        except (TypeError, ValueError):
            raise SiddError(f"{path}: {name}: expected six numbers {', '.join(_BETAS)}") from None
        if not (np.isfinite(betas).all() and (betas[0] >= 0).all()):
            raise SiddError(f"{path}: {name}: expected variances, shot noise 0 or more, got {betas.tolist()}")
        known[name] = betas.clip(min=0)
    missing = [scene.name for scene in scenes if scene.name not in known]
    if missing:
        raise SiddError(f"{path}: has no noise level for {len(missing)} of {len(scenes)} scenes, first {missing[0]}")
    return np.stack([known[scene.name] for scene in scenes])


def _rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV; column names in lower case, without blanks."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            header = [column.strip().lower() for column in next(reader, [])]
            rows = [dict(zip(header, row, strict=False)) for row in reader if any(map(str.strip, row))]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SiddError(f"{path}: cannot be read ({error})") from None
    missing = [column for column in columns if column not in header]
    if missing:
        raise SiddError(f"{path}: lacks the columns {', '.join(missing)}; it has {', '.join(header) or 'none'}")
    if any(len(row) < len(header) for row in rows):
        raise SiddError(f"{path}: a row has fewer than {len(header)} values")
    return rows
