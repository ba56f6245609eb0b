"""The report of test_sidd.py: scores by camera and ISO, blocks to look at, noise and time."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.sidd.files import block_name
from cycleisp.dataloaders.sidd.results import SiddResults
from cycleisp.dataloaders.sidd.scenes import BLOCKS, SCENES
from cycleisp.dataloaders.sidd.scores import Scores
from cycleisp.utils.images import as_float
from cycleisp.utils.output.report.chart import Axis, Series, chart
from cycleisp.utils.output.report.page import beside, heading, paragraph, table
from cycleisp.utils.output.report.pictures import row, small_picture
from cycleisp.utils.output.report.runs import PICTURED, facts
from cycleisp.utils.output.report.statistics import histogram, variance_by_intensity, variance_chart

_ISOS = 6  # series in the chart of noise by ISO


def report_parts(results: SiddResults, scores: Scores | None, settings: Mapping[str, object]) -> list[str]:
    """Returns the parts of the page about a folder of denoised blocks.

    Args:
        results: the folder; blocks may be missing in it.
        scores: of all blocks; None where there are none, or not yet.
        settings: what the results depend on.
    """
    done = np.flatnonzero(~np.isnan(results.seconds)).tolist()
    top: dict[str, object] = {"blocks denoised": f"{len(done)} of {SCENES * BLOCKS}"}
    if len(done) == SCENES * BLOCKS:
        top["seconds for a megapixel"] = f"{results.seconds_per_megapixel:.3g}"
    parts = [facts({**top, **settings})]
    if scores is not None:
        parts += _scores(results, scores)
    parts += _blocks(results, done, scores)
    charts = [*_variances(results, done), _times(results, done)]
    if any(charts):
        parts += [heading("Noise and time"), beside(*(each for each in charts if each))]
    return parts


def _scores(results: SiddResults, scores: Scores) -> list[str]:
    """Returns the tables of means, and how PSNR spreads."""
    scenes, names = results.data.scenes, list(scores.values)
    parts = [heading("Scores"), *map(paragraph, scores.definitions)]
    for title, rows in {"": {"all": scores.mean()}, **scores.tables(scenes)}.items():
        lines = [
            (key.lstrip("0") or key, *(f"{row[name]:.2f}" if name == "psnr" else f"{row[name]:.4f}" for name in names))
            for key, row in rows.items()
        ]
        counts = [row["blocks"] for row in rows.values()]
        cells = [(*line, f"{count:.0f}") for line, count in zip(lines, counts, strict=True)]
        parts.append(table((title, *names, "blocks"), cells))
    psnr = np.asarray(scores.values["psnr"])
    isos = [scenes[block_name(index)[0]].iso for index in range(len(psnr))]
    points = Series("", isos, psnr, style="points")
    by_iso = chart([points], Axis("ISO", log=True), Axis("PSNR, dB"), "PSNR of each block, by the ISO of its scene.")
    return [*parts, beside(histogram("PSNR, dB", psnr, "PSNR of all blocks."), by_iso)]


def _blocks(results: SiddResults, done: Sequence[int], scores: Scores | None) -> list[str]:
    """Returns pictures of blocks: the worst, middling and best ones, or some of the first."""
    if not done:
        return []
    if scores is None:
        chosen = dict.fromkeys(done[:: max(1, len(done) // PICTURED)][:PICTURED], "")
        title = "Blocks"
    else:
        order = [int(index) for index in np.argsort(scores.values["psnr"])]
        middle = len(order) // 2
        chosen = dict.fromkeys(order[:3], "worst")
        chosen |= dict.fromkeys(order[middle : middle + 2], "middle") | dict.fromkeys(order[-3:], "best")
        title = "Blocks: the worst, middling ones, and the best"
    parts = [heading(title)]
    for index, kind in chosen.items():
        scene, block = block_name(index)
        name = f"{results.data.scenes[scene].name}, block {block}: noisy"
        quality = "" if scores is None else f", {scores.values['psnr'][index]:.2f} dB ({kind})"
        captions = name, f"denoised{quality}", "clean"
        pictures = results.pictures(index)
        parts.append(row(small_picture(*pair) for pair in zip(captions, pictures, strict=False)))
    return parts


def _variances(results: SiddResults, done: Sequence[int]) -> list[str]:
    """Returns the variance of the noise by ISO, and of what is left of it, by the clean value."""
    chosen = [index for index in done if block_name(index)[1] == 0]  # a block of each scene
    if results.clean is None or not chosen:
        return []
    by_iso: dict[int, list[int]] = {}
    for index in chosen:
        by_iso.setdefault(results.data.scenes[block_name(index)[0]].iso, []).append(index)
    isos = sorted(by_iso)
    isos = isos if len(isos) <= _ISOS else [isos[round(n * (len(isos) - 1) / (_ISOS - 1))] for n in range(_ISOS)]
    clean, noisy, denoised = results.clean, results.noisy, results
    noise = [
        variance_by_intensity(_stacked(clean, by_iso[iso]), _stacked(noisy, by_iso[iso])).series(f"ISO {iso}")
        for iso in isos
    ]
    pooled = [
        variance_by_intensity(_stacked(clean, chosen), _stacked(images, chosen)).series(name)
        for name, images in (("noisy", noisy), ("denoised", denoised))
    ]
    x = "clean value, 0 to 1"
    return [
        variance_chart(noise, x, "variance", "Variance of the noise, in the first block of each scene."),
        variance_chart(pooled, x, "variance", "Variance of the error in the same blocks, before and after."),
    ]


def _times(results: SiddResults, done: Sequence[int]) -> str:
    return histogram("seconds for a block", results.seconds[done], "Time of each block, without reading and writing.")


def _stacked(blocks: object, indices: Sequence[int]) -> NDArray[np.float32]:
    """Returns blocks as floats in [0, 1]."""
    stacked = np.stack([blocks[index] for index in indices])  # type: ignore[index]
    return as_float(stacked) if stacked.dtype == np.uint8 else stacked.astype(np.float32)
