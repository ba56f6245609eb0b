"""What denoising a photo takes of the memory is what `TiledDenoiser` decides by."""

import ctypes
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from cycleisp.dataloaders.results.arrays import of_arrays
from cycleisp.dataloaders.results.denoised_files import DenoisedFiles
from cycleisp.dataloaders.sources import find_sources
from cycleisp.networks import pretrained
from cycleisp.networks.denoiser import SrgbDenoiser
from cycleisp.networks.inference.tiled import WHOLE_BYTES, TiledDenoiser
from tests.support.pictures import write_png
from tests.support.weights import DENOISER_SIZES

SMALL, LARGE = (300, 400), (1500, 1600)
SCRATCH = 20e6  # bytes that do not grow with the photo: strips of features
M_MMAP_THRESHOLD = -3  # as in glibc's malloc.h
LARGEST_KEPT = 32 << 20  # bytes of an array, above which glibc never keeps what is freed


@pytest.fixture
def nothing_kept() -> Iterator[None]:
    """Lets the allocator give back what is freed at once, as it does with a large photo's arrays.

    What is smaller than 32 MiB, as the arrays of a small photo are, glibc keeps for what comes
    later, once something as large has been freed. How much it keeps is chance: of the same photo
    the peak was 172 to 203 MB with it, and 130 to 134 MB without.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is None or not hasattr(libc, "mallopt"):
        pytest.skip("this system's allocator cannot be told to keep nothing")
    libc.mallopt(M_MMAP_THRESHOLD, 1 << 20)
    libc.malloc_trim(0)
    yield
    libc.mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)  # to which it rises by itself


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_whole_photo_takes_no_more_memory_than_the_estimate(tmp_path: Path, dtype: type) -> None:
    torch.manual_seed(0)
    network = pretrained.build("SrgbDenoiser", DENOISER_SIZES)
    assert isinstance(network, SrgbDenoiser)
    network.eval().requires_grad_(False)
    row = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (1, LARGE[1], 3)).astype(dtype)
    for name, (height, width) in (("small", SMALL), ("large", LARGE)):
        write_png(tmp_path / f"{name}.png", np.repeat(row[:, :width], height, axis=0))
    denoised = DenoisedFiles(tmp_path / "out", of_arrays(TiledDenoiser(network)), None)
    denoised.run(find_sources([tmp_path / "small.png"]))  # which loads and compiles what it needs

    before = _restarted_peak()
    denoised.run(find_sources([tmp_path / "large.png"]))
    pixels = LARGE[0] * LARGE[1]
    estimate = pixels * WHOLE_BYTES["srgb"] + network.feature_memory(pixels)
    assert _memory("VmHWM") - before < estimate + SCRATCH


def _restarted_peak() -> int:
    """Forgets the peak of this process's memory, and returns how much it has now."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return _memory("VmRSS")
    except OSError:
        pytest.skip("this system does not tell the peak of a process's memory")


def _memory(line: str) -> int:
    status = Path("/proc/self/status").read_text().splitlines()
    (kilobytes,) = (entry.split()[1] for entry in status if entry.startswith(f"{line}:"))
    return 1024 * int(kilobytes)
