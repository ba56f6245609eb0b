"""The noise of a camera from ordinary pictures, by ISO setting, where there are no frames."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cycleisp.dataloaders.calibration.reading import read_levels
from cycleisp.utils.errors import UserError
from cycleisp.utils.processes.apart import apart
from cycleisp.utils.raw.bayer import rggb_planes
from cycleisp.utils.raw.calibration.looks import Header
from cycleisp.utils.raw.camera_files import read_raw
from cycleisp.utils.raw.picture_noise.estimate import PictureLevels, PictureNoise, measure_picture, noise_of

_SAME_RANGE = 0.01  # relative difference: cameras that measure black in each picture differ by less


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

    Noise is on the scale from black, 0, to white, 1. Pictures of one ISO setting are taken together
    if their files place both in the same way. Where some files state another distance from black to
    white, as those of another bit depth or firmware do, the more frequent distance counts.

    Args:
        paths: camera files of one camera, in any mix of ISO settings.
        progress: wraps the files that are read, as tqdm does; None shows nothing.
    """
    pictures, unusable = defaultdict[float, list[tuple[Header, PictureLevels]]](list), list[tuple[Path, str]]()
    for path in progress(paths) if progress else paths:
        try:
            header, levels = apart(measure_file, path)
        except UserError as error:
            unusable.append((path, str(error).removeprefix(f"{path}: ")))
        else:
            pictures[header.iso].append((header, levels))
    settings = {}
    for iso, each in sorted(pictures.items()):
        settings[iso] = noise_of(_of_one_range(each, unusable))
    return PicturesNoise(settings, unusable)


def _of_one_range(
    pictures: Sequence[tuple[Header, PictureLevels]], unusable: list[tuple[Path, str]]
) -> list[PictureLevels]:
    """Returns the pictures of the most frequent distance from black to white.

    The others are added to those that cannot be used.
    """
    spans = [_span(header) for header, _ in pictures]
    near = [sum(abs(other - span) <= _SAME_RANGE * span for other in spans) for span in spans]
    usual = near.index(max(near))
    kept = []
    for (header, levels), span in zip(pictures, spans, strict=True):
        if abs(span - spans[usual]) <= _SAME_RANGE * spans[usual]:
            kept.append(levels)
        else:
            words = f"goes from black at {_black(header):.5g} to white at {header.white:.5g}, most pictures at "
            words += f"ISO {header.iso:g} from {_black(pictures[usual][0]):.5g} to {pictures[usual][0].white:.5g}; "
            unusable.append((header.path, f"{words}calibrate those of one bit depth at a time"))
    return kept


def _span(header: Header) -> float:
    return header.white - _black(header)


def _black(header: Header) -> float:
    return sum(header.black) / 4


def measure_file(path: Path) -> tuple[Header, PictureLevels]:
    """Returns what a camera file says about itself, and what its picture says about its noise.

    Raises:
        UserError: as `read_levels`; the file is compressed with loss, or nothing can be told.
    """
    header, _ = read_levels(path)
    if header.lossy:
        raise UserError(f"{path}: {header.lossy}; compression with loss has changed the noise")
    image = read_raw(path, clip=False)
    try:
        return header, measure_picture(rggb_planes(image.mosaic, image.pattern))
    except ValueError:
        raise UserError(f"{path}: too small, too dark or too uniform to tell its noise") from None
