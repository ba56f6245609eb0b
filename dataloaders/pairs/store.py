"""The folder that generate_data.py fills and that denoisers train on.

    DIR/raw/NAME.h5         clean, noisy: (4, H/2, W/2) uint16, packed RGGB, linear = value / 65535;
                            variance, if asked for: (4, H/2, W/2) float32
    DIR/srgb/clean/NAME.png, DIR/srgb/noisy/NAME.png
    DIR/manifest.jsonl      a line for each pair, with everything that made it; sorted by name when
                            the run is finished
    DIR/settings.json       what all pairs have in common

A pair exists when its line is in a manifest. Its files are written aside and renamed, and the line
comes last. Each process appends to a manifest of its own, `manifest.rankN.jsonl`, and merges it at
the end, so that several processes can fill one folder.
"""

import io
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from filelock import FileLock
from h5py._objects import phil  # the lock behind which h5py calls HDF5
from numpy.typing import NDArray

from cycleisp.utils.errors import UserError
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.output.png import encode_png
from cycleisp.utils.output.settings import claim_folder

Record = dict[str, Any]


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
            claim_folder(folder, settings, "pairs")
            self._records = _newest(self._read_manifests())
            # A process that was killed may have left half a line at the end. Drop it, so that the
            # next line does not become a part of it.
            if self._part.is_file():
                _rewrite(self._part, _read_records(self._part))

    def _read_manifests(self) -> Iterator[Record]:
        for path in sorted(self.folder.glob("manifest*.jsonl")):
            yield from _read_records(path)

    def is_finished(self, name: str, source_bytes: int) -> bool:
        """Tells whether a pair is there that was made from a file of this size."""
        record = self._records.get(name)
        if record is None or record["source_bytes"] != source_bytes:
            return False
        return all((self.folder / file).is_file() for file in record["files"].values())

    def write(self, name: str, pair: PairFiles, record: Mapping[str, Any]) -> None:
        """Writes the files of one pair, then its line.

        Several threads of one process may call this at the same time.

        Raises:
            OSError: the disk is full or cannot be written.
        """
        files: dict[str, str] = {}
        if pair.clean_raw is not None:
            files["raw"] = f"raw/{name}.h5"
            self._write_raw(self.folder / files["raw"], pair, record)
        for kind, image in (("clean", pair.clean_srgb), ("noisy", pair.noisy_srgb)):
            if image is not None:
                files[f"srgb_{kind}"] = f"srgb/{kind}/{name}.png"
                write_bytes(self.folder / files[f"srgb_{kind}"], encode_png(image))
        full = {"name": name, **record, "files": files}
        if name in self._records:  # the photo has changed, or a file was missing
            full["remade"] = self._records[name].get("remade", 0) + 1
        line = json.dumps(full, sort_keys=True) + "\n"
        with self._part.open("a", encoding="utf-8") as manifest:
            manifest.write(line)  # at once, so that lines of several threads do not mix
        self._records[name] = full

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
            records = _newest(self._read_manifests())
            merged = [records[name] for name in sorted(records)]
            try:
                _rewrite(self.folder / "manifest.jsonl", merged)
            except OSError as error:
                raise UserError(f"{self.folder}: manifest.jsonl cannot be written ({error.strerror})") from None
            self._part.unlink(missing_ok=True)
        return merged


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


def _newest(records: Iterable[Record]) -> dict[str, Record]:
    """Returns the newest record of each name, which is the one that was remade most often."""
    newest: dict[str, Record] = {}
    for record in records:
        known = newest.get(record["name"])
        if known is None or record.get("remade", 0) >= known.get("remade", 0):
            newest[record["name"]] = record
    return newest


def _rewrite(path: Path, records: list[Record]) -> None:
    write_bytes(path, "".join(json.dumps(record, sort_keys=True) + "\n" for record in records).encode())


def _read_records(path: Path) -> list[Record]:
    """Reads the records of a manifest.

    Half a line, which a killed process left behind, is dropped, so that its pair is made again.
    """
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    return [record for record in records if isinstance(record, dict) and "name" in record]


def read_manifest(folder: Path) -> list[Record]:
    """Reads the records of all pairs of a folder, sorted by name.

    Raises:
        UserError: the folder holds no manifest.
    """
    records = _newest(record for path in folder.glob("manifest*.jsonl") for record in _read_records(path))
    if not records:
        raise UserError(f"{folder}: holds no manifest.jsonl with pairs; make some with generate_data.py")
    return [records[name] for name in sorted(records)]


def read_raw_pair(path: Path) -> tuple[NDArray[np.uint16], NDArray[np.uint16], dict[str, Any]]:
    """Reads clean and noisy RAW (4, H/2, W/2) uint16 of a pair, and the attributes of its file."""
    with h5py.File(path) as file:
        return file["clean"][()], file["noisy"][()], dict(file.attrs)
