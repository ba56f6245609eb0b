"""The files of SIDD's validation and benchmark sets as the authors hand them out, and their blocks.

    DIR/ValidationNoisyBlocksSrgb.mat, ValidationGtBlocksSrgb.mat    validation, sRGB; RAW likewise
    DIR/BenchmarkNoisyBlocksSrgb.mat                                 benchmark, sRGB; RAW likewise
    DIR/noise_level_functions.csv                                    needed for RAW
    DIR/bayer_patterns.csv                                           optional, for RAW

All .mat files are MATLAB 5. The variable in each is named as the file, and holds 40 x 32 blocks of
256 x 256 pixels: 32 blocks of each scene.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from cycleisp.dataloaders import protocols
from cycleisp.dataloaders.denoisers import Denoise, denoise_mosaics
from cycleisp.dataloaders.matlab.v5 import open_array
from cycleisp.dataloaders.near_misses import near_misses
from cycleisp.dataloaders.sidd.scenes import (
    BLOCKS,
    NOISE_LEVELS_FILE,
    PATTERNS_FILE,
    SCENES,
    SiddError,
    pattern_of,
    read_noise_levels,
    read_patterns,
    read_scenes,
)
from cycleisp.utils.fingerprints import file_sha256
from cycleisp.utils.images import Space, channels_last, photo_to_tensor

Split = Literal["validation", "benchmark"]
Kind = Literal["noisy", "clean"]
HOME_PAGE = "https://www.eecs.yorku.ca/~kamel/sidd/"
IN_NAMES: dict[Space, str] = {"raw": "Raw", "srgb": "Srgb"}  # in names of files and variables


def block_name(index: int) -> tuple[int, int]:
    """Returns scene and block of a block by its number, which is scene * 32 + block."""
    return divmod(index, BLOCKS)


def block_shape(space: Space) -> tuple[int, ...]:
    """Returns the shape of one block: (256, 256, 3) of sRGB, or (256, 256) of RAW."""
    side = protocols.SIDD_SIDE
    return (side, side, 3) if space == "srgb" else (side, side)


def block_dtype(space: Space) -> np.dtype:
    """Returns the type of a block's values: uint8 of sRGB, or float32 of RAW."""
    return np.dtype(np.uint8 if space == "srgb" else np.float32)


# ---------------------------------------------------------------- names and presence


def file_names(split: Split, space: Space) -> dict[Kind, str]:
    """Returns the .mat files of a split: `noisy` and, for validation, `clean`."""
    if split == "benchmark":
        return {"noisy": f"BenchmarkNoisyBlocks{IN_NAMES[space]}.mat"}
    return {
        "noisy": f"ValidationNoisyBlocks{IN_NAMES[space]}.mat",
        "clean": f"ValidationGtBlocks{IN_NAMES[space]}.mat",
    }


def check_files(data: Path, split: Split, space: Space) -> None:
    """Makes sure that everything that a run needs is there.

    Raises:
        SiddError: files are missing. The message lists all of them and says where to get them.
    """
    needed = [*file_names(split, space).values()] + [NOISE_LEVELS_FILE] * (space == "raw")
    missing = [name for name in needed if not (data / name).is_file()]
    if not missing:
        return
    lines = [f"  {'missing' if name in missing else 'found  '}  {data / name}" for name in needed]
    raise SiddError(
        f"SIDD's {split} set ({space}) is not complete in {data}. Needed:\n"
        + "\n".join(lines)
        + "".join(f"\n{line}" for line in near_misses(data, missing))
        + f"\nGet them from {HOME_PAGE} (validation and benchmark blocks, noise level functions) and put them there."
    )


def file_hashes(data: Path, split: Split, space: Space, scenes: Path | None) -> dict[str, str]:
    """Returns the SHA-256 of every file that results depend on, by file name.

    The file with the names of the scenes, if there is one, is called `scenes`.

    Raises:
        SiddError: a file cannot be read.
    """
    files = {name: data / name for name in file_names(split, space).values()}
    if space == "raw":
        known = {name: data / name for name in (NOISE_LEVELS_FILE, PATTERNS_FILE)}
        files |= {name: path for name, path in known.items() if path.is_file()}
        files |= {"scenes": scenes} if scenes is not None else {}
    try:
        return {name: file_sha256(path) for name, path in files.items()}
    except OSError as error:
        raise SiddError(f"{error.filename}: cannot be read ({error.strerror})") from None


# ---------------------------------------------------------------- blocks


