"""SIDD and DND from Python: outcomes with text, validity and scores. What is written is tested with
the scripts.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cycleisp.dataloaders import protocols
from cycleisp.dataloaders.sidd.files import SiddData
from cycleisp.tasks.benchmarks import Evaluation, check_dnd, check_sidd, run_dnd, run_sidd
from cycleisp.utils.errors import UserError
from tests.support.dnd import SMALL, fake_images, write_dnd
from tests.support.sidd import SIDE, some_blocks, with_noise, write_blocks, write_validation


def test_scores_of_sidd_come_with_their_report(
    tmp_path: Path, weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocols, "SIDD_SIDE", SIDE)
    psnr_alone = {"psnr": protocols.SIDD["srgb"].measures["psnr"]}  # SSIM of 1280 blocks takes a while
    monkeypatch.setitem(protocols.SIDD, "srgb", replace(protocols.SIDD["srgb"], measures=psnr_alone))  # type: ignore[misc]
    clean = some_blocks("srgb")
    noisy = with_noise(clean)
    data = write_validation(tmp_path / "SIDD", noisy, clean)
    evaluation = Evaluation(data, "srgb", tmp_path / "out", weights["srgb-identity"], device="cpu", batch_size=64)
    outcome = run_sidd(evaluation)
    assert outcome.valid and outcome.scores is not None
    error = ((noisy.astype(float) - clean) ** 2).reshape(1280, -1).mean(axis=1)
    np.testing.assert_allclose(outcome.scores.values["psnr"], 10 * np.log10(255**2 / error), atol=1e-6)
    scenes = SiddData(data, "validation", "srgb").scenes
    assert outcome.text == outcome.scores.report(scenes, "SIDD validation, srgb, 40 x 32 blocks")
    assert run_sidd(evaluation).scores == outcome.scores  # nothing is denoised again


def test_a_submission_to_sidd_is_checked(
    tmp_path: Path, weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocols, "SIDD_SIDE", SIDE)
    noisy = with_noise(some_blocks("srgb"))
    write_blocks(tmp_path / "SIDD" / "BenchmarkNoisyBlocksSrgb.mat", noisy)
    evaluation = Evaluation(tmp_path / "SIDD", "srgb", tmp_path / "out", weights["srgb-identity"], batch_size=64)
    outcome = run_sidd(evaluation, split="benchmark")
    assert outcome.valid and outcome.scores is None
    for name in ("SubmitSrgb.mat", "SubmitSrgb.csv"):
        checked = check_sidd(tmp_path / "out" / name)
        assert checked.valid and checked.text in outcome.text.splitlines()


def test_a_submission_to_dnd_is_valid_or_its_problems_are_listed(tmp_path: Path, weights: dict[str, Path]) -> None:
    data = write_dnd(tmp_path / "dnd", fake_images())
    evaluation = Evaluation(data, "raw", tmp_path / "out", weights["raw-identity"], device="cpu")
    outcome = run_dnd(evaluation, extent=SMALL)
    assert outcome.valid and outcome.scores is None
    counts, verdict = outcome.text.splitlines()
    assert counts.startswith("4 images denoised, 0 kept from before")
    assert check_dnd(tmp_path / "out" / "bundle", extent=SMALL).text == verdict
    (tmp_path / "out" / "bundle" / "0002.mat").unlink()
    checked = check_dnd(tmp_path / "out" / "bundle", "raw", SMALL)
    assert not checked.valid
    assert checked.text.splitlines()[0] == "problem missing: 0002.mat"
    with pytest.raises(UserError, match="no such folder"):
        check_dnd(tmp_path / "nowhere")
