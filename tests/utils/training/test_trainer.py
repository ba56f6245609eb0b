"""Training: the promises of the loop, on networks so small that each run takes a moment."""

import logging
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cycleisp.dataloaders.photo_store import PhotoStore
from cycleisp.dataloaders.training.denoising_patches import DenoisingPatches
from cycleisp.networks.cycleisp import CycleISP
from cycleisp.networks.pretrained import load_network
from cycleisp.networks.rgb2raw import Rgb2Raw
from cycleisp.networks.synthesis.learned_camera import LearnedCamera
from cycleisp.networks.synthesis.training_pairs import TrainingPairs
from cycleisp.utils.config import DenoiserData, Synthesis
from cycleisp.utils.images import Space
from cycleisp.utils.metrics import psnr
from cycleisp.utils.training.errors import TrainingError
from cycleisp.utils.training.objective import Batch
from cycleisp.utils.training.trainer import Trainer
from tests.support.paths import ROOT
from tests.support.pictures import random_picture, write_png
from tests.support.training import Patches, assert_bit_equal, checkpoint, metrics, recipe, trainer


@pytest.mark.parametrize("kind", ["Rgb2Raw", "GuidedRaw2Rgb", "CycleISP"])
def test_stopping_and_resuming_ends_bit_equal_to_no_stop(tmp_path: Path, kind: str) -> None:
    assert trainer(tmp_path / "whole", recipe(), kind).fit(Patches(24), Patches(2))
    # The signal comes with the batch of step 5, which is still finished and saved.
    stopped = trainer(tmp_path / "parts", recipe(), kind)
    assert not stopped.fit(Patches(24, signal_at=10), Patches(2))
    assert 5 <= stopped.step < 12
    torch.rand(100)  # whatever happens in between
    assert trainer(tmp_path / "parts", recipe(), kind).fit(Patches(24), Patches(2))
    assert_bit_equal(tmp_path / "whole", tmp_path / "parts")


def test_a_stop_request_to_the_whole_process_group_loses_nothing(tmp_path: Path, whole_run: Path) -> None:
    """Schedulers and `kill -- -GROUP` send it to the run and to the processes that load data."""

    class ToAll(Patches):
        def __getitem__(self, number: int) -> dict[str, Tensor]:
            if number == 10:
                for process in (os.getpid(), os.getppid()):  # the loader's, and the run
                    os.kill(process, signal.SIGTERM)
            return super().__getitem__(number)

    stopped = trainer(tmp_path / "parts", recipe(workers=2))
    assert not stopped.fit(ToAll(24), Patches(2))
    assert checkpoint(tmp_path / "parts")["step"] == stopped.step < 12
    assert trainer(tmp_path / "parts", recipe(workers=2)).fit(Patches(24), Patches(2))
    assert_bit_equal(whole_run, tmp_path / "parts")


def test_networks_are_trained_with_channels_innermost(tmp_path: Path) -> None:
    """And stay so when a run goes on."""
    for _ in range(2):
        run = trainer(tmp_path, recipe(steps=2))
        run.fit(Patches(4), Patches(1))
        weights = [weight for weight in run.network.parameters() if weight.ndim == 4 and weight.shape[2] > 1]
        assert weights
        assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)


def test_a_kill_without_warning_goes_on_from_the_last_checkpoint(tmp_path: Path, whole_run: Path) -> None:
    class Killed(Patches):
        def __getitem__(self, number: int) -> dict[str, Tensor]:
            if number == 13:
                raise KeyboardInterrupt
            return super().__getitem__(number)

    with pytest.raises(KeyboardInterrupt):
        trainer(tmp_path / "killed", recipe()).fit(Killed(24), Patches(2))
    again = trainer(tmp_path / "killed", recipe())
    again.resume()
    assert again.step == 4
    assert trainer(tmp_path / "killed", recipe()).fit(Patches(24), Patches(2))
    assert_bit_equal(whole_run, tmp_path / "killed")


def test_every_batch_of_training_and_validation_is_made_first(tmp_path: Path) -> None:
    sizes: list[int] = []

    def darker(batch: Batch) -> Batch:
        sizes.append(len(batch["srgb"]))
        return {"srgb": batch["srgb"], "raw": batch["raw"] / 2}

    class Darker(Patches):
        def __getitem__(self, number: int) -> dict[str, Tensor]:
            patch = super().__getitem__(number)
            return {**patch, "raw": patch["raw"] / 2}

    trainer(tmp_path / "made", recipe(), make_batch=darker).fit(Patches(24), Patches(3))
    assert sizes == ([2] * 6 + [1] * 3) * 2  # six steps and a validation, twice
    trainer(tmp_path / "read", recipe()).fit(Darker(24), Darker(3))
    assert_bit_equal(tmp_path / "made", tmp_path / "read")
    records = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("made", "read")]
    assert records[0] == records[1]


class Stopping(Dataset[dict[str, Tensor]]):
    """A data set that sends a signal at one item."""

    def __init__(self, whole: Dataset[Any], signal_at: int) -> None:
        self.whole, self.signal_at = whole, signal_at

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        if number == self.signal_at:
            os.kill(os.getpid(), signal.SIGTERM)
        return self.whole[number]


