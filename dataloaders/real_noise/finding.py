"""Finds all sources of real noise below a folder: scenes of SIDD, and folders of frames."""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cycleisp.dataloaders.kinds import kind_of
from cycleisp.dataloaders.real_noise.frames import NoRoomError, open_frames
from cycleisp.dataloaders.real_noise.sidd_pairs import open_pair
from cycleisp.dataloaders.real_noise.sources import ResidualError, ResidualSource
from cycleisp.dataloaders.sidd.scenes import NOISE_LEVELS_FILE, PATTERNS_FILE, read_patterns
from cycleisp.utils.errors import UserError, reason
from cycleisp.utils.listing import visible
from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.raw.camera_files import RAW_SUFFIXES

log = logging.getLogger(__name__)

# SIDD-Medium's names; those of SIDD-Small lack the instance
_SIDD_FILE = re.compile(r"(?P<instance>\d+_)?(?P<kind>NOISY|GT)_RAW_(?P<number>\d+)\.MAT", re.IGNORECASE)
_UNCERTAIN = frozenset(("", ".tif", ".tiff"))  # suffixes of files that may be camera files


def find_residual_sources(folder: Path, progress: bool = False) -> tuple[list[ResidualSource], list[str]]:
    """Returns all usable sources in a folder, sorted by name, and why others were left out.

    Args:
        folder: the folder, which is searched at all depths and may itself be a scene.
        progress: whether to show a bar.

    Raises:
        UserError: there is no such folder, no usable source in it, a damaged bayer_patterns.csv, or
            no room in the temporary folder.
    """
    if not folder.is_dir():
        raise ResidualError(f"{folder}: no such folder")
    patterns = read_patterns(folder / PATTERNS_FILE)
    sources: list[ResidualSource] = []
    problems: list[str] = []
    jobs: list[tuple[str, _SiddFiles | list[Path]]] = []
    for place in (folder, *(path for path in visible(folder) if path.is_dir())):
        try:
            jobs += _candidates(place, place.relative_to(folder))
        except OSError as error:
            problems.append(f"{place}: cannot be read ({error.strerror})")
    jobs.sort(key=lambda job: job[0])
    for name, files in progress_bar(
        iterable=jobs, desc="sources of noise", unit="scene", disable=not progress, leave=False
    ):
        try:
            if isinstance(files, _SiddFiles):
                sources.append(open_pair(name, files.noisy, files.clean, patterns, folder / NOISE_LEVELS_FILE))
            else:
                sources.append(open_frames(name, files))
        except NoRoomError:
            raise
        except Exception as error:  # one bad scene leaves the others
            if not isinstance(error, UserError):
                log.debug("%s", folder / name, exc_info=True)
            said = str(error) if isinstance(error, UserError) else reason(error)
            problems.append(said if str(folder) in said else f"{folder / name}: {said}")
    if not sources:
        found = f"left out: {'; '.join(problems[:3])}" if problems else "found neither"
        raise ResidualError(
            f"{folder}: no source of real noise; looked for SIDD's NNNN_NOISY_RAW_010.MAT with NNNN_GT_RAW_010.MAT, "
            f"and folders of two or more frames of one scene as camera RAW; {found}"
        )
    return sources, problems


@dataclass(frozen=True)
class _SiddFiles:
    """The two files of a pair of SIDD, one of which may be missing."""

    noisy: Path
    clean: Path


def _candidates(place: Path, inside: Path) -> Iterator[tuple[str, _SiddFiles | list[Path]]]:
    """Yields name and files of all that looks like a source directly in a folder.

    The names begin with `inside`.
    """
    files = sorted(path for path in place.iterdir() if path.is_file() and not path.name.startswith("."))
    pairs: dict[str, dict[str, Path]] = {}
    for path in files:
        if match := _SIDD_FILE.fullmatch(path.name):
            kinds = pairs.setdefault(f"{match['instance'] or ''}{match['number']}", {})
            kinds[match["kind"].upper()] = path
    for name, kinds in pairs.items():
        present = next(iter(kinds.values()))
        noisy, clean = (
            kinds.get(kind, present.with_name(re.sub("NOISY|GT", kind, present.name, flags=re.IGNORECASE)))
            for kind in ("NOISY", "GT")
        )
        yield (inside / name).as_posix(), _SiddFiles(noisy, clean)
    frames = [path for path in files if _is_frame(path)]
    if frames:
        yield (inside / "frames").as_posix(), frames


def _is_frame(path: Path) -> bool:
    """Tells whether a file is a camera file: by suffix, or by content where that is open."""
    suffix = path.suffix.lower()
    return suffix in RAW_SUFFIXES or (suffix in _UNCERTAIN and kind_of(path) == "raw")
