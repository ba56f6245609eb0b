"""SIDD's blocks in, denoised blocks out: kept on disk block by block, scored, and submitted."""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cycleisp.dataloaders.protocols import SIDD
from cycleisp.dataloaders.sidd.blocks import BLOCKS, SCENES, Scene, SiddBlocks, block_name
from cycleisp.dataloaders.sidd.scores import Scores
from cycleisp.dataloaders.sidd.submission import (
    block_shape,
    submission_names,
    validate_submission,
    write_csv,
    write_matlab,
)
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import Space
from cycleisp.utils.output.contact_sheet import contact_sheet
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.output.png import encode_png
from cycleisp.utils.output.preview import gray_world_gains, render_preview
from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.noise import noise_level_function

DenoisePhotos = Callable[[Tensor], Tensor]  # (B, 3, H, W) in [0, 1] -> the same
DenoiseRaw = Callable[[Tensor, Tensor], Tensor]  # packed RGGB (B, 4, H/2, W/2) and its variance -> denoised
WORST = 8  # rows of the contact sheet


class PhotoBlocks:
    """sRGB blocks to tensors and back.

    Args:
        denoise: a batch at a time.
    """

    def __init__(self, denoise: DenoisePhotos) -> None:
        self._denoise = denoise

    def __call__(self, blocks: Sequence[NDArray], _indices: Sequence[int]) -> list[NDArray]:
        """Noisy blocks (256, 256, 3) uint8 -> denoised ones, [0, 1], neither clipped nor rounded."""
        noisy = torch.from_numpy(np.stack(blocks)).permute(0, 3, 1, 2).float() / 255
        return list(self._denoise(noisy).permute(0, 2, 3, 1).cpu().numpy())


class RawBlocks:
    """RAW blocks to packed RGGB and back.

    Args:
        denoise: a batch at a time.
        patterns: Bayer pattern of each scene.
        noise_levels: (scenes, 2, 4) shot and read noise of the planes R, G_r, G_b, B.
    """

    def __init__(self, denoise: DenoiseRaw, patterns: Sequence[str], noise_levels: NDArray[np.float32]) -> None:
        self._denoise, self._patterns, self._noise_levels = denoise, patterns, torch.from_numpy(noise_levels)

    def __call__(self, blocks: Sequence[NDArray], indices: Sequence[int]) -> list[NDArray]:
        """Noisy blocks (256, 256) float32 -> denoised ones, not clipped, in the pattern of their camera."""
        scenes = [block_name(index)[0] for index in indices]
        patterns = [self._patterns[scene] for scene in scenes]
        mosaics = [
            bayer.flip_to_rggb(torch.from_numpy(block), pattern)
            for block, pattern in zip(blocks, patterns, strict=True)
        ]
        noisy = bayer.pack(torch.stack(mosaics)[:, None])
        shot_noise, read_noise = self._noise_levels[scenes].permute(1, 0, 2)  # (B, 4) each
        variance = noise_level_function(noisy, shot_noise, read_noise)
        denoised = bayer.unpack(self._denoise(noisy, variance).cpu())[:, 0]
        return [bayer.flip_to_rggb(mosaic, pattern).numpy() for mosaic, pattern in zip(denoised, patterns, strict=True)]


