"""The report of test_dnd.py: crops before and after, the noise levels of all images, and time."""

from collections.abc import Mapping

import numpy as np

from cycleisp.dataloaders.dnd.results import DndResults
from cycleisp.utils.output.report.chart import COLOURS, Series
from cycleisp.utils.output.report.page import beside, heading, paragraph, table
from cycleisp.utils.output.report.pictures import before_and_after, most_changed
from cycleisp.utils.output.report.runs import PICTURED, facts, in_words
from cycleisp.utils.output.report.statistics import histogram, variance_by_intensity, variance_chart

_CURVES = 5  # images in the chart of variance


def report_parts(results: DndResults, check: str, settings: Mapping[str, object]) -> list[str]:
    """Returns the parts of the page about a submission, which need not be complete.

    Args:
        results: the folder.
        check: what the check of the submission has said; "" where it was not checked yet.
        settings: what the results depend on.

    Raises:
        UserError: a file of DND or of the submission is damaged.
    """
    scenes = results.data.scenes
    done = [scene for scene in scenes if results.is_done(scene)]
    parts = [facts({"images denoised": f"{len(done)} of {len(scenes)}", **settings})]
    parts += [paragraph(line) for line in check.splitlines()]
    shown = done[:: max(1, len(done) // PICTURED)][:PICTURED]
    if shown:
        about = "The first crop of some images, before and after; the clean ones are known to DND's server alone."
        parts += [heading("Before and after"), paragraph(about)]
    series: list[Series] = []
    for scene in shown:
        (noisy,), (denoised,) = results.stored(scene, 1)
        before, after = results.render(scene, noisy), results.render(scene, denoised)
        place = most_changed(before, after)
        words = f"shot {scene.shot_noise:.2g}, read {scene.read_noise:.2g}"
        name = f"image {scene.number:04d}, box 1"
        parts.append(before_and_after(name, (before, after), (before[place], after[place]), words))
        if len(series) < 2 * _CURVES:
            curve, colour = variance_by_intensity(denoised, noisy), COLOURS[len(series) // 2]
            x = np.linspace(0, float(curve.intensity.max()) if len(curve.intensity) else 0, 20)
            told = scene.shot_noise * x + scene.read_noise
            hidden = Series("", x, told if results.data.space == "raw" else np.full(20, np.nan), colour=colour)
            series += [curve.series(f"{scene.number:04d}", colour), hidden]
    lines = "; the lines are DND's noise levels" if results.data.space == "raw" else ""
    seconds = results.seconds
    charts = [
        variance_chart(series, "denoised value", "variance", f"Variance of what was taken away, by brightness{lines}."),
        histogram("shot noise", [scene.shot_noise for scene in scenes], "Shot noise of DND's images.", log=True),
        histogram("read noise", [scene.read_noise for scene in scenes], "Read noise of DND's images.", log=True),
        histogram("seconds for an image", list(seconds.values()), "Time of the images of this run."),
    ]
    parts += [heading("Noise and time"), beside(*(each for each in charts if each))]
    rows = [
        (
            f"{scene.number:04d}",
            "denoised" if results.is_done(scene) else "missing",
            f"{scene.shot_noise:.3g}",
            f"{scene.read_noise:.3g}",
            in_words(seconds[scene.number]) if scene.number in seconds else "",
        )
        for scene in scenes
    ]
    return [*parts, heading("Images"), table(("image", "", "shot noise", "read noise", "time in this run"), rows)]
