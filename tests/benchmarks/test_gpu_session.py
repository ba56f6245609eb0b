"""benchmarks/gpu.sh without a GPU: what is packed, order and time of the steps, what is kept."""

import argparse
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from benchmarks.gpu import first_failure, prepare, session, side_by_side, speed_rows, training
from benchmarks.gpu.session import Session, Step, limit
from benchmarks.gpu.side_by_side import Training
from benchmarks.gpu.step_clock import StepClock, covered
from cycleisp.utils.config import DenoiserRecipe, load_recipe
from cycleisp.utils.errors import UserError
from tests.support.pairs import write_pair
from tests.support.paths import ROOT
from tests.support.pictures import random_picture, write_png
from tests.support.scripts import call_script, error_line


def arguments(monkeypatch: pytest.MonkeyPatch, *words: object) -> argparse.Namespace:
    monkeypatch.delenv("OUT", raising=False)
    monkeypatch.setattr(sys, "argv", ["session", *map(str, words)])
    return session.parse_args()


def step(name: str, code: str, kept: tuple[tuple[Path, str], ...] = ()) -> Step:
    return Step(name, lambda _: ["-c", code], seconds=30, kept=kept)


def test_photos_that_do_not_fit_are_left_out_evenly() -> None:
    assert prepare.choose([10] * 6, 60) == [0, 1, 2, 3, 4, 5]
    assert prepare.choose([10] * 6, 35) == [0, 2, 4]
    assert prepare.choose([10, 90, 10], 15) == [0]
    assert prepare.choose([10], 5) == []


def test_what_was_packed_is_unpacked_once(tmp_path: Path) -> None:
    for seed in range(3):
        write_png(tmp_path / "photos" / f"{seed}.png", random_picture(20, 24, seed=seed))
    write_pair(tmp_path / "night", "a", random_picture(16, 16, seed=7), random_picture(16, 16, seed=8))
    out = tmp_path / "out"
    options = ["--photos", tmp_path / "photos", "--pairs", tmp_path / "night", "--output", out / "input.tar"]
    result = call_script(prepare.main, *options)
    assert result.returncode == 0 and "3 of 3 photos" in result.stdout, result.stderr
    for _ in range(2):
        session.unpack(out)
    assert len(list((out / "input" / "photos").iterdir())) == 3
    packed = out / "input" / "pairs" / "night" / "noisy" / "a.png"
    assert packed.read_bytes() == (tmp_path / "night" / "noisy" / "a.png").read_bytes()
    assert "no photo fits into 0 MiB" in error_line(call_script(prepare.main, *options, "--most-mib", 0))


def test_without_input_one_line_says_how_to_make_it(tmp_path: Path) -> None:
    result = call_script(session.main, "--output", tmp_path, "--steps", "tests")
    assert "pack the photos first (python -m benchmarks.gpu.prepare --help)" in error_line(result)


def test_steps_come_by_worth_and_share_the_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of 9 minutes, the fixed steps leave 330 s to the trainings, which run at the same time."""
    steps = session.steps(arguments(monkeypatch, "--output", tmp_path))
    assert [each.name for each in steps] == ["tests", "speed", "training", "evaluation"]
    tests, speed, trainings, evaluation = steps
    assert limit(tests, steps[1:], 540) == 90
    assert limit(speed, steps[2:], 50) == 50  # less is left than it may have
    assert limit(trainings, [evaluation], 540 - 90 - 75) == 330
    assert limit(trainings, [], 330) == 330
    assert limit(trainings, [evaluation], 30) == 0


def test_the_commands_are_those_of_files_that_are_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for options in ((), ("--tiny", "--device", "cpu")):
        for each in session.steps(arguments(monkeypatch, "--output", tmp_path, *options)):
            words = each.command(100.0)
            assert words[0] == "-m"
            if words[1].startswith("benchmarks"):
                assert (ROOT / (words[1].replace(".", "/") + ".py")).is_file()
            if each.name == "training":
                changed = session.TINY if options else []
                given = words[words.index("--train") + 1 :][: len(session.TRAININGS)]
                for training in map(Training.from_word, given):
                    assert load_recipe(DenoiserRecipe, training.recipe, changed).network.gated is not None
                    assert not (options and training.start)  # weights of other sizes


def test_words_that_are_no_training_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").touch()
    training = Training.from_word(f"raw:{tmp_path / 'mine.yaml'}:base_raw")
    assert (training.space, training.name, training.start) == ("raw", "mine", "base_raw")
    for word, message in (("rgb:x.yaml", "expected SPACE:RECIPE"), ("raw:none.yaml", "none.yaml is not there")):
        with pytest.raises(UserError, match=message):
            Training.from_word(word)
    options = ["--train", *[f"raw:{tmp_path / 'mine.yaml'}"] * 2, "--photos", "p", "--work", tmp_path, "--until", 0]
    assert "two recipes have the same name" in error_line(call_script(side_by_side.main, *options))


def test_trainings_run_side_by_side_and_all_statuses_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each waits for the file of the other one, so one after the other they would never end."""
    waits = "import pathlib, sys, time; pathlib.Path({mine!r}).touch(); print('begun')\n"
    waits += "while not pathlib.Path({other!r}).exists(): time.sleep(0.01)\nsys.exit({status})"
    files = [str(tmp_path / name) for name in "ab"]

    def command(self: Training, _args: object) -> list[str]:
        mine, other = files if self.space == "srgb" else files[::-1]
        return ["-c", waits.format(mine=mine, other=other, status=3 if self.space == "srgb" else 0)]

    monkeypatch.setattr(Training, "command", command)
    trainings = [Training(space, Path(f"{space}.yaml"), "") for space in ("srgb", "raw")]
    assert side_by_side.run_all(trainings, argparse.Namespace()) == [3, 0]
    assert sorted(capfd.readouterr().out.split("\n")) == ["", "raw: begun", "srgb: begun"]