@pytest.mark.parametrize("kind", ["SrgbDenoiser", "RawDenoiser"])
def test_denoisers_resume_bit_equal_with_pairs_made_on_the_fly(tmp_path: Path, tiny_isp: CycleISP, kind: str) -> None:
    """Cameras, noise reduction, JPEG: none of their results may depend on what happened before."""
    for seed in range(2):
        write_png(tmp_path / "photos" / f"{seed}.png", random_picture(40, 52, seed=seed))
    synthesis = Synthesis(
        noise=["dnd", "sidd"],
        learned_share=0.5,
        clean_target="cycle",
        binned_share=0.3,
        noise_reduction_share=0.5,
        luma_blur=(0.2, 0.5),
        chroma_blur=(0.5, 1.0),
        jpeg_share=0.5,
    )

    def patches(length: int) -> DenoisingPatches:
        data = DenoiserData(patch_size=16, scale=(0.5, 2.0), brightness=(0.5, 1.5))
        return DenoisingPatches(PhotoStore([tmp_path / "photos"]), data, synthesis, 7, length)

    def run(name: str) -> Trainer:
        space: Space = "raw" if kind == "RawDenoiser" else "srgb"
        camera = LearnedCamera(tiny_isp, "cycle")
        pairs = TrainingPairs(space, camera, blur_sigma=1.0, frame_average=True, device=torch.device("cpu"))
        return trainer(tmp_path / name, recipe(), kind, make_batch=pairs)

    assert run("whole").fit(patches(24), patches(2))
    stopped = run("parts")
    assert not stopped.fit(Stopping(patches(24), signal_at=10), patches(2))
    assert 5 <= stopped.step < 12
    torch.rand(100)
    assert run("parts").fit(patches(24), patches(2))
    assert_bit_equal(tmp_path / "whole", tmp_path / "parts")
    records = metrics(tmp_path / "whole")
    assert [record["step"] for record in records] == [6, 12]
    assert all(np.isfinite(record["psnr_clean"]) for record in records)


def test_loader_processes_change_nothing(tmp_path: Path, whole_run: Path) -> None:
    trainer(tmp_path / "two", recipe(workers=2)).fit(Patches(24), Patches(2))
    assert_bit_equal(whole_run, tmp_path / "two")


def test_stop_after_saves_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    short = trainer(tmp_path / "run", recipe())
    assert not short.fit(Patches(24), Patches(2), stop_after=0.0)
    assert short.step == 1 and "run the same command again" in caplog.text


def test_processes_stop_together_though_one_was_asked(tmp_path: Path) -> None:
    """At the third step, where they log; else the other would wait for it forever."""
    script = tmp_path / "train.py"
    script.write_text(
        "import os, sys\nfrom pathlib import Path\n"
        "from tests.support.training import Patches, recipe, trainer\n"
        "first = os.fork()\n"  # here rather than by a launcher, so that one process imports PyTorch
        "os.environ['RANK'] = os.environ['LOCAL_RANK'] = '0' if first else '1'\n"
        "asked = None if first else 0.0\n"
        "run = trainer(Path(sys.argv[1]), recipe())\n"
        "finished = run.fit(Patches(24), Patches(2), stop_after=asked)\n"
        "os.write(1, f'{finished} {run.step}\\n'.encode())\n"  # at once: print would mix their words
        "sys.exit(os.wait()[1] if first else 0)\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    launched = {"TORCHELASTIC_RUN_ID": "test", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "GROUP_RANK": "0"}
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "run")],
        env={**os.environ, **launched, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["False", "3"] * 2
    assert trainer(tmp_path / "run", recipe()).fit(Patches(24), Patches(2))


def test_validation_measures_the_weights_of_its_step_though_fused_optimizers_change_them_unseen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pass with gradients makes the fast way forget older weights (networks/acceleration.py), so
    none may be measured between that pass and the change of the weights.
    """

    class Fused(torch.optim.AdamW):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "fused": True})

    monkeypatch.setattr(torch.optim, "AdamW", Fused)
    run = trainer(tmp_path / "run", recipe(steps=3, validate_every=1, ema_decay=0, learning_rate=1e-2))
    events: list[str] = []
    run.network.module.register_forward_pre_hook(
        lambda *_: events.append("learn" if torch.is_grad_enabled() else "measure")
    )
    run.optimizer.optimizer.register_step_post_hook(lambda *_: events.append("change"))
    run.fit(Patches(6), Patches(1))
    assert events == ["learn", "change", "measure"] * 3
    network, patch = load_network(tmp_path / "run" / "weights.safetensors", Rgb2Raw), Patches(1)[0]
    with torch.inference_mode():
        expected = psnr(network(patch["srgb"][None]), patch["raw"][None])
    first, *_, last = metrics(tmp_path / "run")
    assert last["psnr_raw"] == pytest.approx(expected, abs=2e-3) and last != first


def test_the_run_folder_explains_itself(tmp_path: Path) -> None:
    trainer(tmp_path / "run", recipe()).fit(Patches(24), Patches(2))
    records = metrics(tmp_path / "run")
    assert [record["step"] for record in records] == [6, 12]
    assert all(np.isfinite(record["psnr_raw"]) for record in records)
    assert (tmp_path / "run" / "recipe.yaml").is_file()
    assert list((tmp_path / "run").glob("events.out.tfevents.*"))
    assert not list((tmp_path / "run").glob(".*.part"))
    assert isinstance(load_network(tmp_path / "run" / "weights.safetensors", Rgb2Raw), Rgb2Raw)


def test_training_learns(tmp_path: Path) -> None:
    longer = recipe(steps=60, learning_rate=3e-3, ema_decay=0.5, validate_every=5)
    trainer(tmp_path / "run", longer).fit(Patches(120), Patches(4))
    records = metrics(tmp_path / "run")
    assert records[-1]["psnr_raw"] > records[0]["psnr_raw"] + 3


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    class Broken(Patches):
        def __getitem__(self, number: int) -> dict[str, Tensor]:
            return {name: value * torch.nan for name, value in super().__getitem__(number).items()}

    with pytest.raises(TrainingError, match="the loss of step 3 is nan"):
        trainer(tmp_path / "run", recipe()).fit(Broken(24), Patches(2))
