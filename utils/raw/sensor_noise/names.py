"""The noise that a user names: a profile, explicit variances, or the file of a camera."""

import re
from pathlib import Path

from cycleisp.utils.config.files import CAMERAS, SHIPPED
from cycleisp.utils.fingerprints import file_sha256
from cycleisp.utils.raw.noise import FixedNoise, NoiseError, NoiseProfile, parse_noise
from cycleisp.utils.raw.sensor_noise.camera_files import read_camera_file
from cycleisp.utils.raw.sensor_noise.cameras import CameraNoise

_FILE = re.compile(r"(?P<path>.+\.ya?ml)(@(?P<iso>.*))?", re.IGNORECASE | re.DOTALL)


def find_noise(text: str) -> NoiseProfile | FixedNoise | CameraNoise:
    """Returns the noise that a text names.

    Args:
        text: a profile's name, variances as `shot=0.01,read=0.0005`, or a camera's noise file as
            `camera.yaml`, or `camera.yaml@3200` for one ISO setting. A file may also be named as
            those that come with the project, as `noise/sony_a7s_ii.yaml`.

    Raises:
        NoiseError: the text is none of these, or the camera's file does not know that ISO setting.
        ConfigError: the camera's file is missing or cannot be used.
    """
    match = _FILE.fullmatch(text.strip())
    if match is None:
        try:
            return parse_noise(text)
        except NoiseError as error:
            raise NoiseError(f"{error}, or a camera's noise file as camera.yaml or camera.yaml@3200") from None
    path = find_camera_file(match["path"])
    return CameraNoise(match["path"], read_camera_file(path), file_sha256(path), _iso(match["iso"], text))


def find_camera_file(name: str) -> Path:
    """Returns the path of a camera's noise file.

    Raises:
        NoiseError: neither a file of that path nor a shipped camera of that name exists.
    """
    path = Path(name)
    if path.exists():
        return path
    shipped = shipped_cameras()
    short = path.as_posix().removeprefix(f"{SHIPPED.name}/")
    if short in shipped:
        return SHIPPED / short
    raise NoiseError(f"{name}: cannot be read (No such file or directory); shipped cameras: {', '.join(shipped)}")


def shipped_cameras() -> list[str]:
    """Returns the names of the cameras that come with the project, as noise/sony_a7s_ii.yaml."""
    return sorted(path.relative_to(SHIPPED).as_posix() for path in CAMERAS.glob("*.yaml"))


def _iso(text: str | None, whole: str) -> float | None:
    """Reads the ISO setting behind a file's name. Raises NoiseError."""
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) or float(text) <= 0:
        raise NoiseError(f"noise {whole!r}: expected an ISO setting behind the @, as camera.yaml@3200, got {text!r}")
    return float(text)
