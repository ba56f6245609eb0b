"""Photos in, photos in the colours of others out: what match_colors.py does.

It takes single photos, folders, and films, whose colours do not flicker.
"""

import logging
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.photos import PhotoError, read_photo, read_photo_and_metadata, width_x_height
from cycleisp.dataloaders.results.summary import Summary
from cycleisp.dataloaders.sources import Source, find_sources
from cycleisp.utils.color.color_lut import ColorLut, average_luts
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import as_float
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.output.png import encode_png
from cycleisp.utils.output.progress import progress_bar

log = logging.getLogger(__name__)

Estimate = Callable[[NDArray, NDArray], ColorLut]  # from source and target, (H, W, 3) in [0, 1]
WINDOW = 3  # standard deviations, at which the Gaussian that smooths over time is cut
ALIKE = 1.2  # the largest ratio of two aspect ratios that passes without a warning


@dataclass(frozen=True)
class ViewPair:
    """A source photo, the target photos of its name, and the PNG to make.

    A source is only matched if it has exactly one target.
    """

    source: Path
    targets: tuple[Path, ...]
    output: Path


def natural_order(name: str) -> tuple[list[str | int], ...]:
    """Returns a key that sorts frame2 before frame10, and the files of a folder side by side."""
    folder, _, stem = name.rpartition("/")
    parts = (re.split(r"(\d+)", part) for part in (folder, stem))  # every other one is a number
    return (*([int(text) if n % 2 else text for n, text in enumerate(texts)] for texts in parts), [name])


def find_view_pairs(source: Path, target: Path, output: Path) -> list[ViewPair]:
    """Returns the pairs of source and target photos, in natural order of their names.

    Args:
        source: a photo, or a folder of photos.
        target: a photo for all sources; or, for a folder of sources, a folder. The photos of two
            folders pair by their path below the folder, without suffix.
        output: a PNG for one source, or a folder for a folder of sources.

    Raises:
        UserError: an input is missing, of the wrong kind or without photos; the only target is
            damaged; no two names are equal; the output is of the wrong kind, or a result would
            replace an input.
    """
    sources, targets = _photos_of(source, output), _photos_of(target, output)
    if source.is_dir():
        if not output.is_dir() and (output.exists() or output.suffix.lower() == ".png"):
            raise UserError(f"{output}: expected a folder, as {source} is one; give another --output")
        pairs = _pairs_of_folder(source, sources, target, targets, output)
    else:
        if target.is_dir():
            raise UserError(f"{target}: is a folder, but the source {source} one photo; name one target photo")
        if output.is_dir() or output.suffix.lower() != ".png":
            raise UserError(f"{output}: expected a file that ends in .png, as {source} is one photo; name one")
        pairs = [ViewPair(source, (target,), output)]
    if not target.is_dir():
        read_photo(target)  # if it is damaged, no source can be matched
    replaced = {photo.path.resolve() for photo in (*sources, *targets)} & {pair.output.resolve() for pair in pairs}
    if replaced:
        raise UserError(f"{output}: a result would replace the input {min(replaced)}; give another --output")
    return pairs


def _photos_of(item: Path, output: Path) -> list[Source]:
    """Returns the photos of a file or folder, except for results in an output inside of it."""
    if item.is_dir() and item.resolve() == output.resolve():
        raise UserError(f"{output}: results would lie among the inputs, or replace them; give another --output")
    photos = find_sources([item], raw=False, exclude=output if item.resolve() in output.resolve().parents else None)
    if photos[0].space == "raw":  # a file given by name; folders are searched for photos only
        raise PhotoError(f"{item}: is a camera RAW file; develop it to a photo first")
    return photos


def _pairs_of_folder(
    source: Path, sources: list[Source], target: Path, targets: list[Source], output: Path
) -> list[ViewPair]:
    by_name: dict[Path, tuple[Path, ...]] = {}
    for path in (photo.path for photo in targets if target.is_dir()):
        name = path.relative_to(target).with_suffix("")
        by_name[name] = (*by_name.get(name, ()), path)
    pairs = []
    for photo in sorted(sources, key=lambda photo: natural_order(photo.name)):
        partners = by_name.get(photo.path.relative_to(source).with_suffix(""), ()) if target.is_dir() else (target,)
        pairs.append(ViewPair(photo.path, partners, output / f"{photo.name}.png"))
    if not any(pair.targets for pair in pairs):
        raise UserError(f"{target}: no photo has the name of one in {source}; give both views of a scene one name")
    return pairs


