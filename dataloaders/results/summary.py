"""What happened to the files of a run in which one bad file does not stop the others."""

from dataclasses import dataclass, field
from pathlib import Path


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
        """Adds a file that cannot be used, and returns the reason, which names the file."""
        reason = str(error) or type(error).__name__
        reason = reason if str(path) in reason else f"{path}: {reason}"
        self.skipped.append((path, reason))
        return reason

    def report(self, done: str, output: Path) -> int:
        """Prints what happened, as `3 denoised, 0 kept from before, ...`.

        Returns the exit status of the script: 1 if files were skipped, else 0.
        """
        for _, reason in self.skipped:
            print(f"skipped {reason}")
        print(f"{self.made} {done}, {self.kept} kept from before, {len(self.skipped)} skipped; {output}")
        return 1 if self.skipped else 0
