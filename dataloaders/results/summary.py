"""What happened to the files of a run in which one bad file does not stop the others."""

import logging
from dataclasses import dataclass, field
from pathlib import Path

from cycleisp.utils.errors import reason
from cycleisp.utils.words import printable

log = logging.getLogger(__name__)


@dataclass
class Summary:
    """What a run did.

    Attributes:
        made: how many results were made.
        kept: how many results of an earlier run were kept.
        skipped: the files that were left out, each with the reason.
    """

    made: int = 0
    kept: int = 0
    skipped: list[tuple[Path, str]] = field(default_factory=list)

    def skip(self, path: Path, error: Exception | str) -> str:
        """Adds a file that cannot be used, and returns the reason, which names the file.

        `report` says it at the end of the run. Until then it is in the log at debug level alone, so
        that every skip is said once.
        """
        words = error if isinstance(error, str) else str(error) or reason(error)
        words = words if str(path) in words else f"{path}: {words}"
        self.skipped.append((path, words))
        log.debug("skipped %s", words, exc_info=error if isinstance(error, Exception) else None)
        return words

    def report(self, done: str, output: Path) -> int:
        """Prints what happened, as `3 denoised, 0 kept from before, ...`.

        Returns the exit status of the script: 1 if files were skipped, else 0.
        """
        for _, words in self.skipped:
            print(f"skipped {printable(words)}")
        kept = f"{self.kept} kept from before, {len(self.skipped)} skipped"
        print(f"{self.made} {done}, {kept}; {printable(output)}")
        return 1 if self.skipped else 0
