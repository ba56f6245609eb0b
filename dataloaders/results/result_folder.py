"""A folder of results: which file is whose, what is missing, and what must not be replaced."""

import logging
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath

from cycleisp.dataloaders.results.known_sources import KnownSources
from cycleisp.dataloaders.results.records import FILE_NAME, MadeFile, Record, Settings
from cycleisp.dataloaders.results.shorter_record import shorten
from cycleisp.dataloaders.sources import Source
from cycleisp.utils.errors import UserError
from cycleisp.utils.fingerprints import Fingerprint
from cycleisp.utils.output.files import atomic_path
from cycleisp.utils.output.json_lines import Line, append_line, read_lines
from cycleisp.utils.output.result_names import TakenNames, candidate_names
from cycleisp.utils.version import code_version
from cycleisp.utils.words import printable

log = logging.getLogger(__name__)


class ChangedResultError(UserError):
    """A file in the place of a result that this program has not made, or that was changed since."""


@dataclass(frozen=True)
class Result:
    """The result of one source, to be made or kept.

    Attributes:
        source: the input.
        name: what its files are called, without their suffixes.
        outputs: the names of its files below the folder.
        settings: what the result depends on besides the source.
        record: how it was made before; None for a new one.
        others: a hash of the content of further files that it depends on; None where there are
            none.
    """

    source: Source
    name: str
    outputs: tuple[str, ...]
    settings: Settings
    record: Record | None
    others: str | None = None


