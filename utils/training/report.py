"""The report of a training, `report.html` in its folder: curves, pictures, skipped photos.

It is made of what the folder holds: TensorBoard's events, metrics.jsonl, photos.jsonl and the
recipe. So it shows all parts of a run that was stopped and resumed.
"""

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cycleisp.utils.errors import reason
from cycleisp.utils.output.json_lines import Line, read_lines
from cycleisp.utils.output.report.chart import Axis, Series, chart
from cycleisp.utils.output.report.page import beside, code, heading, paragraph
from cycleisp.utils.output.report.pictures import row, small_picture
from cycleisp.utils.output.report.runs import facts, skipped_files
from cycleisp.utils.training.run_folder import RECIPE

FILE_NAME = "report.html"
_POINTS = 400  # of a curve; longer ones are averaged over neighbours
_LARGEST = 200 << 20  # bytes of events, which take a while to read
_PICTURES = 4
log = logging.getLogger(__name__)


@dataclass
class _Events:
    """What TensorBoard's events say.

    Attributes:
        scalars: steps and values by the name of the quantity, as train/loss.
        pictures: (H, W, 3) of the last validation.
    """

    scalars: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = field(default_factory=dict)
    pictures: list[NDArray[np.uint8]] = field(default_factory=list)


def report_parts(folder: Path, finished: bool | None) -> list[str]:
    """Returns the parts of the page about a run.

    Args:
        folder: that of the run.
        finished: whether the recipe is finished; None if the run has ended by an error.
    """
    events, validations = _read_events(folder), read_lines(folder / "metrics.jsonl")[0]
    photos = read_lines(folder / "photos.jsonl")[0]
    state = {True: "finished", False: "stopped; the same command goes on", None: "ended by an error"}[finished]
    loss = events.scalars.get("train/loss")
    top: dict[str, object] = {"run": state, "folder": folder}
    if loss is not None and len(loss[0]):
        top["last step in the events"] = f"{loss[0][-1]:.0f}"
    if validations:
        top["last validation"] = ", ".join(f"{key} {value:g}" for key, value in _numbers(validations[-1]).items())
    if photos:
        top["photos"] = f"{sum(not line.get('problem') for line in photos)} used, of {len(photos)}"
    parts = [facts(top), heading("Curves")]
    charts = [*_learning(events), _quality(validations), *_time(events)]
    parts.append(beside(*(each for each in charts if each)) or paragraph("There is nothing to draw yet."))
    if events.pictures:
        words = "The last validation: what the network should give, and what it gives, side by side for each output."
        parts += [heading("Pictures"), paragraph(words)]
        parts.append(row(small_picture(f"crop {n}", picture) for n, picture in enumerate(events.pictures, 1)))
    bad = [(Path(str(line.get("name"))), str(line["problem"])) for line in photos if line.get("problem")]
    parts += skipped_files(bad)
    if (folder / RECIPE).is_file():
        parts += [heading("Recipe"), code((folder / RECIPE).read_text(encoding="utf-8", errors="replace"))]
    return parts


def _read_events(folder: Path) -> _Events:
    """Reads TensorBoard's events; damaged or very large ones are left out, and the log says so."""
    files = list(folder.glob("events.out.tfevents.*"))
    size = sum(file.stat().st_size for file in files)
    if not files or size > _LARGEST:
        if files:
            log.warning("%s: %d MB of events are not in the report; look at them in TensorBoard", folder, size >> 20)
        return _Events()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # here: others need it not

    speaks = logging.getLogger("tensorboard")
    usual = speaks.level
    speaks.setLevel(logging.ERROR)  # it warns of what a stopped run leaves
    try:
        stored = EventAccumulator(str(folder), {"scalars": 0, "images": 1, "tensors": 0})
        stored.Reload()
        scalars = {}
        for name in stored.Tags()["scalars"]:
            found = stored.Scalars(name)
            scalars[name] = np.array([one.step for one in found], float), np.array([one.value for one in found], float)
        tags = sorted(stored.Tags()["images"])[:_PICTURES]
        pictures = [np.asarray(Image.open(io.BytesIO(stored.Images(tag)[-1].encoded_image_string))) for tag in tags]
    except Exception as error:  # of TensorBoard, which has many kinds
        log.warning("%s: the events cannot be read for the report (%s)", folder, reason(error))
        return _Events()
    finally:
        speaks.setLevel(usual)
    return _Events(scalars, pictures)


def _learning(events: _Events) -> list[str]:
    """Returns the loss, the PSNR of training batches, the learning rate and the gradient's norm."""
    quality = [name for name in events.scalars if name.startswith("train/psnr_")]
    x = Axis("step")
    drawn = [
        (["train/loss"], Axis("loss", log=True), "Loss of the batches."),
        (quality, Axis("PSNR, dB"), "PSNR of the batches, by output."),
        (["train/learning_rate"], Axis("learning rate", log=True), "Learning rate."),
        (["train/gradient_norm"], Axis("norm", log=True), "Norm of the gradient, before it is clipped."),
    ]
    charts = []
    for names, y, caption in drawn:
        series = [
            Series(name.partition("/")[2] if len(names) > 1 else "", *_thinned(*events.scalars[name]))
            for name in names
            if name in events.scalars and len(events.scalars[name][0]) > 1
        ]
        charts.append(chart(series, x, y, caption) if series else "")
    return charts


def _quality(validations: Sequence[Line]) -> str:
    """Returns the PSNR of all validations; a point alone where there was only one."""
    series = []
    for name in dict.fromkeys(key for line in validations for key in _numbers(line) if key != "step"):
        known = [(line["step"], line[name]) for line in validations if {"step", name} <= _numbers(line).keys()]
        steps, values = zip(*known, strict=True)
        series.append(Series(name, steps, values, style="line" if len(known) > 1 else "points"))
    return chart(series, Axis("step"), Axis("PSNR, dB"), "Validation.") if series else ""


def _time(events: _Events) -> list[str]:
    """Returns the time of steps, and of waiting for data."""
    names = {"train/step_seconds": "a whole step", "train/data_seconds": "of it, waiting for data"}
    series = [
        Series(words, *_thinned(*events.scalars[name]))
        for name, words in names.items()
        if name in events.scalars and len(events.scalars[name][0]) > 1
    ]
    return [chart(series, Axis("step"), Axis("seconds", low=0.0), "Time of the steps.")] if series else []


def _thinned(
    steps: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns a curve of at most _POINTS points, each the mean of neighbours."""
    size = -(-len(steps) // _POINTS)
    parts = [np.array_split(array, -(-len(steps) // size)) for array in (steps, values)]
    means = [np.array([part.mean() for part in array]) for array in parts]
    return means[0], means[1]


def _numbers(line: Line) -> dict[str, float]:
    return {key: value for key, value in line.items() if isinstance(value, int | float)}
