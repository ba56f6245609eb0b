"""Which photo takes the colours of which: the pairs that match_colors.py works on."""

import re
from dataclasses import dataclass
from pathlib import Path

from cycleisp.dataloaders.photos import PhotoError, read_photo
from cycleisp.dataloaders.sources import Source, find_sources
from cycleisp.utils.errors import UserError
from cycleisp.utils.output.picture_format import PNG, PictureFormat
from cycleisp.utils.processes.apart import apart

IS_RAW = "is a camera RAW file; develop it to a photo first"


@dataclass(frozen=True)
class ViewPair:
    """A source photo, the target photos of its name, and the picture to make.

    A source is only matched if it has exactly one target.

    Attributes:
        source: the photo to change.
        targets: the photos with the wanted colours.
        output: the result. In a folder it is the name that the result has if no other file has it.
        folder: the folder of the results; None where the user has named the only result.
        one_for_all: whether the user has named the target, for all sources.
    """

    source: Source
    targets: tuple[Path, ...]
    output: Path
    folder: Path | None = None
    one_for_all: bool = False


def natural_order(name: str) -> tuple[list[str | int], ...]:
    """Returns a key that sorts frame2 before frame10, and the files of a folder side by side."""
    folder, _, stem = name.rpartition("/")
    parts = (re.split(r"([0-9]+)", part) for part in (folder, stem))  # every other one is a number
    return (*([int(text) if n % 2 else text for n, text in enumerate(texts)] for texts in parts), [name])


def find_view_pairs(source: Path, target: Path, output: Path, form: PictureFormat = PNG) -> list[ViewPair]:
    """Returns the pairs of source and target photos, in natural order of their names.

    Args:
        source: a photo, or a folder of photos.
        target: a photo for all sources; or, for a folder of sources, a folder. The photos of two
            folders pair by their path below the folder, without suffix.
        output: a picture for one source, or a folder for a folder of sources.
        form: the format of the results.

    Raises:
        UserError: an input is missing, of the wrong kind or without photos; the only target is
            damaged; no two names are equal; the output is of the wrong kind, or a result would
            replace an input.
    """
    sources, targets = _photos_of(source, output), _photos_of(target, output)
    if source.is_dir():
        if not output.is_dir() and (output.exists() or output.suffix.lower() in form.suffixes):
            raise UserError(f"{output}: expected a folder, as {source} is one; give another --output")
        pairs = _pairs_of_folder(source, sources, target, targets, output, form)
    else:
        if target.is_dir():
            raise UserError(f"{target}: is a folder, but the source {source} one photo; name one target photo")
        if output.is_dir() or output.suffix.lower() not in form.suffixes:
            ends = " or ".join(form.suffixes)
            raise UserError(f"{output}: expected a file that ends in {ends}, as {source} is one photo; name one")
        pairs = [ViewPair(sources[0], (target,), output, one_for_all=True)]
    if not target.is_dir():
        apart(read_photo, target)  # if it is damaged, no source can be matched
    replaced = {photo.path.resolve() for photo in (*sources, *targets)} & {pair.output.resolve() for pair in pairs}
    if replaced:
        raise UserError(f"{output}: a result would replace the input {min(replaced)}; give another --output")
    return pairs


def _photos_of(item: Path, output: Path) -> list[Source]:
    """Returns the photos of a file or folder, except for results in an output inside of it."""
    if item.is_dir() and item.resolve() == output.resolve():
        raise UserError(f"{output}: results would lie among the inputs, or replace them; give another --output")
    photos = find_sources([item], raw=False, exclude=output if item.resolve() in output.resolve().parents else None)
    if not item.is_dir() and photos[0].space == "raw":  # in a folder it costs itself only
        raise PhotoError(f"{item}: {IS_RAW}")
    return photos


def _pairs_of_folder(
    source: Path, sources: list[Source], target: Path, targets: list[Source], output: Path, form: PictureFormat
) -> list[ViewPair]:
    by_name: dict[Path, tuple[Path, ...]] = {}
    for path in (photo.path for photo in targets if target.is_dir()):
        name = path.relative_to(target).with_suffix("")
        by_name[name] = (*by_name.get(name, ()), path)
    pairs = []
    for photo in sorted(sources, key=lambda photo: natural_order(photo.name)):
        name = photo.path.relative_to(source).with_suffix("")
        partners = by_name.get(name, ()) if target.is_dir() else (target,)
        best = output / f"{name.as_posix()}{form.suffix}"
        pairs.append(ViewPair(photo, partners, best, output, one_for_all=not target.is_dir()))
    if not any(pair.targets for pair in pairs):
        raise UserError(f"{target}: no photo has the name of one in {source}; give both views of a scene one name")
    return pairs
