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

import io
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from filelock import FileLock
from h5py._objects import phil  # the lock behind which h5py calls HDF5
from numpy.typing import NDArray

from cycleisp.dataloaders.pairs.manifest import PATHS, WITHDRAWN, Record, listed, newest, read_manifest, read_records
from cycleisp.dataloaders.pairs.raw_files import read_raw_pair
from cycleisp.dataloaders.results.known_sources import KnownSources
from cycleisp.dataloaders.sources import Source
from cycleisp.utils.errors import UserError, reason
from cycleisp.utils.fingerprints import Fingerprint
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.output.json_lines import append_line, encode_lines
from cycleisp.utils.output.png import encode_png
from cycleisp.utils.output.result_names import TakenNames, candidate_names
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
            if (fingerprint := Fingerprint.from_json(record, "source_")) is not None and "source" in record:
                path = record.get("source_path") or str(Path(record["source"]).resolve())
                known.add(record.get("source_relative"), path, fingerprint, record)
        taken = TakenNames()
        for name in self._records:
            taken.add(_files_of(name))
        result = []
        for source, own in zip(sources, known.find(sources), strict=True):
            if own is not None:
                name = own["name"]
            else:
                name = next(name for name in candidate_names(source.relative) if taken.are_free(_files_of(name)))
                taken.add(_files_of(name))
            result.append(replace(source, name=name))
        return result

    def repeated(self, sources: Sequence[Source], repeats: int) -> list[Source]:
        """Returns each source as often as it is to have pairs: NAME, NAME.r2, NAME.r3, ...

        Args:
            sources: as `named` has returned them.
            repeats: the number of pairs of each.

        Raises:
            UserError: a photo has the name that another photo's repeat would get.
        """
        names = {source.name for source in sources}
        result = []
        for source in sources:
            result.append(source)
            for repeat in range(2, repeats + 1):
                name = f"{source.name}.r{repeat}"
                if name in names:
                    raise UserError(f"{source.path}: its pair {repeat} would be {name}, as that of a photo; rename one")
                result.append(replace(source, name=name, repeat=repeat))
        return result

    def is_finished(self, source: Source) -> bool:
        """Tells whether the pair of a source is there, made from what the source holds now."""
        record = self._records.get(source.name)
        if record is None or WITHDRAWN in record:
            return False
        fingerprint = Fingerprint.from_json(record, "source_")
        if fingerprint is None or not fingerprint.has_content_of(source.path):
            return False
        return all(_is_file(self.folder / file) for file in record["files"].values())

    def write(self, name: str, pair: PairFiles, record: Mapping[str, Any]) -> None:
        """Writes the files of one pair, then its line.

        Several threads of one process may call this at the same time.

        Raises:
            OSError: the disk is full or cannot be written.
        """
        before = self._records.get(name)
        again = {} if before is None else {"remade": before.get("remade", 0) + 1}
        if before is not None and WITHDRAWN not in before:  # the photo has changed, or a file was missing
            self._append({**before, **again, WITHDRAWN: True})
        files: dict[str, str] = {}
        if pair.clean_raw is not None:
            files["raw"] = PATHS["raw"].format(name)
            self._write_raw(self.folder / files["raw"], pair, record)
        for kind, image in (("clean", pair.clean_srgb), ("noisy", pair.noisy_srgb)):
            if image is not None:
                files[f"srgb_{kind}"] = PATHS[f"srgb_{kind}"].format(name)
                write_bytes(self.folder / files[f"srgb_{kind}"], encode_png(image))
        self._append({"name": name, **record, **again, "files": files})

    def _append(self, record: Record) -> None:
        append_line(self._part, record)
        self._records[record["name"]] = record

    @staticmethod
    def _write_raw(path: Path, pair: PairFiles, record: Mapping[str, Any]) -> None:
        content = io.BytesIO()  # in memory, since HDF5 crashes the process when a disk is full
        with h5py.File(content, "w") as file:
            planes = {"clean": pair.clean_raw, "noisy": pair.noisy_raw, "variance": pair.variance}
            for key, plane in planes.items():
                if plane is not None:
                    _write_planes(file, key, plane)
            file.attrs["pattern"] = "RGGB"
            for key in ("shot_noise", "read_noise", "seed", "weights_sha256", "version"):
                if record[key] is not None:
                    file.attrs[key] = record[key]
        write_bytes(path, content.getvalue())

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


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long for the file system
        return False


def _files_of(name: str) -> list[str]:
    """Returns the names of a pair's files, without the folders that have them apart."""
    return [f"{name}.h5", f"{name}.png"]


def _write_planes(file: h5py.File, key: str, planes: NDArray) -> None:
    """Writes a dataset (C, H, W), compressed plane by plane as HDF5's `shuffle` and `gzip` would.

    Compressing here is faster with several threads: HDF5 lets one of them work at a time, zlib all.
    """
    dataset = file.create_dataset(
        key, planes.shape, planes.dtype, chunks=(1, *planes.shape[1:]), compression="gzip", shuffle=True
    )
    for index, plane in enumerate(planes):
        bytes_of_values = np.ascontiguousarray(plane).view(np.uint8).reshape(-1, plane.itemsize)
        shuffled = np.ascontiguousarray(bytes_of_values.T)
        compressor = zlib.compressobj(1, strategy=zlib.Z_RLE)
        content = compressor.compress(shuffled.data) + compressor.flush()
        with phil:  # h5py before 3.16 does not take its lock in this function, and crashes
            dataset.id.write_direct_chunk((index, 0, 0), content)
