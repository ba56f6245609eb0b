"""What tests of training share: data that is soon learned, a short recipe, and a trainer."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.utils.data import Dataset

from cycleisp.networks.objectives import DenoiserObjective, JointObjective, Raw2RgbObjective, Rgb2RawObjective
from cycleisp.networks.pretrained import build
from cycleisp.utils.config import Training, TrainingRecipe
from cycleisp.utils.training.launch import launch
from cycleisp.utils.training.objective import Batch, Objective
from cycleisp.utils.training.trainer import Trainer

SIZES = {
    "rgb2raw": {"width": 8, "num_groups": 1, "num_blocks": 1, "reduction": 4, "unshuffle": 2, "companded": True},
    "raw2rgb": {"width": 8, "num_groups": 1, "num_blocks": 1, "reduction": 4},
    "color_correction": {"width": 8, "num_groups": 1, "num_blocks": 1, "reduction": 4, "unshuffle": 2},
    "denoiser": {"width": 8, "num_groups": 1, "num_blocks": 1, "reduction": 4, "unshuffle": 2},
}
OBJECTIVES: dict[str, Objective] = {
    "Rgb2Raw": Rgb2RawObjective(1e-3),
    "GuidedRaw2Rgb": Raw2RgbObjective(),
    "CycleISP": JointObjective(1e-3, 0.5),
    "SrgbDenoiser": DenoiserObjective(),
    "RawDenoiser": DenoiserObjective(),
}


class Patches(Dataset[dict[str, Tensor]]):
    """Random photos with RAW that is the photo's square, sampled: something that can be learned.

    Args:
        length: the number of patches.
        signal_at: the patch at which this process gets SIGTERM; None for none.
    """

    def __init__(self, length: int, signal_at: int | None = None) -> None:
        self.length, self.signal_at = length, signal_at

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        if number == self.signal_at:
            os.kill(os.getpid(), signal.SIGTERM)
        rng = np.random.default_rng(number)
        srgb = torch.from_numpy(rng.random((3, 16, 16), dtype=np.float32))
        raw = torch.stack([srgb[0, ::2, ::2], srgb[1, ::2, 1::2], srgb[1, 1::2, ::2], srgb[2, 1::2, 1::2]]) ** 2
        return {"srgb": srgb, "raw": raw}


def recipe(**changes: object) -> Training:
    """Returns the settings of a loop of twelve steps, some of them changed."""
    settings: dict[str, object] = {
        "steps": 12,
        "batch_size": 2,
        "optimizer": "adamw",
        "learning_rate": 1e-3,
        "schedule": "cosine",
        "warmup": 3,
        "ema_decay": 0.9,
        "gradient_clip": 1.0,
        "workers": 0,
        "log_every": 3,
        "checkpoint_every": 4,
        "validate_every": 6,
    }
    return Training.model_validate({**settings, **changes})


def trainer(
    run_dir: Path,
    training: Training,
    kind: str = "Rgb2Raw",
    make_batch: Callable[[Batch], Batch] | None = None,
) -> Trainer:
    """Returns a trainer of a tiny network on the CPU."""
    whole = TrainingRecipe(seed=5, train=training)
    fabric, network = launch(whole, "cpu"), build(kind, SIZES)
    options = {"recipe": whole, "run_dir": run_dir, "sizes": SIZES, "make_batch": make_batch}
    return Trainer(fabric, network, OBJECTIVES[kind], **options)


def metrics(run_dir: Path) -> list[dict[str, float]]:
    """Reads what a run has measured in validation."""
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def checkpoint(run_dir: Path) -> dict[str, Any]:
    """Reads the checkpoint of a run."""
    return torch.load(run_dir / "checkpoint.ckpt", weights_only=True)


def assert_bit_equal(first: Path, second: Path) -> None:
    """Checks that two runs have equal weights, averages, optimizers and random states."""
    ours, theirs = checkpoint(first), checkpoint(second)
    for part in ("network", "average"):
        for name, tensor in ours[part].items():
            assert torch.equal(tensor, theirs[part][name]), f"{part} {name}"
    for slot, entry in ours["optimizer"]["state"].items():
        for name, value in entry.items():
            assert torch.equal(value, theirs["optimizer"]["state"][slot][name]), f"optimizer {name}"
    assert torch.equal(ours["rng"], theirs["rng"])
    exported = [load_file(run_dir / "weights.safetensors") for run_dir in (first, second)]
    assert all(torch.equal(tensor, exported[1][name]) for name, tensor in exported[0].items())
