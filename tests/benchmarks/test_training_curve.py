"""benchmarks/training_curve.py reads the figures of a run, and several stages as one run."""

import json
from pathlib import Path

import pytest

from benchmarks.training_curve import read_run, read_stages
from cycleisp.utils.errors import UserError


def run(folder: Path, *records: dict[str, float]) -> Path:
    folder.mkdir()
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


def test_stages_are_counted_on(tmp_path: Path) -> None:
    first = run(tmp_path / "a", {"step": 100, "psnr_clean": 30.0}, {"step": 200, "psnr_clean": 31.0})
    second = run(tmp_path / "b", {"step": 50, "psnr_clean": 32.0})
    assert read_run(first) == {"psnr_clean": [(100, 30.0), (200, 31.0)]}
    assert read_stages(f"{first}+{second}") == {"psnr_clean": [(100, 30.0), (200, 31.0), (250, 32.0)]}


@pytest.mark.parametrize("content", [None, "", "no JSON\n"])
def test_a_folder_that_is_no_run_is_one_clear_line(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "metrics.jsonl").write_text(content)
    with pytest.raises(UserError, match=r"metrics\.jsonl: (cannot be read|holds no measurement)"):
        read_run(tmp_path)