class SiddResults:
    """Denoised blocks in a folder; a run that was stopped goes on where it was.

    Files: `blocks.npy`, all finished blocks, and `seconds.npy`, how long each took, NaN where there is none yet. Memory
    does not grow with either, both are mapped from disk.
    """

    def __init__(self, folder: Path, space: Space) -> None:
        self.folder, self.space, self._protocol = folder, space, SIDD[space]
        blocks, seconds = folder / "blocks.npy", folder / "seconds.npy"
        if not blocks.is_file():
            seconds.unlink(missing_ok=True)  # what it says to be there is not
        self._blocks = _mapped(blocks, self._protocol.finish(np.zeros(1)).dtype, block_shape(space), 0)
        self._seconds = _mapped(seconds, np.dtype(np.float64), (), math.nan)

    def __getitem__(self, index: int) -> NDArray:
        """A finished block, by its number scene * 32 + block."""
        return np.asarray(self._blocks[index])

    def denoise(self, noisy: SiddBlocks, denoise: PhotoBlocks | RawBlocks, batch_size: int) -> None:
        """Denoise every block that is not there yet."""
        missing = np.flatnonzero(np.isnan(self._seconds)).tolist()
        with progress_bar(total=len(noisy), initial=len(noisy) - len(missing), desc="denoising", unit="block") as bar:
            for start in range(0, len(missing), batch_size):
                indices = missing[start : start + batch_size]
                blocks = [noisy[index] for index in indices]
                started = time.perf_counter()
                denoised = denoise(blocks, indices)
                seconds = (time.perf_counter() - started) / len(indices)
                for index, block in zip(indices, denoised, strict=True):
                    self._blocks[index] = self._protocol.finish(block)
                self._blocks.flush()  # before it is said to be there
                self._seconds[indices] = seconds
                self._seconds.flush()
                bar.update(len(indices))

    @property
    def seconds_per_megapixel(self) -> float:
        """Of network and transfers, as the submission asks for it."""
        height, width = block_shape(self.space)[:2]
        return float(self._seconds.mean() / (height * width / 1e6))

    def score(self, clean: SiddBlocks) -> Scores:
        """Measure every block against its clean one, as SIDD's protocol has it."""
        values: dict[str, list[float]] = {name: [] for name in self._protocol.measures}
        for index in progress_bar(iterable=range(len(clean)), desc="scoring", unit="block"):
            target, result = clean[index], self[index]
            for name, measure in self._protocol.measures.items():
                values[name].append(measure(result, target))
        return Scores(values, self._protocol.definitions)

    def submit(self) -> list[str]:
        """Write both submission forms and read them back; gives back what was found.

        Raises:
            SubmissionError: a file does not hold what was written.
        """
        matlab, table = (self.folder / name for name in submission_names(self.space))
        write_matlab(matlab, self.space, self.__getitem__, self.seconds_per_megapixel)
        write_csv(table, self.__getitem__)
        return [validate_submission(path, self.__getitem__) for path in (matlab, table)]

    # ------------------------------------------------------------ pictures

    def save_images(self, noisy: SiddBlocks, clean: SiddBlocks | None, patterns: Sequence[str] | None) -> None:
        """`images/SCENE_BLOCK.png` for every block: noisy, denoised and, where known, clean side by side."""
        for index in progress_bar(iterable=range(len(noisy)), desc="saving images", unit="block"):
            scene, block = block_name(index)
            strip = np.concatenate(self._pictures(index, noisy, clean, patterns), axis=1)
            write_bytes(self.folder / "images" / f"{scene:02}_{block:02}.png", encode_png(strip))

    def save_worst(
        self,
        scores: Scores,
        scenes: Sequence[Scene],
        noisy: SiddBlocks,
        clean: SiddBlocks,
        patterns: Sequence[str] | None,
    ) -> Path:
        """A contact sheet of the blocks with the lowest PSNR."""
        rows = []
        for index in np.argsort(scores.values["psnr"])[:WORST].tolist():
            scene, block = block_name(index)
            captions = f"{scenes[scene].name}, block {block}", f"{scores.values['psnr'][index]:.2f} dB", "clean"
            rows.append(list(zip(captions, self._pictures(index, noisy, clean, patterns), strict=True)))
        path = self.folder / "worst.png"
        write_bytes(path, encode_png(contact_sheet(rows)))
        return path

    def _pictures(
        self, index: int, noisy: SiddBlocks, clean: SiddBlocks | None, patterns: Sequence[str] | None
    ) -> list[NDArray[np.uint8]]:
        images = [noisy[index], self[index]] + ([clean[index]] if clean is not None else [])
        if patterns is None:
            return images
        pattern = patterns[block_name(index)[0]]
        gains = gray_world_gains(images[-1], pattern)  # one white balance for all, so that wrong colours show
        return [render_preview(image, pattern, gains) for image in images]


def _mapped(path: Path, dtype: np.dtype, shape: tuple[int, ...], fill: float) -> np.memmap:
    """One entry a block, on disk; made full of `fill` if it is not there. Raises UserError if it is something else."""
    entries = (SCENES * BLOCKS, *shape)
    if not path.is_file():
        aside = path.with_name(f".{path.name}.part")
        fresh = np.lib.format.open_memmap(aside, "w+", dtype, entries)
        if fill != 0:
            fresh[:] = fill
        fresh.flush()
        del fresh
        aside.replace(path)
    try:
        mapped = np.lib.format.open_memmap(path, "r")  # to write to, a file that ends early would be filled with zeros
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be opened ({error}); delete it, and its blocks are made again") from None
    if (mapped.shape, mapped.dtype) != (entries, dtype):
        raise UserError(f"{path}: expected {entries} {dtype}, got {mapped.shape} {mapped.dtype}; give another --output")
    return np.lib.format.open_memmap(path, "r+")