def test_done_steps_are_skipped_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = tmp_path / "count"
    code = f"open({str(count)!r}, 'a').write('x')"
    listed = [step("tests", code), step("speed", f"{code}; raise SystemExit(5)"), step("training", code)]
    monkeypatch.setattr(session, "steps", lambda _args: listed)
    (tmp_path / "out" / "input").mkdir(parents=True)
    options = ["--output", tmp_path / "out", "--steps", "tests", "speed", "training", "--mirror", tmp_path / "mirror"]
    first = call_script(session.main, *options)
    assert first.returncode == 1 and count.read_text() == "xxx"
    states = json.loads((tmp_path / "mirror" / "steps.json").read_text())
    assert [state["state"] for state in states.values()] == ["done", "failed", "done"]
    assert call_script(session.main, *options).returncode == 1
    assert count.read_text() == "xxxx"  # only the one that failed
    listed[1] = step("speed", code)
    assert call_script(session.main, *options).returncode == 0
    too_short = call_script(session.main, "--output", tmp_path / "new", "--steps", "tests", "--minutes", "0.1")
    assert too_short.returncode == 2  # no input
    (tmp_path / "new" / "input").mkdir()
    too_short = call_script(session.main, "--output", tmp_path / "new", "--steps", "tests", "--minutes", "0.1")
    assert "too few, left out" in too_short.stdout and too_short.returncode == 1


def test_a_step_beyond_its_time_is_cut_off_and_what_it_wrote_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time is over once it has printed, however long Python takes to start."""
    log, limits = tmp_path / "out" / "log.txt", list[float]()

    class OnceItHasPrinted(threading.Timer):
        def run(self) -> None:
            limits.append(self.interval)
            while not (log.is_file() and "here" in log.read_text()) and not self.finished.wait(0.01):
                pass
            if not self.finished.is_set():
                self.function(*self.args, **self.kwargs)

    monkeypatch.setattr(threading, "Timer", OnceItHasPrinted)
    monkeypatch.setattr(session, "GRACE", 0.5)
    written = tmp_path / "work.json"
    code = f"open({str(written)!r}, 'w').write('{{}}'); print('here', flush=True); import time; time.sleep(60)"
    one = Session(tmp_path / "out", tmp_path / "mirror")
    assert one.run(step("srgb", code, ((written, "srgb.json"),)), 2.0) == "cut off"
    assert sorted(limits) == [1.5, 2.0]  # when it is asked to end, and when it is killed
    assert (tmp_path / "out" / "srgb.json").read_text() == "{}" == (tmp_path / "mirror" / "srgb.json").read_text()
    assert not Session(tmp_path / "out", None).is_done(step("srgb", ""))


def test_large_weights_are_kept_in_float16(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: dict[str, Path]
) -> None:
    monkeypatch.setattr(session, "LARGEST", 1)
    one = Session(tmp_path / "out", None)
    one.keep(step("srgb", "", ((weights["srgb"], "srgb.safetensors"),)))
    kept = tmp_path / "out" / "srgb.safetensors"
    assert kept.stat().st_size < weights["srgb"].stat().st_size
    before = kept.stat().st_mtime_ns
    one.keep(step("srgb", "", ((weights["srgb"], "srgb.safetensors"),)))
    assert kept.stat().st_mtime_ns == before  # what is as new is not copied again
    assert not list((tmp_path / "out").glob(".*.safetensors"))


def test_the_schedule_fits_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 300 s, 30 pass before the first step: 93 % of 270 s are 2511 steps of 0.1 s."""
    recipe = load_recipe(DenoiserRecipe, ROOT / "configs" / "gpu" / "base_srgb.yaml")
    train = training.planned(recipe, 300.0, start=30.0, step=0.1).train
    assert (train.steps, train.validate_every, train.checkpoint_every) == (2511, 2511, 600)
    assert train.warmup == 125 and train.schedule == "cosine"  # a twentieth of the steps at most
    assert training.planned(recipe, 1.0, start=30.0, step=0.1).train.steps == 1
    words = training.report({"start_seconds": 30.0, "step_seconds": 0.1, "share_without_kernel": 0.125}, 2511)
    assert words == "start 30.0 s, step 100.0 ms, 12.5 % of it without a kernel; 2511 steps"
    none = training.report({"start_seconds": 1.0, "step_seconds": 0.1, "share_without_kernel": None}, 1)
    assert "no CUDA GPU" in none


