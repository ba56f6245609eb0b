"""The record of results: which file of a folder was made from which source, and how.

    DIR/results.jsonl    a line for each result, in the order in which they were made, without most
                         of those that later ones have replaced:
        source           path below the input folder
        path             the source's absolute path
        sha256, stamp    the source's content (utils/fingerprints.py)
        name             what the results are called, without their suffixes
        outputs          name of each file -> bytes, modified_ns, sha256
        settings         what else the result depends on; version of the code
        others_sha256    the content of further files that it depends on, where there are any

A line is written when its files are complete but still have temporary names. So a file that has its
name has its line, whenever the process is killed. A file without a line belongs to somebody else,
and so does one that was changed after it was made: neither is replaced without `--overwrite`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cycleisp.utils.fingerprints import Fingerprint, file_sha256
from cycleisp.utils.output.json_lines import is_name_inside

FILE_NAME = "results.jsonl"
Settings = Mapping[str, Any]  # JSON values


@dataclass(frozen=True)
class MadeFile:
    """A file as it was made: its size in bytes, its time of modification, and its hash."""

    bytes: int
    modified_ns: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> "MadeFile":
        """Reads a file that was just made."""
        status = path.stat()
        return cls(status.st_size, status.st_mtime_ns, file_sha256(path))

    def is_at(self, path: Path) -> bool:
        """Tells whether a path holds this very file, or a copy."""
        try:
            status = path.stat()
            if status.st_size != self.bytes:
                return False
            return status.st_mtime_ns == self.modified_ns or file_sha256(path) == self.sha256
        except OSError:
            return False


@dataclass(frozen=True)
class Record:
    """A line of the record; the top of this file describes it."""

    source: str
    path: str
    fingerprint: Fingerprint
    name: str
    outputs: Mapping[str, MadeFile]
    settings: Settings
    others: str | None = None

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> "Record | None":
        """Returns the record in a line, or None where the line is damaged."""
        fingerprint = Fingerprint.from_json(line)
        source, path, name, outputs, settings = map(line.get, ("source", "path", "name", "outputs", "settings"))
        if fingerprint is None or not (isinstance(path, str) and is_name_inside(source) and is_name_inside(name)):
            return None
        if not (isinstance(outputs, dict) and outputs and isinstance(settings, dict)):
            return None
        made: dict[str, MadeFile] = {}
        for output, about in outputs.items():
            values = [about.get(key) for key in ("bytes", "modified_ns", "sha256")] if isinstance(about, dict) else []
            if not is_name_inside(output) or [type(value) for value in values] != [int, int, str]:
                return None
            made[output] = MadeFile(about["bytes"], about["modified_ns"], about["sha256"])
        others = line.get("others_sha256")
        known = others if isinstance(others, str) else None
        return cls(str(source), path, fingerprint, str(name), made, settings, known)

    def to_json(self, version: str) -> dict[str, Any]:
        """Returns the line of this record, with the version of the code."""
        outputs = {output: vars(made) for output, made in self.outputs.items()}
        return {
            "source": self.source,
            "path": self.path,
            **self.fingerprint.to_json(),
            "name": self.name,
            "outputs": outputs,
            "settings": self.settings,
            "version": version,
            **({} if self.others is None else {"others_sha256": self.others}),
        }
