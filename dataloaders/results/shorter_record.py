"""The record of results without what later lines have replaced, since lines are only appended."""

import logging
from collections.abc import Sequence
from pathlib import Path

from cycleisp.dataloaders.results.records import Record
from cycleisp.utils.errors import reason
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.output.json_lines import Line, encode_lines

log = logging.getLogger(__name__)


def shorten(path: Path, lines: Sequence[Line], records: Sequence[Record]) -> None:
    """Writes the record anew, if more than half of its lines have been replaced.

    The file is replaced as a whole, so that a kill leaves the old one or the new one. This process
    must be the only one that writes it.

    Args:
        path: the record.
        lines: all that it holds.
        records: what the lines say, in the same order.
    """
    newest = {(record.source, record.path): record for record in records}
    makers = {output: record for record in records for output in record.outputs}

    def is_replaced(record: Record) -> bool:
        """Tells whether a later line has the same source, and stands for each file that is there.

        A file that a killed run has left may be of an earlier line, which then counts.
        """
        if newest[record.source, record.path] is record:
            return False
        return all(
            makers[output] is not record and makers[output].outputs[output].is_at(path.parent / output)
            for output in record.outputs
        )

    if 2 * (len(records) - len(newest)) <= len(records):
        return
    kept = [line for line, record in zip(lines, records, strict=True) if not is_replaced(record)]
    if 2 * len(kept) >= len(lines):
        return
    try:
        write_bytes(path, encode_lines(kept))
    except OSError as error:  # it still holds all that it has held
        log.debug("%s: not shortened (%s)", path, reason(error))