def test_the_clock_counts_steps_of_any_optimizer() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    with StepClock(1, 2, torch.device("cpu")) as clock:
        for _ in range(5):
            weight.grad = torch.ones(1)
            optimizer.step()
        assert clock.step_seconds > 0 and clock.share is None
    optimizer.step()
    assert len(clock.ends) == 5
    with pytest.raises(ValueError, match="at least two steps"):
        _ = StepClock(1, 2, torch.device("cpu")).step_seconds


def test_the_union_of_intervals_counts_what_overlaps_once() -> None:
    assert covered([(0, 1), (0.5, 2), (3, 4), (3.2, 3.4)]) == pytest.approx(3.0)
    assert covered([]) == 0


def test_speed_rows_begin_with_the_papers_networks_in_half_precision() -> None:
    rows = list(speed_rows.rows(["bf16", "tf32"], tiny=False))
    assert rows[:2] == [("srgb_denoiser", 256, 1, False, "bf16"), ("srgb_denoiser", 1024, 1, False, "bf16")]
    assert {row[0] for row in rows} == set(speed_rows.speed.CASES)
    assert [row[3] for row in rows] == sorted([row[3] for row in rows[: len(rows) // 2]]) * 2  # training after forward
    assert len(rows) == len(set(rows))


def test_the_first_failure_is_printed_in_full(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def report(name: str, outcome: str) -> pytest.TestReport:
        return pytest.TestReport(name, ("f", 1, name), {}, outcome, f"why {name}", "call")  # type: ignore[arg-type]

    monkeypatch.setattr(first_failure, "_seen", [])
    for name, outcome in (("good", "passed"), ("bad", "failed"), ("worse", "failed")):
        first_failure.pytest_runtest_logreport(report(name, outcome))
    printed = capsys.readouterr().out
    assert "why bad" in printed and "FAILED worse (call)" in printed and "why worse" not in printed


def test_the_shell_script_passes_its_words_on() -> None:
    command = ["sh", "benchmarks/gpu.sh", "--minutes", "3"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHON": "echo"})
    assert done.stdout.splitlines()[-1] == "-m benchmarks.gpu.session --minutes 3", done.stderr


def test_a_pilot_that_was_stopped_is_begun_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = tmp_path / "pilot_base_srgb" / "checkpoint.ckpt"
    old.parent.mkdir()
    old.write_bytes(b"of a call that was cut off")
    runs: list[Path] = []

    def stopped(_recipe: object, folder: Path, _space: str, **_options: object) -> bool:
        runs.append(folder)
        assert not old.exists()
        return False

    monkeypatch.setattr(training, "train_denoiser", stopped)
    options = ("--space", "srgb", "--recipe", "gpu/base_srgb.yaml", "--photos", tmp_path, "--work", tmp_path)
    result = call_script(training.main, *options, "--until", 0, "--device", "cpu")
    assert result.returncode == 3 and "which the next call begins again" in result.stdout
    assert runs == [old.parent] and not (tmp_path / "base_srgb.json").exists()
