"""Real noise in files: SIDD's pairs of noisy and clean RAW, and frames of one scene.

    DIR/Data/<scene>/NNNN_NOISY_RAW_010.MAT, NNNN_GT_RAW_010.MAT    a pair of SIDD-Medium (MATLAB v7.3, key `x`)
    DIR/<folder>/*.dng, *.arw, ...                                  two or more aligned frames of one scene

Folders may lie at any depth, and DIR may itself be one. All mosaics are unified to RGGB by cropping: a flip would keep
a row or column more, but turn the direction in which the sensor is read, and with it the noise's structure.
"""

import re
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from cycleisp.dataloaders.sidd.blocks import SiddError, parse_scene, pattern_of, read_noise_levels, read_patterns
from cycleisp.utils.errors import UserError
from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.camera_files import RAW_SUFFIXES, RawFileError, RawImage, read_raw

Window = tuple[slice, slice]  # rows and columns of a mosaic as it is stored
PlaneLevels = tuple[tuple[float, ...], tuple[float, ...]]  # shot and read noise of R, G_r, G_b, B

_SIDD_FILE = re.compile(r"(?P<instance>\d+)_(?P<kind>NOISY|GT)_RAW_(?P<number>\d+)\.MAT", re.IGNORECASE)
_LEVELS_FILE = "noise_level_functions.csv"
_FARTHEST = 1.0  # from [0, 1]; values farther off are not on that scale at all
_PROBE = 64  # pixels of a side that are read to see whether a file holds what it should
_BLOCK, _CHECKED = 8, 1024  # values of a side of a block of one plane; pixels of a side of the part looked at
_STRUCTURE = 16  # white noise has 1, row noise of the noise's own strength about 5, moved edges up to 64


class ResidualError(UserError):
    """A source of real noise that cannot be used; the message says which and why."""


@dataclass(frozen=True)
class ResidualSource(ABC):
    """One scene.

    Attributes:
        name: path below the folder that was searched, without suffix.
        files: all that it is read from.
        pattern: Bayer tile of the mosaic as it is stored.
        rows, columns: the whole RGGB tiles in it; windows begin on even offsets in them.
        noise_levels: of the scene; None where unknown.
        levels_problem: why they are unknown.
    """

    name: str
    files: tuple[Path, ...]
    pattern: str
    rows: slice
    columns: slice
    noise_levels: PlaneLevels | None
    levels_problem: str

    @property
    @abstractmethod
    def choices(self) -> int:
        """How many residuals each place has."""

    @abstractmethod
    def read_clean(self, window: Window) -> NDArray[np.float32]:
        """The scene without noise, linear, nominally in [0, 1]. Raises ResidualError if the file is damaged."""

    @abstractmethod
    def read_residual(self, window: Window, choice: int) -> NDArray[np.float32]:
        """Noisy minus clean, with the variance of one frame's noise. Raises ResidualError if a file is damaged."""


# ---------------------------------------------------------------- SIDD


class PairSource(ResidualSource):
    """A noisy and a clean RAW of SIDD, its two files. Of them, only windows are read."""

    choices = 1

    def read_clean(self, window: Window) -> NDArray[np.float32]:
        return read_sidd_mosaic(self.files[1], window)

    def read_residual(self, window: Window, choice: int) -> NDArray[np.float32]:
        noisy, clean = (read_sidd_mosaic(path, window) for path in self.files)
        return noisy - clean


def open_pair(name: str, noisy: Path, clean: Path, patterns: Mapping[str, str], levels: Path) -> PairSource:
    """Look at a pair of SIDD.

    Args:
        name: of the source.
        noisy, clean: the two files.
        patterns: Bayer pattern of each camera.
        levels: SIDD's table of noise levels, which may be absent.

    Raises:
        UserError: a missing or damaged file, sizes that differ, or a scene whose Bayer pattern is unknown.
    """
    for path, partner in ((noisy, clean), (clean, noisy)):
        if not path.is_file():
            raise ResidualError(f"{partner}: has no {path.name} beside it")
    scene = parse_scene(noisy.parent.absolute().name)
    pattern = pattern_of(scene, patterns)
    shapes = {}
    for path in (noisy, clean):
        with _stored_mosaic(path) as stored:
            shapes[path] = stored.shape[::-1]
    if shapes[noisy] != shapes[clean]:
        raise ResidualError(f"{noisy}: {_size(shapes[noisy])} pixels, {clean.name} has {_size(shapes[clean])}")
    height, width = shapes[noisy]
    rows, columns = _window(noisy, height, width, pattern)
    noise_levels, problem = None, f"{levels}: no such file"
    if levels.is_file():
        try:
            shot, read = read_noise_levels(levels, [scene])[0].tolist()
            noise_levels, problem = (tuple(shot), tuple(read)), ""
        except UserError as error:
            problem = str(error)
    source = PairSource(name, (noisy, clean), pattern, rows, columns, noise_levels, problem)
    source.read_residual((_middle(rows, _PROBE), _middle(columns, _PROBE)), 0)
    return source