class MatchedFiles:
    """Writes sources in the colours of their targets. Existing results are kept, to resume a run.

    Args:
        estimate: finds the table that gives a source the colours of its target.
        smooth: for films, the standard deviation in frames of a Gaussian, cut at three of them, by
            which the table of a frame is averaged with those of its neighbours in the same folder.
            0 matches each frame alone.
        luts: whether to write the table that was applied, `NAME.cube`, beside each `NAME.png`.
        overwrite: whether to overwrite existing results.
    """

    def __init__(self, estimate: Estimate, smooth: float = 0.0, luts: bool = False, overwrite: bool = False) -> None:
        self.estimate, self.smooth, self.luts, self.overwrite = estimate, smooth, luts, overwrite

    def run(self, pairs: Sequence[ViewPair]) -> Summary:
        """Matches every source.

        Bad ones are left out, of the averages too, and reported in the summary.

        Raises:
            UserError: a result cannot be written.
        """
        summary, film = Summary(), _Film(pairs, self.estimate, self.smooth)
        for number, pair in enumerate(progress_bar(iterable=pairs, desc="matching", unit="image")):
            wanted = [pair.output, pair.output.with_suffix(".cube")] if self.luts else [pair.output]
            missing = [path for path in wanted if self.overwrite or not path.is_file()]
            if not missing:
                summary.kept += 1
                continue
            try:
                lut = film.lut(number)
                photo, metadata = film.read_source(pair.source)
                made = {
                    path: lut.to_cube(path.stem).encode()
                    if path.suffix == ".cube"
                    else encode_png(lut.apply(photo), metadata)
                    for path in missing
                }
            except (UserError, ValueError, MemoryError, OSError) as error:
                log.warning("skipped %s", summary.skip(pair.source, error))
                continue
            try:
                for path, content in made.items():
                    write_bytes(path, content)
            except OSError as error:
                raise UserError(f"{pair.output}: cannot be written ({error.strerror}); give another --output") from None
            summary.made += 1
        return summary


class _Film:
    """The tables of frames, estimated when needed and kept while the Gaussian reaches them."""

    def __init__(self, pairs: Sequence[ViewPair], estimate: Estimate, smooth: float) -> None:
        self.pairs, self.estimate, self.smooth = pairs, estimate, smooth
        self.reach = math.floor(min(WINDOW * smooth, len(pairs)))
        self.table_or_reason = lru_cache(maxsize=2 * self.reach + 1)(self._table_or_reason)
        self.read_source, self.read_target = (lru_cache(maxsize=1)(read_photo_and_metadata) for _ in range(2))

    def lut(self, number: int) -> ColorLut:
        """Returns the table to apply to a frame: the mean of its own and its neighbours' tables.

        Raises:
            PhotoError: the frame has no table of its own. The message gives the reason.
        """
        own = self.table_or_reason(number)
        if isinstance(own, str):
            raise PhotoError(own)
        if self.reach == 0:
            return own
        near = range(max(0, number - self.reach), min(len(self.pairs), number + self.reach + 1))
        film = [other for other in near if self.pairs[other].output.parent == self.pairs[number].output.parent]
        tables = {other - number: self.table_or_reason(other) for other in film}
        there = {distance: lut for distance, lut in tables.items() if isinstance(lut, ColorLut)}
        return average_luts(list(there.values()), np.exp(-0.5 * (np.array(list(there)) / self.smooth) ** 2))

    def _table_or_reason(self, number: int) -> ColorLut | str:
        """Returns a frame's own table, or the reason why it has none.

        The reason is a text, so that a failure is met once and remembered without its photos.
        """
        pair = self.pairs[number]
        if len(pair.targets) != 1:
            found = " and ".join(map(str, pair.targets)) or "none"
            return f"{pair.source}: expected one target of its name, found {found}; see to it, or name one for all"
        try:
            (photo, said), (target_photo, target_said) = (
                self.read_source(pair.source),
                self.read_target(pair.targets[0]),
            )
            if said.icc_profile != target_said.icc_profile:
                log.warning("%s and its target have different colour profiles; convert both to one first", pair.source)
            source, target = as_float(photo), as_float(target_photo)
            (height, width), (target_height, target_width) = source.shape[:2], target.shape[:2]
            ratio = width * target_height / (height * target_width)
            if max(ratio, 1 / ratio) > ALIKE:
                sizes = f"{width_x_height(source.shape)} and {width_x_height(target.shape)} pixels"
                log.warning("%s and its target differ in shape, %s: are they views of one scene?", pair.source, sizes)
            return self.estimate(source, target)
        except (UserError, ValueError, MemoryError) as error:
            return str(error) or type(error).__name__
