"""The folder that generate_data.py fills and that denoisers train on.

    DIR/raw/NAME.h5         clean, noisy: (4, H/2, W/2) uint16, packed RGGB, linear = value / 65535;
                            variance, if asked for: (4, H/2, W/2) float32
    DIR/srgb/clean/NAME.png, DIR/srgb/noisy/NAME.png
    DIR/manifest.jsonl      a line for each pair, with everything that made it; sorted by name when
                            the run is finished
    DIR/settings.json       what all pairs have in common

A pair exists when its line is in a manifest. Its files are written aside and renamed, and the line
comes last. Before the files of a pair are replaced, a line withdraws it, so that no line ever names
files of two makings. Each process appends to a manifest of its own, `manifest.rankN.jsonl`, and
merges it at the end, so that several processes can fill one folder.

A pair belongs to its source, of which the line says path, content and path below the input folder.
A source that changes is made again under its name; another source gets another name.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from cycleisp.dataloaders.pairs.manifest import PATHS, WITHDRAWN, Record, listed, newest, read_manifest, read_records
from cycleisp.dataloaders.pairs.naming import files_of, with_names
from cycleisp.dataloaders.pairs.raw_files import encode_raw_pair, read_raw_pair
from cycleisp.dataloaders.results.known_sources import KnownSources
from cycleisp.dataloaders.sources import Source
from cycleisp.utils.errors import UserError, reason
from cycleisp.utils.fingerprints import Fingerprint
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.output.json_lines import append_line, encode_lines
from cycleisp.utils.output.png import encode_png
from cycleisp.utils.output.result_names import TakenNames
from cycleisp.utils.output.settings import FILE_NAME, claim_folder

__all__ = ["PairFiles", "PairStore", "Record", "read_manifest", "read_raw_pair"]


@dataclass(frozen=True)
class PairFiles:
    """One pair as it is stored. What was not asked for is None.

    Attributes:
        clean_raw, noisy_raw: (4, H/2, W/2) uint16.
        variance: (4, H/2, W/2) float32, the variance of the noise.
        clean_srgb, noisy_srgb: (H, W, 3) uint8 or uint16.
    """

    clean_raw: NDArray[np.uint16] | None
    noisy_raw: NDArray[np.uint16] | None
    variance: NDArray[np.float32] | None
    clean_srgb: NDArray | None
    noisy_srgb: NDArray | None


class PairStore:
    """Writes pairs to a folder and knows which are finished.

    Args:
        folder: the folder, which is made if needed. Pairs of the same settings are kept.
        settings: everything that all pairs depend on; the folder never mixes two.
        rank: the number of this process among those that fill the folder.

    Raises:
        UserError: the folder holds pairs of other settings, or a settings.json of another program.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], rank: int = 0) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{folder}: cannot be made a folder ({error.strerror}); give another --output") from None
        self._lock = FileLock(folder / ".lock")
        self._part = folder / f"manifest.rank{rank}.jsonl"
        with self._lock:
            self._check_that_folder_is_ours()
            claim_folder(folder, settings, "pairs")
            self._records = newest(read_records(folder))

    def _check_that_folder_is_ours(self) -> None:
        """Refuses files that a run would replace and that no run has made."""
        if (self.folder / FILE_NAME).exists():
            return
        for part in ("raw", "srgb/clean", "srgb/noisy"):
            for file in (self.folder / part).rglob("*"):
                if file.is_file() and not file.name.startswith("."):
                    raise UserError(f"{file}: not made by generate_data.py; give another --output")

    def named(self, sources: Sequence[Source]) -> list[Source]:
        """Returns the sources of a run with the names of their pairs.

        A source that has a pair keeps its name. The others get names that no pair and no other
        source has: that of the photo without suffix, or else with it. All processes of a run find
        the same names.

        Args:
            sources: all sources of the run, in the order that all processes give.
        """
        known = KnownSources[Record]()
        for record in self._records.values():
            if record.get("repeat", 1) != 1:
                continue  # named after the first pair of its photo
            if (fingerprint := Fingerprint.from_json(record, "source_")) is not None:
                place = str(Path(record["source"]).resolve()) if "source" in record else ""  # unknown after `unpack`
                known.add(record.get("source_relative"), record.get("source_path") or place, fingerprint, record)
        taken = TakenNames()
        for name in self._records:
            taken.add(files_of(name))
        own = [None if record is None else str(record["name"]) for record in known.find(sources)]
        return with_names(sources, own, taken)

    def is_finished(self, source: Source) -> bool:
        """Tells whether the pair of a source is there, made from what the source holds now."""
        record = self._records.get(source.name)
        if record is None or WITHDRAWN in record:
            return False
        fingerprint = Fingerprint.from_json(record, "source_")
        if fingerprint is None or not fingerprint.has_content_of(source.path):
            return False
        return all(_is_file(self.folder / file) for file in record["files"].values())

    def leave_out(self, source: Source, reason: str, again: bool) -> None:
        """Takes note of nothing: a source without a pair is tried again by the next run."""

    def write(self, name: str, pair: PairFiles, record: Mapping[str, Any]) -> None:
        """Writes the files of one pair, then its line.

        Several threads of one process may call this at the same time.

        Raises:
            OSError: the disk is full or cannot be written.
        """
        self.write_encoded(name, _encoded(pair, record), record)

    def write_encoded(self, name: str, contents: Iterable[tuple[str, bytes]], record: Mapping[str, Any]) -> None:
        """Writes a pair as `write` does, from the bytes of its files and their keys in the record.

        Raises:
            OSError: the disk is full or cannot be written.
        """
        before = self._records.get(name)
        again = {} if before is None else {"remade": before.get("remade", 0) + 1}
        if before is not None and WITHDRAWN not in before:  # the photo has changed, or a file was missing
            self._append({**before, **again, WITHDRAWN: True})
        files: dict[str, str] = {}
        for key, content in contents:
            files[key] = PATHS[key].format(name)
            write_bytes(self.folder / files[key], content)
        self._append({"name": name, **record, **again, "files": files})

    def _append(self, record: Record) -> None:
        append_line(self._part, record)
        self._records[record["name"]] = record

    def merge(self) -> list[Record]:
        """Merges the lines of this process into manifest.jsonl, and returns all records by name.

        Raises:
            UserError: the folder cannot be written. The lines stay where they are, and the next run
                merges them.
        """
        with self._lock:
            records = newest(read_records(self.folder))
            merged = [records[name] for name in sorted(records)]
            try:
                write_bytes(self.folder / "manifest.jsonl", encode_lines(merged))
            except OSError as error:
                raise UserError(f"{self.folder}: manifest.jsonl cannot be written ({reason(error)})") from None
            self._part.unlink(missing_ok=True)
        return listed(merged)


def _encoded(pair: PairFiles, record: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Yields the bytes of a pair's files, by their keys in the record, one at a time in memory."""
    if pair.clean_raw is not None:
        yield (
            "raw",
            encode_raw_pair({"clean": pair.clean_raw, "noisy": pair.noisy_raw, "variance": pair.variance}, record),
        )
    for kind, image in (("clean", pair.clean_srgb), ("noisy", pair.noisy_srgb)):
        if image is not None:
            yield f"srgb_{kind}", encode_png(image)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long for the file system
        return False