class ResultFolder:
    """A folder of results and the record of what made them.

    Args:
        folder: the folder; it need not exist.
        overwrite: whether results are made again, and files of somebody else may be replaced.

    Raises:
        UserError: the record cannot be read. Damaged lines are left out, with a warning: what they
            listed counts as files of somebody else.
    """

    def __init__(self, folder: Path, overwrite: bool = False) -> None:
        self.folder, self.overwrite = folder, overwrite
        self._path, self._version = folder / FILE_NAME, code_version()
        lines, damaged = read_lines(self._path)
        records = [record for line in lines if (record := Record.from_json(line)) is not None]
        damaged += len(lines) - len(records)
        if damaged:
            log.warning("%s: left out %d damaged lines; the files they listed stay as they are", self._path, damaged)
        self._known = KnownSources[Record]()
        self._made: dict[str, list[MadeFile]] = defaultdict(list)  # output -> all that it ever was
        self._makers: dict[str, Record] = {}  # output -> the newest record that has it
        for record in records:
            self._remember(record)
        # lines to shorten; none where some are damaged, which are left to whoever mends them
        self._read: tuple[list[Line], list[Record]] = ([], []) if damaged else (lines, records)

    def _remember(self, record: Record) -> None:
        self._known.add(record.source, record.path, record.fingerprint, record)
        for output, made in record.outputs.items():
            self._made[output].append(made)
            self._makers[output] = record

    # ------------------------------------------------------------ before a run

    def plan(
        self,
        sources: Sequence[Source],
        suffixes: Callable[[Source], Sequence[str]],
        settings: Callable[[Source], Settings],
    ) -> list[Result]:
        """Gives every source the names of its results.

        A source that has a record keeps its names. The others get names that no record, no other
        source of this run and, unless files may be replaced, no file has. The record itself is
        written anew where most of it has been replaced; the run must hold the folder (`claimed`).

        Args:
            sources: the inputs of a run, whose names depend on their order.
            suffixes: the suffixes of the files that a source becomes.
            settings: what its result depends on besides it.

        Raises:
            UserError: a result that is there was made with other settings.
        """
        shorten(self._path, *self._read)
        self._read = ([], [])
        taken = TakenNames()
        taken.add([FILE_NAME, *self._made])
        results = []
        for source, record in zip(sources, self._known.find(sources), strict=True):
            name, outputs = self._names(source, suffixes(source), record, taken)
            taken.add(outputs)
            results.append(Result(source, name, outputs, settings(source), record))
        if not self.overwrite:
            for result in results:
                self._check_settings(result)
        return results

    def plan_file(self, source: Source, output: str, settings: Settings, others: Sequence[str] = ()) -> Result:
        """Plans one result whose file the user has named; `others` are the files beside it.

        Raises:
            UserError: as `plan`; or the file is there and was made from another source.
        """
        outputs = (output, *others)
        record = self._makers.get(output)
        if record is not None and not (
            record.source == source.relative
            and (record.path == source.place or record.fingerprint.has_content_of(source.path))
        ):
            record = None
        result = Result(source, output.removesuffix(Path(output).suffix), outputs, settings, record)
        if record is None and not self.overwrite and (there := [name for name in outputs if self._exists(name)]):
            raise ChangedResultError(
                f"{self.folder / there[0]}: exists, and is no result of {source.path}; give --overwrite or another "
                "--output"
            )
        if not self.overwrite:
            self._check_settings(result)
        return result

    def _names(
        self, source: Source, suffixes: Sequence[str], record: Record | None, taken: TakenNames
    ) -> tuple[str, tuple[str, ...]]:
        own = set(record.outputs) if record is not None else set[str]()
        foreign: list[str] = []
        for name in chain([record.name] if record is not None else [], candidate_names(source.relative)):
            outputs = tuple(f"{name}{suffix}" for suffix in suffixes)
            new = [output for output in outputs if output not in own]
            if not taken.are_free(new):
                continue
            there = [output for output in new if self._exists(output)]
            if not there or self.overwrite:
                if foreign:
                    words = f"{self.folder / foreign[0]}: not made by this program, or without a record; left as it is"
                    log.warning("%s", printable(f"{words}, the result of {source.path} is called {outputs[0]}"))
                return name, outputs
            foreign += there
        raise AssertionError("candidates have no end")

    def _exists(self, output: str) -> bool:
        """Tells whether something is in the place of an output, or of a folder it lies in."""
        folders = [self.folder / folder for folder in PurePosixPath(output).parents][:-1]
        return os.path.lexists(self.folder / output) or any(map(os.path.isfile, folders))

    def _check_settings(self, result: Result) -> None:
        if result.record is None or not any(self._exists(output) for output in result.record.outputs):
            return
        before, now = result.record.settings, result.settings
        changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
        if changed:
            was = ", ".join(f"{key}={before.get(key)}" for key in changed)
            raise UserError(
                f"{self.folder / next(iter(result.record.outputs))}: made with {was}; give --overwrite, another "
                "--output, or the same settings"
            )

    # ------------------------------------------------------------ in a run

    def missing(self, result: Result) -> list[str]:
        """Returns the files of a result that have to be made, which may be none.

        Raises:
            ChangedResultError: one of them is there, but was changed since it was made.
        """
        if self.overwrite:
            return list(result.outputs)
        record = result.record if result.record is not None and self._is_current(result.record, result) else None
        missing = []
        for output in result.outputs:
            path = self.folder / output
            if not self._exists(output):
                missing.append(output)
            elif record is not None and output in record.outputs and record.outputs[output].is_at(path):
                continue
            elif any(made.is_at(path) for made in self._made.get(output, [])):
                missing.append(output)  # of an earlier content, or of a run that was killed
            elif record is None or output not in record.outputs:
                raise ChangedResultError(
                    f"{result.source.path}: {path} was changed since it was made, or made by another program; give "
                    "--overwrite or another --output"
                )
        return missing

    @staticmethod
    def _is_current(record: Record, result: Result) -> bool:
        """Tells whether a record says how the result would be made now."""
        same = record.settings == result.settings and record.others == result.others
        return same and record.fingerprint.has_content_of(result.source.path)

    @staticmethod
    def fingerprint(result: Result) -> Fingerprint:
        """Returns the fingerprint of a source for `writing`. It is taken before the source is read.

        Raises:
            OSError: the source cannot be read.
        """
        return Fingerprint.of(result.source.path, result.record.fingerprint if result.record is not None else None)

    @contextmanager
    def writing(self, result: Result, fingerprint: Fingerprint, outputs: Sequence[str]) -> Iterator[dict[str, Path]]:
        """Yields temporary paths to write files of a result to.

        When the block ends without an error, the record gets its line and the files their names.

        Raises:
            OSError: the folder cannot be written.
        """
        with ExitStack() as renames:
            parts = {output: renames.enter_context(atomic_path(self.folder / output)) for output in outputs}
            yield parts
            whole = {} if result.record is None else dict(result.record.outputs)
            whole |= {output: MadeFile.of(part) for output, part in parts.items()}
            files = {output: file for output, file in whole.items() if output in result.outputs}
            source = result.source
            record = Record(
                *(source.relative, source.place, fingerprint, result.name, files, result.settings, result.others)
            )
            append_line(self._path, record.to_json(self._version))
            self._remember(record)
