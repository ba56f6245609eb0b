"""What a run tells: records that a run goes on with, and a disk that is full."""

import errno
import json
from pathlib import Path
from typing import Any

import pytest
from torch.utils.tensorboard import SummaryWriter

from cycleisp.utils.training.errors import TrainingError
from cycleisp.utils.training.journal import keep_records
from tests.support.training import Patches, checkpoint, metrics, recipe, trainer


def test_records_after_the_step_and_damaged_lines_are_removed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "metrics.jsonl"
    keep_records(path, 5)
    assert not path.exists()
    lines = [json.dumps({"step": step, "psnr_raw": 20.0}) for step in (2, 4, 6)]
    path.write_bytes("\n".join([*lines, "[1]", '{"step": "x"}', "{" * 9999]).encode() + b'\n\xff\xfe\n{"step": 8, "ps')
    keep_records(path, 5)
    assert [record["step"] for record in metrics(tmp_path)] == [2, 4]
    assert "metrics.jsonl: 5 unreadable lines removed" in caplog.text


def test_a_run_that_goes_on_mends_its_records(tmp_path: Path) -> None:
    trainer(tmp_path, recipe(validate_every=2)).fit(Patches(24), Patches(1), stop_after=0)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "psnr_raw": 9.0}\n{"step": 4, "ps')
    trainer(tmp_path, recipe(validate_every=2)).fit(Patches(24), Patches(1))
    assert [record["step"] for record in metrics(tmp_path)] == [2, 4, 6, 8, 10, 12]


@pytest.mark.parametrize("when", ["opening", "writing", "closing"])
def test_events_on_a_full_disk_are_one_error_or_a_warning(
    tmp_path: Path, when: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(SummaryWriter, {"opening": "__init__", "writing": "add_scalar", "closing": "close"}[when], full)
    run = trainer(tmp_path, recipe())
    if when == "closing":
        assert run.fit(Patches(24), Patches(1))
        assert "the last TensorBoard events cannot be written (No space left on device)" in caplog.text
        return
    with pytest.raises(TrainingError, match=r"events cannot be written .No space left on device.; make room"):
        run.fit(Patches(24), Patches(1))


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    trainer(tmp_path, recipe()).fit(Patches(24), Patches(1), stop_after=0)
    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(TrainingError, match=r"checkpoint\.ckpt: cannot be written .No space left"):
            trainer(tmp_path, recipe()).fit(Patches(24), Patches(1))
    assert checkpoint(tmp_path)["step"] == 1
    assert not list(tmp_path.glob(".cycleisp-*.part"))
    assert trainer(tmp_path, recipe()).fit(Patches(24), Patches(1))
