"""The noise of a camera from ordinary pictures, by ISO setting, where there are no frames."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cycleisp.dataloaders.calibration.reading import read_levels
from cycleisp.utils.errors import UserError
from cycleisp.utils.processes.apart import apart
from cycleisp.utils.raw.bayer import rggb_planes
from cycleisp.utils.raw.camera_files import read_raw
from cycleisp.utils.raw.picture_noise.estimate import PictureLevels, PictureNoise, measure_picture, noise_of


@dataclass(frozen=True, eq=False)
class PicturesNoise:
    """What a camera's pictures say about its noise.

    Attributes:
        settings: the noise at each ISO setting, in rising order.
        unusable: pictures that say nothing, and why.
    """

    settings: dict[float, PictureNoise]
    unusable: list[tuple[Path, str]]


def noise_by_iso(
    paths: Sequence[Path], progress: Callable[[Sequence[Path]], Iterable[Path]] | None = None
) -> PicturesNoise:
    """Estimates the noise of a camera from its pictures.

    Args:
        paths: camera files of one camera, in any mix of ISO settings.
        progress: wraps the files that are read, as tqdm does; None shows nothing.
    """
    pictures, unusable = defaultdict[float, list[PictureLevels]](list), list[tuple[Path, str]]()
    for path in progress(paths) if progress else paths:
        try:
            iso, levels = apart(measure_file, path)
        except UserError as error:
            unusable.append((path, str(error).removeprefix(f"{path}: ")))
        else:
            pictures[iso].append(levels)
    return PicturesNoise({iso: noise_of(pictures[iso]) for iso in sorted(pictures)}, unusable)


def measure_file(path: Path) -> tuple[float, PictureLevels]:
    """Returns the ISO setting of a camera file, and what its picture says about its noise.

    Raises:
        UserError: as `read_levels`; the file is compressed with loss, or nothing can be told.
    """
    header, _ = read_levels(path)
    if header.lossy:
        raise UserError(f"{path}: {header.lossy}; compression with loss has changed the noise")
    image = read_raw(path, clip=False)
    try:
        return header.iso, measure_picture(rggb_planes(image.mosaic, image.pattern))
    except ValueError:
        raise UserError(f"{path}: too small, too dark or too uniform to tell its noise") from None
