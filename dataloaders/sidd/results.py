"""A folder of denoised SIDD: the blocks are kept one by one, then scored or submitted."""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.denoisers import Denoise
from cycleisp.dataloaders.protocols import SIDD
from cycleisp.dataloaders.results.summary import Summary
from cycleisp.dataloaders.sidd.files import SiddBlocks, SiddData, block_name, block_shape
from cycleisp.dataloaders.sidd.scenes import BLOCKS, SCENES
from cycleisp.dataloaders.sidd.scores import Scores
from cycleisp.dataloaders.sidd.submission import submission_names, validate_submission, write_csv, write_matlab
from cycleisp.utils.errors import UserError, reading
from cycleisp.utils.output.contact_sheet import contact_sheet
from cycleisp.utils.output.files import allocate, atomic_path, write_bytes
from cycleisp.utils.output.png import encode_png
from cycleisp.utils.output.preview import gray_world_gains, render_preview
from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.output.settings import check_folder, claim_folder

WORST = 8  # rows of the contact sheet


class SiddResults:
    """Denoised blocks in a folder. A run that was stopped can be started again and goes on.

    The folder holds `blocks.npy` with all finished blocks, `seconds.npy` with the time that each of
    them took (NaN where there is none yet), and settings.json. Both arrays are mapped from disk, so
    that memory does not grow with them.

    Args:
        folder: the folder, which is made if needed. Compressed files are unpacked into it, too.
        data: the blocks to denoise.
        settings: everything that the results depend on; the folder never mixes two.

    Attributes:
        noisy, clean: SIDD's blocks; `clean` is None where there are none.
        seconds: the time of each block, NaN where it is not denoised yet.

    Raises:
        UserError: the folder cannot be written, holds results of other settings or damaged arrays,
            or a file of SIDD is damaged.
    """

    def __init__(self, folder: Path, data: SiddData, settings: Mapping[str, Any]) -> None:
        check_folder(folder, settings, "blocks")
        files = data.open_blocks(folder / "unpacked")
        claim_folder(folder, settings, "blocks")  # now that the files are known to be whole
        self.folder, self.data = folder, data
        self.noisy: SiddBlocks = files["noisy"]
        self.clean: SiddBlocks | None = files.get("clean")
        self._protocol = SIDD[data.space]
        blocks, seconds = folder / "blocks.npy", folder / "seconds.npy"
        if not blocks.is_file():
            seconds.unlink(missing_ok=True)  # the blocks that it lists are gone
        self._blocks = _mapped(blocks, self._protocol.finish(np.zeros(1)).dtype, block_shape(data.space), 0)
        self.seconds = _mapped(seconds, np.dtype(np.float64), (), math.nan)

    def __getitem__(self, index: int) -> NDArray:
        """Returns a finished block by its number, which is scene * 32 + block."""
        return np.asarray(self._blocks[index])

    def denoise(self, denoise: Denoise, batch_size: int = 4) -> Summary:
        """Denoises every block that is not there yet, and returns how many were.

        Args:
            denoise: a denoiser of the space of the data.
            batch_size: how many blocks to denoise at once.

        Raises:
            UserError: a block of SIDD is damaged, or the denoiser fails.
        """
        missing = np.flatnonzero(np.isnan(self.seconds)).tolist()
        total = len(self.noisy)
        summary = Summary(kept=total - len(missing))
        with progress_bar(total=total, initial=summary.kept, desc="denoising", unit="block") as bar:
            for start in range(0, len(missing), batch_size):
                indices = missing[start : start + batch_size]
                blocks = [self.noisy[index] for index in indices]
                started = time.perf_counter()
                denoised = self.data.denoise(denoise, blocks, indices)
                seconds = (time.perf_counter() - started) / len(indices)
                for index, block in zip(indices, denoised, strict=True):
                    self._blocks[index] = self._protocol.finish(block)
                self._blocks.flush()  # before the blocks count as finished
                self.seconds[indices] = seconds
                self.seconds.flush()
                summary.made += len(indices)
                bar.update(len(indices))
        return summary

    def score(self) -> Scores:
        """Measures every block against its clean one, as SIDD's protocol has it.

        Raises:
            ValueError: the data have no clean blocks.
        """
        if self.clean is None:
            raise ValueError(f"SIDD's {self.data.split} set has no clean blocks to score results by")
        values: dict[str, list[float]] = {name: [] for name in self._protocol.measures}
        for index in progress_bar(iterable=range(len(self.clean)), desc="scoring", unit="block"):
            target, result = self.clean[index], self[index]
            for name, measure in self._protocol.measures.items():
                values[name].append(measure(result, target))
        return Scores(values, self._protocol.definitions)

    def submit(self) -> list[str]:
        """Writes both forms of the submission, reads them back, and returns a sentence about each.

        Raises:
            SubmissionError: a file does not hold what was written.
        """
        matlab, table = (self.folder / name for name in submission_names(self.data.space))
        write_matlab(matlab, self.data.space, self.__getitem__, self.seconds_per_megapixel)
        write_csv(table, self.__getitem__)
        return [validate_submission(path, self.__getitem__) for path in (matlab, table)]

    @property
    def seconds_per_megapixel(self) -> float:
        """Returns the time of the network and of transfers, which is a part of the submission."""
        height, width = block_shape(self.data.space)[:2]
        return float(self.seconds.mean() / (height * width / 1e6))

    # ------------------------------------------------------------ pictures

    def save_pictures(self) -> None:
        """Writes `images/SCENE_BLOCK.png` for each block: noisy, denoised and, if known, clean."""
        for index in progress_bar(iterable=range(len(self.noisy)), desc="saving images", unit="block"):
            scene, block = block_name(index)
            strip = np.concatenate(self.pictures(index), axis=1)
            write_bytes(self.folder / "images" / f"{scene:02}_{block:02}.png", encode_png(strip))

    def save_worst(self, scores: Scores) -> Path:
        """Writes a contact sheet of the blocks with the lowest PSNR, and returns its path."""
        rows = []
        for index in np.argsort(scores.values["psnr"])[:WORST].tolist():
            scene, block = block_name(index)
            name = f"{self.data.scenes[scene].name}, block {block}"
            captions = name, f"{scores.values['psnr'][index]:.2f} dB", "clean"
            rows.append(list(zip(captions, self.pictures(index), strict=True)))
        path = self.folder / "worst.png"
        write_bytes(path, encode_png(contact_sheet(rows)))
        return path

    def pictures(self, index: int) -> list[NDArray[np.uint8]]:
        """Returns pictures of a noisy block, the denoised one and, if known, the clean one."""
        images = [self.noisy[index], self[index]]
        if self.clean is not None:
            images.append(self.clean[index])
        if self.data.space == "srgb":
            return images
        pattern = self.data.patterns[block_name(index)[0]]
        gains = gray_world_gains(images[-1], pattern)  # one for all, so that wrong colours show
        return [render_preview(image, pattern, gains) for image in images]


def _mapped(path: Path, dtype: np.dtype, shape: tuple[int, ...], fill: float) -> np.memmap:
    """Opens an array on disk with one entry for each block.

    If the file is not there, it is made with `fill` in all entries.

    Raises:
        UserError: the file holds something else.
    """
    entries = (SCENES * BLOCKS, *shape)
    if not path.is_file():
        with atomic_path(path) as aside:
            fresh = np.lib.format.open_memmap(aside, "w+", dtype, entries)
            allocate(aside)
            if fill != 0:
                fresh[:] = fill
            fresh.flush()
            del fresh
    with reading(path, advice="delete it, and its blocks are made again"):
        mapped = np.lib.format.open_memmap(path, "r")  # "r+" would fill up a file that ends early
    if (mapped.shape, mapped.dtype) != (entries, dtype):
        raise UserError(f"{path}: expected {entries} {dtype}, got {mapped.shape} {mapped.dtype}; give another --output")
    allocate(path)  # of an earlier version, it may have holes
    return np.lib.format.open_memmap(path, "r+")
