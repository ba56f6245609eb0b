"""What denoising a photo takes of the memory is what `TiledDenoiser` decides by."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cycleisp.dataloaders.results.denoised_files import DenoisedFiles
from cycleisp.dataloaders.sources import find_sources
from cycleisp.networks import pretrained
from cycleisp.networks.denoiser import SrgbDenoiser
from cycleisp.networks.inference.tiled import WHOLE_BYTES, TiledDenoiser
from tests.support.pictures import write_png
from tests.support.weights import DENOISER_SIZES

SMALL, LARGE = (300, 400), (1500, 1600)
SCRATCH = 30e6  # bytes that do not grow with the photo: strips of features, and what the allocator keeps


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_whole_photo_takes_no_more_memory_than_the_estimate(tmp_path: Path, dtype: type) -> None:
    torch.manual_seed(0)
    network = pretrained.build("SrgbDenoiser", DENOISER_SIZES)
    assert isinstance(network, SrgbDenoiser)
    network.eval().requires_grad_(False)
    row = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (1, LARGE[1], 3)).astype(dtype)
    for name, (height, width) in (("small", SMALL), ("large", LARGE)):
        write_png(tmp_path / f"{name}.png", np.repeat(row[:, :width], height, axis=0))
    denoised = DenoisedFiles(tmp_path / "out", TiledDenoiser(network), None)
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
