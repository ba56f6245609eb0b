"""What is known of SIDD's scenes: camera, Bayer pattern and noise level."""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.protocols import SIDD_GRID
from cycleisp.utils.errors import UserError
from cycleisp.utils.raw import bayer

SCENES, BLOCKS = SIDD_GRID  # the first two axes of the validation and benchmark sets
NOISE_LEVELS_FILE = "noise_level_functions.csv"
PATTERNS_FILE = "bayer_patterns.csv"

# The Bayer patterns of SIDD's five phones, as bayer_patterns.csv has them.
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
    r"(?P<instance>\d{4})_(?P<scene>\d{3})_(?P<camera>[A-Z0-9]{2})_(?P<iso>\d{5})_"
    r"(?P<shutter>\d{5})_(?P<illuminant>\d{4})_(?P<brightness>[LNH])"
)
_BETAS = tuple(f"beta{part}_{color}" for part in (1, 2) for color in "rgb")


class SiddError(UserError):
    """SIDD data that are missing or not as SIDD has them. The message says what to get or mend."""

    is_list = True


@dataclass(frozen=True)
class Scene:
    """What the name of a scene says, such as 0009_001_S6_00800_00350_3200_L.

    Attributes:
        name: as above.
        instance: the first number, which no other scene has.
        camera: one of five phones, a key of `PATTERNS`.
        iso: the sensitivity.
        shutter: the shutter speed, as in the name.
        illuminant: the colour temperature of the light in kelvin.
        brightness: of the light, L(ow), N(ormal) or H(igh).
    """

    name: str
    instance: int
    camera: str
    iso: int
    shutter: int
    illuminant: int
    brightness: str


def parse_scene(name: str) -> Scene:
    """Returns what the name of a scene says.

    Raises:
        SiddError: it is not a name of SIDD.
    """
    match = _NAME.fullmatch(name.strip())
    if match is None:
        raise SiddError(f"{name!r} is no scene of SIDD; expected a name like {VALIDATION_SCENES[0]}")
    numbers = {key: int(match[key]) for key in ("instance", "iso", "shutter", "illuminant")}
    return Scene(name=match[0], camera=match["camera"], brightness=match["brightness"], **numbers)


def scene_of(path: Path) -> Scene:
    """Returns the scene of a file of SIDD-Medium, whose folder has the scene's name.

    Raises:
        SiddError: the folder has no name of SIDD.
    """
    return parse_scene(path.parent.absolute().name)


def read_scenes(path: Path | None) -> list[Scene]:
    """Returns the scenes in the order of the blocks' first axis.

    Args:
        path: a text file with 40 names; None takes the scenes of the validation set.

    Raises:
        SiddError: the file cannot be read, or does not hold 40 names of SIDD.
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
    """Returns the Bayer pattern of each camera from bayer_patterns.csv, which may be absent.

    Without the file the patterns are those of SIDD's five phones.

    Raises:
        SiddError: a column is missing, or a pattern is unknown.
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
    """Returns the Bayer pattern of a scene's camera.

    Raises:
        SiddError: the camera is unknown. A guess would spoil the score.
    """
    if scene.camera not in patterns:
        raise SiddError(f"{scene.name}: camera {scene.camera} has no known Bayer pattern; add it to bayer_patterns.csv")
    return patterns[scene.camera]


def read_noise_levels(path: Path, scenes: Sequence[Scene]) -> NDArray[np.float32]:
    """Reads the noise levels of some scenes from noise_level_functions.csv.

    The levels were fitted to measurements as straight lines, which can cross 0 below black. A
    negative read noise therefore counts as 0.

    Returns:
        (scenes, 2, 4), the shot noise [:, 0] and read noise [:, 1] of the planes R, G_r, G_b, B:
        variance = shot_noise * x + read_noise.

    Raises:
        SiddError: columns or scenes are missing, or a value is not a variance.
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
    """Reads the rows of a CSV. Column names are in lower case, without blanks around them."""
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
