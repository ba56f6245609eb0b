"""Writing of files that are either whole or absent, even if the process is killed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a temporary path to write to, and renames it to `path` when the block succeeds.

    The temporary file lies beside `path`, in a folder that is made as needed. An error removes it.
    A process killed inside the block leaves it behind as a hidden `.NAME.part`, which the next
    attempt overwrites.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a whole file or none."""
    with atomic_path(path) as part:
        part.write_bytes(content)
