"""Fetches registered weights: what download_models.py does, as functions.

    from cycleisp.tasks import downloads

    print(downloads.table())
    for download in downloads.fetch_all(["released_isp"]):
        print(download.path or download.error)

Scripts and `cycleisp.load` fetch what they need by themselves.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cycleisp.utils.errors import UserError
from cycleisp.utils.weights import registry
from cycleisp.utils.weights.downloads.fetching import check_present, fetch
from cycleisp.utils.weights.errors import DownloadError


@dataclass(frozen=True)
class Download:
    """What came of one file of the registry.

    Attributes:
        name: of the file in the registry.
        path: where the file is; None if it could not be fetched, or is not the right one.
        sha256: its hash, and what that was compared with, as text; "" without a path.
        error: why there is no path; None if there is one.
    """

    name: str
    path: Path | None = None
    sha256: str = ""
    error: DownloadError | None = None


def table() -> str:
    """Returns all registered weights as text, one per line, with the paths of their files.

    Raises:
        ConfigError: the registry cannot be read.
    """
    return registry.table(registry.read_registry())


def choose(names: Sequence[str] | None = None) -> list[registry.Weights]:
    """Returns the files that names stand for, each once.

    Args:
        names: of files and of bundles; None chooses every file of the registry.

    Raises:
        UserError: a name that is not in the registry.
        ConfigError: the registry cannot be read.
    """
    known = registry.read_registry()
    if names is None:
        return list(known.weights)
    chosen: list[registry.Weights] = []
    for name in names:
        entry = known.find(name)
        if entry is None:
            raise UserError(f"{name}: not in the registry; {known.names()}")
        chosen += [weights for weights in known.members(entry) if weights not in chosen]
    return chosen


def fetch_all(names: Sequence[str] | None = None) -> Iterator[Download]:
    """Fetches files that are missing, checks all of them, and yields one result per file.

    A file that cannot be fetched does not stop the others. Work on a file begins when its result is
    asked for.

    Args:
        names: of files and of bundles; None stands for every file of the registry.

    Raises:
        UserError: a name that is not in the registry; nothing is fetched then.
        ConfigError: the registry cannot be read.
    """
    return map(_fetch_one, choose(names))


def _fetch_one(weights: registry.Weights) -> Download:
    folder = registry.folder_of(weights)
    try:
        path = fetch(weights, folder)
        return Download(weights.name, path, check_present(weights, folder))
    except DownloadError as error:
        return Download(weights.name, error=error)