class SiddBlocks:
    """The 40 x 32 blocks of one file, which are read one at a time.

    Args:
        path: a file of `file_names`.
        space: the space of its blocks.
        unpacked: a folder for the values of a compressed file, 250 to 340 MB.

    Raises:
        SiddError: the array has another shape or type than SIDD's.
        MatlabError: the file is not MATLAB 5, damaged, or without the variable.
    """

    def __init__(self, path: Path, space: Space, unpacked: Path) -> None:
        self.path, self._space = path, space
        self._values = open_array(path, path.stem, unpacked / f"{path.stem}.bin")
        shape, dtype = (SCENES, BLOCKS, *block_shape(space)), block_dtype(space)
        if self._values.shape != shape or self._values.dtype.newbyteorder("=") != dtype:
            raise SiddError(
                f"{path}: {path.stem} is {self._values.shape} of {self._values.dtype}, SIDD's is {shape} of {dtype}"
            )

    def __len__(self) -> int:
        return SCENES * BLOCKS

    def __getitem__(self, index: int) -> NDArray:
        """Reads a block by its number, which is scene * 32 + block.

        Returns:
            (256, 256, 3) uint8 of sRGB, or (256, 256) float32 in [0, 1] of RAW.

        Raises:
            SiddError: values of RAW leave [0, 1].
        """
        block = np.ascontiguousarray(self._values[block_name(index)])
        if self._space == "srgb":
            return block
        if not (block.min() >= 0 and block.max() <= 1):
            raise SiddError(f"{self.path}: block {block_name(index)} leaves [0, 1]: {block.min():g}..{block.max():g}")
        return block.astype(np.float32)


class SiddData:
    """One split of SIDD in one space. Everything is checked at once, except for the blocks.

    Args:
        folder: the folder with SIDD's files.
        split: `validation`, which has clean blocks, or `benchmark`.
        space: which blocks.
        scenes: a text file with the 40 names of the scenes; None takes those of the validation set.

    Attributes:
        scenes: what is known of each scene, in the order of the blocks' first axis.
        patterns: the Bayer pattern of each scene; none for sRGB.

    Raises:
        SiddError: a file is missing, or a table or name is not as SIDD has it.
    """

    def __init__(self, folder: Path, split: Split, space: Space, scenes: Path | None = None) -> None:
        check_files(folder, split, space)
        self.folder, self.split, self.space = folder, split, space
        self._scenes_file = scenes
        self.scenes = read_scenes(scenes)
        self.patterns: list[str] = []
        self._noise_levels = torch.empty(0)
        if space == "raw":
            known = read_patterns(folder / PATTERNS_FILE)
            self.patterns = [pattern_of(scene, known) for scene in self.scenes]
            self._noise_levels = torch.from_numpy(read_noise_levels(folder / NOISE_LEVELS_FILE, self.scenes))

    def hashes(self) -> dict[str, str]:
        """Returns the SHA-256 of every file that results depend on, as `file_hashes` does."""
        return file_hashes(self.folder, self.split, self.space, self._scenes_file)

    def open_blocks(self, unpacked: Path) -> dict[Kind, SiddBlocks]:
        """Opens the blocks: `noisy` and, for validation, `clean`.

        Args:
            unpacked: a folder for the values of compressed files, 250 to 340 MB each.

        Raises:
            SiddError, MatlabError: as `SiddBlocks`.
        """
        return {
            kind: SiddBlocks(self.folder / name, self.space, unpacked)
            for kind, name in file_names(self.split, self.space).items()
        }

    def denoise(self, denoise: Denoise, blocks: Sequence[NDArray], indices: Sequence[int]) -> list[NDArray]:
        """Passes noisy blocks through a denoiser.

        RAW is mirrored to RGGB on its way in and back on its way out. The denoiser also receives
        the variance of the noise.

        Args:
            denoise: a denoiser of the space of the data.
            blocks: noisy blocks, as `SiddBlocks` returns them.
            indices: their numbers.

        Returns:
            Denoised blocks of the same shapes, on the scale [0, 1], neither clipped nor rounded.
        """
        if self.space == "srgb":
            return list(channels_last(denoise(photo_to_tensor(np.stack(blocks)))))
        scenes = [block_name(index)[0] for index in indices]
        shot_noise, read_noise = self._noise_levels[scenes].unbind(1)  # (B, 4) each
        patterns = [self.patterns[scene] for scene in scenes]
        mosaics = torch.from_numpy(np.stack(blocks))[:, None]
        return list(denoise_mosaics(denoise, mosaics, patterns, shot_noise, read_noise)[:, 0].numpy())
