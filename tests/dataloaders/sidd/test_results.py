"""Denoised blocks in a folder: what counts as done is there and whole; means of scores by hand."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cycleisp.dataloaders import protocols
from cycleisp.dataloaders.sidd.results import SiddResults
from cycleisp.dataloaders.sidd.scenes import VALIDATION_SCENES, parse_scene
from cycleisp.dataloaders.sidd.scores import Scores
from cycleisp.utils.errors import UserError
from tests.support.sidd import SIDE, some_blocks

SCENES = [parse_scene(name) for name in VALIDATION_SCENES]
SETTINGS = {"weights": "identity"}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocols, "SIDD_SIDE", SIDE)


def some_list() -> list[NDArray]:
    return list(some_blocks("srgb").reshape(1280, SIDE, SIDE, 3))


class Identity:
    """Data whose blocks come out of any denoiser as they are.

    `seen` are the numbers of all blocks that were denoised. The batch `stop_at` is interrupted.
    """

    space = "srgb"

    def __init__(self, stop_at: int | None = None) -> None:
        self.seen: list[int] = []
        self._left = stop_at

    def open_blocks(self, unpacked: Path) -> dict[str, list[NDArray]]:
        return {"noisy": some_list()}

    def denoise(self, denoise: object, blocks: Sequence[NDArray], indices: Sequence[int]) -> Iterator[NDArray]:
        for number, (block, index) in enumerate(zip(blocks, indices, strict=True)):
            if self._left == 0 and number == 2:
                raise KeyboardInterrupt
            self.seen.append(index)
            yield block / 255
        self._left = None if self._left is None else self._left - 1


def opened(folder: Path, data: Identity | None = None, settings: dict[str, Any] = SETTINGS) -> SiddResults:
    return SiddResults(folder, data or Identity(), settings)  # type: ignore[arg-type]


def denoise(folder: Path, data: Identity, batch_size: int = 32) -> SiddResults:
    """Opens a folder of results and denoises what is missing."""
    results = opened(folder, data)
    summary = results.denoise(lambda noisy: noisy, batch_size)
    assert (summary.made, summary.kept) == (len(data.seen), 1280 - len(data.seen))
    return results


def check_all(results: SiddResults) -> None:
    for index, block in enumerate(some_list()):
        np.testing.assert_array_equal(results[index], block)


# ---------------------------------------------------------------- the folder


def test_an_interruption_within_a_batch_leaves_that_batch_to_be_done(tmp_path: Path) -> None:
    first = Identity(stop_at=3)
    with pytest.raises(KeyboardInterrupt):
        denoise(tmp_path, first)
    assert first.seen == list(range(3 * 32 + 2))
    again = Identity()
    results = denoise(tmp_path, again)
    assert again.seen == list(range(3 * 32, 1280))
    check_all(results)
    denoise(tmp_path, done := Identity())
    assert done.seen == []


def test_a_last_batch_may_be_smaller(tmp_path: Path) -> None:
    check_all(denoise(tmp_path, Identity(), 999))
    denoise(tmp_path / "other", whole := Identity(), 5000)
    assert whole.seen == list(range(1280))


@pytest.mark.parametrize("lost", ["blocks.npy", "seconds.npy"])
def test_when_a_file_is_lost_its_blocks_are_made_again(tmp_path: Path, lost: str) -> None:
    """Without this, empty blocks would count as done."""
    denoise(tmp_path, Identity())
    (tmp_path / lost).unlink()
    again = Identity()
    results = denoise(tmp_path, again)
    assert again.seen == list(range(1280))
    check_all(results)


def test_a_half_made_file_is_no_file(tmp_path: Path) -> None:
    left = tmp_path / ".cycleisp-0123456789abcdef.part"
    left.write_bytes(b"left by a process that was killed")
    check_all(denoise(tmp_path, Identity()))
    assert list(tmp_path.glob(".*")) == [left]  # who claims the folder removes it


@pytest.mark.parametrize("name", ["blocks.npy", "seconds.npy"])
def test_files_of_something_else_are_named(tmp_path: Path, name: str) -> None:
    opened(tmp_path)
    content = (tmp_path / name).read_bytes()
    for wrong in (b"", b"no array", content[:-100], content[:50]):
        (tmp_path / name).write_bytes(wrong)
        with pytest.raises(UserError, match=rf"{name}: is damaged.*; delete it, and its blocks are made again"):
            opened(tmp_path)
    np.save(tmp_path / name, np.zeros((1280, 8, 8, 3), np.uint8))
    with pytest.raises(UserError, match=rf"{name}: expected \(1280,.*, got \(1280, 8, 8, 3\) uint8"):
        opened(tmp_path)


def test_seconds_per_megapixel(tmp_path: Path) -> None:
    opened(tmp_path)
    np.save(tmp_path / "seconds.npy", np.linspace(0.1, 0.3, 1280))
    assert opened(tmp_path).seconds_per_megapixel == pytest.approx(0.2 / (SIDE * SIDE / 1e6))
    assert denoise(tmp_path / "other", Identity()).seconds_per_megapixel > 0


def test_results_of_other_settings_never_mix(tmp_path: Path) -> None:
    opened(tmp_path)
    with pytest.raises(UserError, match="holds blocks made with weights=identity"):
        opened(tmp_path, settings={"weights": "others"})


def test_a_split_without_clean_blocks_has_no_scores(tmp_path: Path) -> None:
    data = Identity()
    data.split = "benchmark"  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="SIDD's benchmark set has no clean blocks"):
        opened(tmp_path, data).score()


# ---------------------------------------------------------------- scores


def scores() -> Scores:
    """Returns scores of known values.

    PSNR is 20 + scene + block / 100, but infinite for one block, and SSIM is a thousandth of that.
    """
    values = [20 + scene + block / 100 for scene in range(40) for block in range(32)]
    quality = list(values)
    quality[33] = math.inf
    return Scores({"psnr": quality, "ssim": [value / 1000 for value in values]}, ("what PSNR is", "what SSIM is"))


def test_means_over_all_blocks_and_over_scenes() -> None:
    mean = scores().mean()
    whole = 20 + 19.5 + 0.155
    assert mean["psnr"] == pytest.approx((1280 * whole - 21.01) / 1279)  # without the equal block
    assert mean["ssim"] == pytest.approx(whole / 1000)  # with it
    assert (mean["infinite"], mean["blocks"]) == (1, 1280)
    some = scores().mean([0, 39])
    assert some == pytest.approx({"psnr": 39.655, "ssim": 0.039655, "infinite": 0, "blocks": 64})


def test_a_scene_of_equal_blocks_has_no_mean_psnr() -> None:
    equal = Scores({"psnr": [math.inf] * 1280, "ssim": [1.0] * 1280}, ())
    mean = equal.mean()
    assert math.isnan(mean["psnr"]) and (mean["ssim"], mean["infinite"]) == (1, 1280)
    said = equal.report(SCENES, "title")
    assert "|  | nan | 1.0000 | 1280 |" in said and "1280 blocks equal their clean ones" in said


def test_tables_by_camera_and_by_iso() -> None:
    tables = scores().tables(SCENES)
    assert set(tables) == {"camera", "iso"}
    for name, table in tables.items():
        labels = [scene.camera if name == "camera" else f"{scene.iso:05}" for scene in SCENES]
        assert list(table) == sorted(set(labels)) and sum(row["blocks"] for row in table.values()) == 1280
        for label, row in table.items():
            members = [index for index, other in enumerate(labels) if other == label]
            assert row["ssim"] == pytest.approx((20 + np.mean(members) + 0.155) / 1000)
            assert row["blocks"] == 32 * len(members) and row["infinite"] == (1 in members)


def test_the_report_says_what_was_measured() -> None:
    lines = scores().report(SCENES, "SIDD validation").splitlines()
    assert lines[:4] == [
        "SIDD validation",
        "what PSNR is",
        "what SSIM is",
        "Means over blocks, each block measured alone.",
    ]
    assert "| all | psnr | ssim | blocks |" in lines and "| camera | psnr | ssim | blocks |" in lines
    assert lines[lines.index("| all | psnr | ssim | blocks |") + 1] == "|---|---|---|---|"
    assert any(line.startswith("| 400 | ") for line in lines) and not any(line.startswith("| 00") for line in lines)
    assert lines[-1] == "1 blocks equal their clean ones and are not in the mean PSNR"
    finite = Scores({"psnr": [30.0] * 1280}, ())
    assert "equal" not in finite.report(SCENES, "title")


def test_what_is_kept_is_strict_json(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "metrics.json"
    scores().save(path, SCENES, {"split": "validation", "weights": "abc"})

    def refuse(text: str) -> None:
        raise AssertionError(text)

    stored = json.loads(path.read_text(), parse_constant=refuse)
    assert (stored["split"], stored["weights"]) == ("validation", "abc")
    assert stored["definitions"] == ["what PSNR is", "what SSIM is"]
    assert stored["mean"] == pytest.approx(scores().mean())
    assert stored["blocks"]["psnr"][32:35] == [21, "inf", 21.02]
    assert stored["by_iso"]["10000"] == pytest.approx(scores().tables(SCENES)["iso"]["10000"])
    nothing = Scores({"psnr": [math.inf] * 1280}, ())
    nothing.save(path, SCENES, {})
    assert json.loads(path.read_text(), parse_constant=refuse)["mean"]["psnr"] == "nan"