@contextmanager
def _stored_mosaic(path: Path) -> Iterator[h5py.Dataset]:
    """`x` of a MATLAB v7.3 file, transposed as h5py hands it over: (W, H). Whatever goes wrong is the file's fault."""
    try:
        with h5py.File(path, "r") as file:
            stored = file["x"]
            if stored.ndim != 2 or stored.dtype.kind != "f":
                raise ValueError(f"expected x as one mosaic of floats, got {stored.dtype} {stored.shape}")
            yield stored
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
        reason = str(error) or type(error).__name__
        raise ResidualError(f"{path}: not a whole RAW file of SIDD-Medium ({reason}); get it again") from None


def read_sidd_mosaic(path: Path, window: Window = (slice(None), slice(None))) -> NDArray[np.float32]:
    """A window of a RAW of SIDD-Medium, (H, W), nominally in [0, 1]; of the file, nothing else is read.

    Raises:
        ResidualError: the file is damaged, or its values are not on that scale.
    """
    rows, columns = window
    with _stored_mosaic(path) as stored:
        mosaic = stored[columns, rows].T.astype(np.float32)
    if not (mosaic.min() >= -_FARTHEST and mosaic.max() <= 1 + _FARTHEST):  # NaN is neither
        raise ResidualError(f"{path}: expected values in [0, 1], got {mosaic.min():.3g}..{mosaic.max():.3g}")
    return mosaic


# ---------------------------------------------------------------- frames


@dataclass(frozen=True)
class FrameSource(ResidualSource):
    """Aligned frames of one scene, y_1 ... y_n of signal s and noise of variance v: clean is their mean.

    Frame i minus the mean m of the n - 1 others has the variance v + v / (n - 1) = v * n / (n - 1), so the residual is
    sqrt((n - 1) / n) * (y_i - m), of variance v; with two frames, their difference / sqrt(2). The mean M of all has
    y_i - M = (n - 1) / n * (y_i - m), so the same is sqrt(n / (n - 1)) * (y_i - M). What is equal in all frames, fixed
    pattern noise, cancels.

    Attributes:
        frames: (n + 1, H, W) memory-mapped; the last one is the mean.
    """

    frames: NDArray[np.float32] = field(repr=False)

    @property
    def choices(self) -> int:
        return len(self.files)

    def read_clean(self, window: Window) -> NDArray[np.float32]:
        return np.array(self.frames[-1][window])

    def read_residual(self, window: Window, choice: int) -> NDArray[np.float32]:
        scale = np.float32(np.sqrt(self.choices / (self.choices - 1)))
        return scale * (self.frames[choice][window] - self.frames[-1][window])


def open_frames(name: str, files: Sequence[Path]) -> FrameSource:
    """Unpack the frames of one scene into a temporary file, which goes with the process, however that ends.

    Values below black and above white are kept as far as the files have them: dark frames need both halves of their
    noise.

    Raises:
        ResidualError, RawFileError: a single frame, one that cannot be read, or frames that are not of one size,
            pattern, ISO and scene.
        UserError: the temporary folder is full.
    """
    if len(files) < 2:
        raise ResidualError(f"{files[0]}: a single camera RAW file; noise is told from two or more frames of a scene")
    first = read_raw(files[0], clip=False)
    height, width = first.mosaic.shape
    rows, columns = _window(files[0], height, width, first.pattern)
    try:
        with tempfile.TemporaryFile() as unpacked:
            total = np.zeros((height, width))
            for number, path in enumerate(files):
                image = first if number == 0 else read_raw(path, clip=False)
                _check_equal(path, image, files[0], first)
                unpacked.write(image.mosaic.tobytes())  # a full disk is an error here, and a crash when memory-mapped
                total += image.mosaic
            unpacked.write((total / len(files)).astype(np.float32).tobytes())
            unpacked.flush()
            frames = np.memmap(unpacked, np.float32, "r", shape=(len(files) + 1, height, width))
    except OSError as error:
        raise UserError(
            f"{tempfile.gettempdir()}: the frames of {files[0].parent} cannot be unpacked there ({error.strerror}); "
            "make room, or set TMPDIR to another folder"
        ) from None
    levels = _frame_levels(first.noise_profile)
    problem = "" if levels else f"{files[0]}: has no NoiseProfile of one pair or three"
    source = FrameSource(name, tuple(files), first.pattern, rows, columns, levels, problem, frames)
    _check_alignment(source)
    return source


