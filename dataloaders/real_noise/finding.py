"""Finds all sources of real noise below a folder: scenes of SIDD-Medium, and folders of frames."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cycleisp.dataloaders.real_noise.frames import open_frames
from cycleisp.dataloaders.real_noise.sidd_pairs import open_pair
from cycleisp.dataloaders.real_noise.sources import ResidualError, ResidualSource
from cycleisp.dataloaders.sidd.scenes import NOISE_LEVELS_FILE, PATTERNS_FILE, SiddError, read_patterns
from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.raw.camera_files import RAW_SUFFIXES, RawFileError

_SIDD_FILE = re.compile(r"(?P<instance>\d+)_(?P<kind>NOISY|GT)_RAW_(?P<number>\d+)\.MAT", re.IGNORECASE)


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
    for place in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
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
        except (ResidualError, SiddError, RawFileError, ValueError) as error:
            reason = str(error) or type(error).__name__
            problems.append(reason if str(folder) in reason else f"{folder / name}: {reason}")
    if not sources:
        found = f"left out: {'; '.join(problems[:3])}" if problems else "found neither"
        raise ResidualError(
            f"{folder}: no source of real noise; looked for SIDD's NNNN_NOISY_RAW_010.MAT with NNNN_GT_RAW_010.MAT, "
            f"and folders of two or more frames of one scene as camera RAW; {found}"
        )
    return sources, problems


@dataclass(frozen=True)
class _SiddFiles:
    """The two files of a pair of SIDD-Medium, one of which may be missing."""

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
            kinds = pairs.setdefault(f"{match['instance']}_{match['number']}", {})
            kinds[match["kind"].upper()] = path
    for name, kinds in pairs.items():
        present = next(iter(kinds.values()))
        noisy, clean = (
            kinds.get(kind, present.with_name(re.sub("NOISY|GT", kind, present.name, flags=re.IGNORECASE)))
            for kind in ("NOISY", "GT")
        )
        yield (inside / name).as_posix(), _SiddFiles(noisy, clean)
    frames = [path for path in files if path.suffix.lower() in RAW_SUFFIXES]
    if frames:
        yield (inside / "frames").as_posix(), frames
