"""What happened to the files of a run in which one bad file never stops the others."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Summary:
    """How many results were made, how many kept from an earlier run, and which files were skipped, with the reason."""

    made: int = 0
    kept: int = 0
    skipped: list[tuple[Path, str]] = field(default_factory=list)

    def skip(self, path: Path, error: Exception | str) -> str:
        """Note a file that cannot be used; gives back the reason, which names the file."""
        reason = str(error) or type(error).__name__
        reason = reason if str(path) in reason else f"{path}: {reason}"
        self.skipped.append((path, reason))
        return reason

    def report(self, done: str, output: Path) -> int:
        """Print what happened, as `3 denoised, 0 kept from before, ...`; gives back the exit status of the script."""
        for _, reason in self.skipped:
            print(f"skipped {reason}")
        print(f"{self.made} {done}, {self.kept} kept from before, {len(self.skipped)} skipped; {output}")
        return 1 if self.skipped else 0