def _check_equal(path: Path, image: RawImage, first_path: Path, first: RawImage) -> None:
    for what, value, expected in (
        ("pixels", _size(image.mosaic.shape), _size(first.mosaic.shape)),
        ("Bayer pattern", image.pattern, first.pattern),
        ("ISO", image.iso, first.iso),
    ):
        if value != expected:
            raise ResidualError(f"{path}: {what} {value}, {first_path.name} has {expected}; no frames of one scene")


def _frame_levels(profile: NDArray[np.float64] | None) -> PlaneLevels | None:
    """The planes' levels from a DNG's NoiseProfile, one pair or one a colour."""
    planes = {1: (0, 0, 0, 0), 3: (0, 1, 1, 2)}.get(0 if profile is None else len(profile))
    if profile is None or planes is None:
        return None
    shot, read = profile[list(planes)].T.tolist()
    return tuple(shot), tuple(read)


def _check_alignment(source: FrameSource) -> None:
    """Refuse frames that differ by more than noise: where a camera or its subject moved, residuals show edges.

    Means over blocks of k values have a variance k times smaller if the values are independent, as noise nearly is;
    those of a picture do not.
    """
    window = _middle(source.rows, _CHECKED), _middle(source.columns, _CHECKED)
    for choice, path in enumerate(source.files):
        planes = bayer.pack(torch.from_numpy(source.read_residual(window, choice))[None]).double()
        if not planes.any():
            raise ResidualError(f"{path}: no noise; its frames are copies of one")
        if min(planes.shape[1:]) < 4 * _BLOCK:
            continue
        means = torch.nn.functional.avg_pool2d(planes, _BLOCK)
        structure = float(_BLOCK**2 * means.var(dim=(1, 2)).mean() / planes.var(dim=(1, 2)).mean())
        if structure > _STRUCTURE:
            raise ResidualError(
                f"{path}: differs from the other frames in its folder by more than noise (structure {structure:.0f}, "
                f"expected 1 to {_STRUCTURE}); put scenes into folders of their own, use a tripod and steady light"
            )


# ---------------------------------------------------------------- finding


def find_residual_sources(folder: Path, progress: bool = False) -> tuple[list[ResidualSource], list[str]]:
    """All usable sources in a folder, sorted by name, and why others were left out.

    Args:
        folder: to search, all depths.
        progress: whether to show a bar.

    Raises:
        UserError: no such folder, no usable source in it, a damaged bayer_patterns.csv, or a full temporary folder.
    """
    if not folder.is_dir():
        raise ResidualError(f"{folder}: no such folder")
    patterns = read_patterns(folder / "bayer_patterns.csv")
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
                sources.append(open_pair(name, files.noisy, files.clean, patterns, folder / _LEVELS_FILE))
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
    noisy: Path
    clean: Path


def _candidates(place: Path, inside: Path) -> Iterator[tuple[str, _SiddFiles | list[Path]]]:
    """Name, which begins with `inside`, and files of whatever looks like a source directly in a folder."""
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


def _middle(span: slice, size: int) -> slice:
    """The middle of a span, at most `size` long; its ends keep their even distance from those of the span."""
    length = min(span.stop - span.start, size) // 2 * 2
    start = span.start + (span.stop - span.start - length) // 4 * 2
    return slice(start, start + length)


def _window(path: Path, height: int, width: int, pattern: str) -> Window:
    try:
        return bayer.rggb_window(height, width, pattern)
    except ValueError as error:
        raise ResidualError(f"{path}: {error}") from None


def _size(shape: Sequence[int]) -> str:
    return f"{shape[1]}x{shape[0]}"
