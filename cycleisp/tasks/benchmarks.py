"""Measures denoisers on SIDD and DND: what test_sidd.py and test_dnd.py do, as functions.

    from cycleisp.tasks.benchmarks import Evaluation, run_sidd

    outcome = run_sidd(Evaluation(data=Path("SIDD"), space="srgb", output=Path("results/sidd")))
    print(outcome.text)

A run that was stopped goes on when the same function is called again with the same folder.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cycleisp.dataloaders.dnd import report as dnd_report
from cycleisp.dataloaders.dnd import submission as dnd_submission
from cycleisp.dataloaders.dnd.files import HOME_PAGE, DndData, file_name, listed
from cycleisp.dataloaders.dnd.results import DndResults
from cycleisp.dataloaders.dnd.scenes import DND, Extent, Orientation
from cycleisp.dataloaders.sidd import report as sidd_report
from cycleisp.dataloaders.sidd import submission as sidd_submission
from cycleisp.dataloaders.sidd.files import SiddData, Split
from cycleisp.dataloaders.sidd.results import SiddResults
from cycleisp.dataloaders.sidd.scenes import BLOCKS, SCENES
from cycleisp.dataloaders.sidd.scores import Scores
from cycleisp.networks.acceleration import to_device
from cycleisp.networks.inference.batched import BatchDenoiser
from cycleisp.networks.pretrained import SHIPPED_DENOISERS, load_denoiser
from cycleisp.utils.devices import inference_precision, pick_device
from cycleisp.utils.images import Space
from cycleisp.utils.output.claim import claimed
from cycleisp.utils.output.report.runs import report_at_end, report_path
from cycleisp.utils.version import code_version


@dataclass(frozen=True)
class Evaluation:
    """A denoiser, the data that it is measured on, and the folder for what comes out.

    Attributes:
        data: the folder with the files of the benchmark.
        space: whether to denoise RAW or sRGB.
        output: the folder for the results; it never mixes those of two settings.
        weights: a denoiser of that space, by shipped name or by path; None takes the shipped one.
        device: "auto", "cpu", "cuda" or "mps".
        precision: "float32", in which scores are told, or "auto", "tf32", "bf16" or "fp16".
        batch_size: how many crops are denoised at once.
        report: a page of HTML to write at the end, also of a run that is stopped; None for none.
    """

    data: Path
    space: Space
    output: Path
    weights: str | Path | None = None
    device: str = "auto"
    precision: str = "float32"
    batch_size: int = 4
    report: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """What a run, or the check of a submission, has found.

    Attributes:
        text: the lines to print.
        valid: False if there is a submission and it has problems, which `text` lists.
        scores: the scores of SIDD's validation blocks; None for everything else.
    """

    text: str
    valid: bool = True
    scores: Scores | None = None


# ---------------------------------------------------------------- SIDD


def run_sidd(
    evaluation: Evaluation, split: Split = "validation", scenes: Path | None = None, save_images: bool = False
) -> Outcome:
    """Denoises SIDD's blocks, and scores the validation blocks or submits the benchmark blocks.

    Scores are written to metrics.json, the worst blocks to worst.png, submissions to two files.

    Args:
        evaluation: the denoiser, the data and the folder for results.
        split: "validation", which has clean blocks, or "benchmark".
        scenes: a text file with the names of the 40 scenes, which RAW benchmark blocks need; None
            takes those of the validation blocks.
        save_images: whether to write a PNG of every block, too.

    Raises:
        UserError: missing or damaged data, wrong weights, or a folder that cannot be written or
            that holds results of other settings.
    """
    page = report_path(evaluation.report)
    data = SiddData(evaluation.data, split, evaluation.space, scenes)
    denoiser, made_with = _open_denoiser(evaluation)
    about = {"benchmark": "SIDD", "space": evaluation.space, "split": split}
    settings = {**about, **made_with, **data.hashes()}
    with claimed(evaluation.output):
        results, scores = SiddResults(evaluation.output, data, settings), None
        title = f"SIDD, {split}, {evaluation.space}"
        with report_at_end(page, title, lambda: sidd_report.report_parts(results, scores, settings)):
            results.denoise(denoiser, evaluation.batch_size)
            if split == "benchmark":
                text = "\n".join(results.submit())
            else:
                scores = results.score()
                text = scores.report(data.scenes, f"SIDD validation, {evaluation.space}, {SCENES} x {BLOCKS} blocks")
                scores.save(evaluation.output / "metrics.json", data.scenes, {**settings, "version": code_version()})
                results.save_worst(scores)
            if save_images:
                results.save_pictures()
    return Outcome(text, scores=scores)


def check_sidd(path: Path) -> Outcome:
    """Checks a submission to SIDD's server, SubmitRaw or SubmitSrgb as .mat or .csv.

    Raises:
        SubmissionError: the server would refuse the file; the message lists all problems.
    """
    return Outcome(sidd_submission.validate_submission(path))


# ---------------------------------------------------------------- DND


def run_dnd(
    evaluation: Evaluation, orientation: Orientation = "corrected", previews: bool = False, extent: Extent = DND
) -> Outcome:
    """Denoises DND into a submission, the folder `bundle` in the output, and checks it.

    Args:
        evaluation: the denoiser, the data and the folder for results.
        orientation: how Bayer patterns are read: "corrected", or "released" as the released scripts
            read them.
        previews: whether to picture noisy and denoised crops, too.
        extent: the size of the data set; only tests have another one.

    Raises:
        UserError: missing or damaged data, wrong weights, or a folder that cannot be written or
            that holds results of other settings.
    """
    space, page = evaluation.space, report_path(evaluation.report)
    data = DndData(evaluation.data, space, orientation, extent)  # first: missing data are what most lack
    denoiser, made_with = _open_denoiser(evaluation)
    read_as = orientation if space == "raw" else None  # sRGB has no Bayer pattern
    settings = {"benchmark": "DND", "space": space, "orientation": read_as, **made_with}
    with claimed(evaluation.output):
        results, checked = DndResults(evaluation.output, data, settings), Outcome("")
        with report_at_end(page, f"DND, {space}", lambda: dnd_report.report_parts(results, checked.text, settings)):
            summary = results.denoise(denoiser, evaluation.batch_size)
            if previews:
                results.save_pictures()
            checked = check_dnd(results.bundle, space, extent)
    counts = f"{summary.made} images denoised, {summary.kept} kept from before; {evaluation.output}"
    return Outcome(f"{counts}\n{checked.text}", checked.valid)


def check_dnd(folder: Path, space: Space | None = None, extent: Extent = DND) -> Outcome:
    """Checks a submission to DND's server, a folder of .mat files.

    Args:
        folder: the folder.
        space: which of the two benchmarks it is for; None takes either.
        extent: the size of the data set; only tests have another one.

    Raises:
        UserError: no such folder.
    """
    problems = dnd_submission.validate_submission(folder, space, extent)
    if not problems:
        files = listed(extent.numbers, file_name)
        return Outcome(f"{folder}: a valid submission; upload {files} at {HOME_PAGE}")
    lines = [
        *(f"problem {problem}" for problem in problems),
        f"{folder}: not a valid submission, {len(problems)} problems",
    ]
    return Outcome("\n".join(lines), valid=False)


# ---------------------------------------------------------------- both


def _open_denoiser(evaluation: Evaluation) -> tuple[BatchDenoiser, Mapping[str, Any]]:
    """Returns the denoiser, and the settings of a folder of results that depend on it."""
    space = evaluation.space
    network, sha256 = load_denoiser(evaluation.weights or SHIPPED_DENOISERS[space], space)
    device = pick_device(evaluation.device)
    precision = inference_precision(evaluation.precision, device)
    settings = {"weights": sha256}
    if precision != "float32":  # folders of earlier versions do not name float32
        settings["precision"] = precision
    return BatchDenoiser(to_device(network, device), precision), settings
