"""benchmarks/calibration_proof.py: its table, and that it runs."""

import json
from pathlib import Path

import pytest

from benchmarks.calibration_proof import Draw, main, rows, summary
from tests.support.scripts import call_script, error_line


def test_the_script_prints_a_table_and_writes_its_figures(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    run = call_script(main, "--size", 48, "--draws", 1, "--cameras", "14 bit", "--json", figures)
    assert run.returncode == 0
    assert "| 14 bit | gain | 2 |" in run.stdout
    gain = json.loads(figures.read_text())["cameras"]["14 bit"]["gain"]
    assert gain["number"] == 4
    assert gain["mean"] == pytest.approx(2.0, abs=4.5 * gain["error"] / 2)  # of four colours


def test_a_file_that_is_not_eld_s_is_named(tmp_path: Path) -> None:
    wrong = tmp_path / "eld.json"
    wrong.write_text("{}")
    run = call_script(main, "--eld", wrong)
    assert "expected ELD's cameras as JSON" in error_line(run)


def test_a_summary_counts_what_lies_within_the_errors() -> None:
    row = summary("gain", [Draw(2.0, 2.1, 0.2), Draw(2.0, 1.7, 0.2), Draw(2.0, 2.5, 0.2)])
    assert (row["within 1"], row["within 2"]) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert row["largest"] == pytest.approx(0.25)
    assert row["mean"] == pytest.approx(2.1)


def test_what_is_zero_has_a_deviation_instead_of_a_share() -> None:
    row = summary("column", [Draw(0.0, 0.02, 0.03)])
    assert row["largest"] == pytest.approx(0.02)
    assert "| 0.02 |" in rows("camera", {"column": row})
