"""The report of a run of denoise.py: before and after, how much noise there was, and the time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cycleisp.dataloaders.results.summary import Summary
from cycleisp.utils.images import as_float
from cycleisp.utils.orientation import upright
from cycleisp.utils.output.report.chart import COLOURS, Axis, Series, chart
from cycleisp.utils.output.report.page import beside, heading, paragraph
from cycleisp.utils.output.report.pictures import before_and_after, gain_for_eyes, most_changed, of_planes
from cycleisp.utils.output.report.runs import PICTURED, facts, file_table, in_words, skipped_files
from cycleisp.utils.output.report.statistics import VarianceCurve, histogram, variance_by_intensity, variance_chart
from cycleisp.utils.raw.camera_files import RawImage

_CURVES = 5  # files in a chart of variance
_GREY = 0.18  # a middle grey in linear light
_THIN = 1 << 20  # pixels of a picture that are looked at; larger ones lose rows and columns


@dataclass
class _File:
    """What is known of one file.

    Attributes:
        path: the file.
        space: "srgb" or "raw".
        size: width x height in pixels, in words.
        pixels: how many.
        changed: root mean square of what was changed, on the [0, 1] scale.
        level, origin: shot and read noise of a camera file, and where they come from.
        curve: the variance of what was changed; of the first files alone.
        seconds: the time that it took, with reading and writing.
        outputs: the names of its results.
    """

    path: Path
    space: str
    size: str
    pixels: int
    changed: float
    level: tuple[float, float] | None = None
    origin: str = ""
    curve: VarianceCurve | None = None
    seconds: float = 0.0
    outputs: Sequence[str] = ()


class DenoiseReport:
    """Collects what happens to the files of a run.

    Of the first files it keeps small pictures, of the others numbers alone, so that neither memory
    nor the page grows much with the number of files.

    Args:
        told: what the run has been told, name -> value, for the top of the page.
    """

    def __init__(self, told: Mapping[str, object]) -> None:
        self._told = told
        self._files: list[_File] = []
        self._rows: list[str] = []  # of pictures

    # ------------------------------------------------------------ during the run

    def photo(self, path: Path, noisy: NDArray, denoised: NDArray) -> None:
        """Takes note of a photo: (H, W, 3) before and after, uint8 or uint16."""
        height, width = noisy.shape[:2]
        thin = _thinned(noisy), _thinned(denoised)
        before, after = map(as_float, thin)
        file = _File(path, "srgb", f"{width}x{height}", height * width, _distance(before, after))
        self._files.append(file)
        if len(self._rows) < PICTURED:
            file.curve = variance_by_intensity(after, before)
            place = most_changed(noisy, denoised)
            words = f"{file.size}: changed by {255 * file.changed:.2g} steps of 8 bits"
            self._rows.append(before_and_after(path.name, thin, (noisy[place], denoised[place]), words))

    def camera_file(
        self,
        path: Path,
        image: RawImage,
        planes: tuple[NDArray[np.float32], NDArray[np.float32]],
        level: tuple[ArrayLike, ArrayLike],
        origin: str,
    ) -> None:
        """Takes note of a camera file.

        Args:
            path: the file.
            image: its content, whose colours and orientation count here.
            planes: (4, H, W) packed RAW before and after.
            level: shot and read noise (4,), variances of the planes R, G_r, G_b, B.
            origin: where the level comes from.
        """
        noisy, denoised = planes
        height, width = noisy.shape[1:]
        shot_noise, read_noise = (float(np.mean(np.asarray(part))) for part in level)
        thin = _thinned(noisy.transpose(1, 2, 0)), _thinned(denoised.transpose(1, 2, 0))
        file = _File(path, "raw", f"{2 * width}x{2 * height}", 4 * height * width, _distance(*thin))
        file.level, file.origin = (shot_noise, read_noise), origin
        self._files.append(file)
        if len(self._rows) < PICTURED:
            file.curve = variance_by_intensity(thin[1], thin[0])
            place = most_changed(noisy.transpose(1, 2, 0), denoised.transpose(1, 2, 0))
            gain = gain_for_eyes(denoised)
            before, after, cut_before, cut_after = (
                upright(of_planes(part, image.white_balance, image.cam2rgb, gain), image.orientation)
                for part in (*(one.transpose(2, 0, 1) for one in thin), *(one[(slice(None), *place)] for one in planes))
            )
            words = f"{file.size}, noise from {origin}"
            self._rows.append(before_and_after(path.name, (before, after), (cut_before, cut_after), words))

    def made(self, path: Path, outputs: Sequence[str], seconds: float) -> None:
        """Takes note that the last file is whole: the names of its results, and its time."""
        if self._files and self._files[-1].path == path:
            self._files[-1].seconds, self._files[-1].outputs = seconds, outputs

    # ------------------------------------------------------------ at the end

    def parts(self, summary: Summary) -> list[str]:
        """Returns the parts of the page."""
        files = [file for file in self._files if file.outputs]
        counts = f"{summary.made} denoised, {summary.kept} kept from before, {len(summary.skipped)} skipped"
        parts = [facts({"files": counts, **self._told})]
        if self._rows:
            first = f" The first {PICTURED} files:" if len(files) > PICTURED else ""
            about = "Pictures are scaled down. The cuts show every pixel of the place where most was changed; "
            about += "RAW is shown with a pixel for each 2x2 photosites, brightened for the eye."
            parts += [heading("Before and after"), paragraph(about + first), *self._rows]
        charts = [*_noise_charts(files), _time_chart(files)]
        if any(charts):
            parts += [heading("Noise and time"), beside(*(each for each in charts if each))]
        if files:
            heads = ("file", "pixels", "changed by", "shot noise", "read noise", "from", "time", "results")
            parts += [heading("Files"), paragraph(_MEANING), file_table(heads, [_row(file) for file in files])]
        return parts + skipped_files(summary.skipped)


_MEANING = (
    "Changed by: the root mean square of what the denoiser took away, in steps of 8 bits of a photo, or in per cent of "
    "white of linear RAW. Shot and read noise are variances on the scale from black, 0, to white, 1, means of the four "
    "planes. The time includes reading and writing."
)


def _noise_charts(files: Sequence[_File]) -> list[str]:
    """Returns histograms of the noise, and variance against intensity, for photos and for RAW."""
    photos, raw = ([file for file in files if file.space == space] for space in ("srgb", "raw"))
    levels = [file.level for file in raw if file.level is not None]
    grey = [(shot * _GREY + read) ** 0.5 for shot, read in levels]
    return [
        _curves(photos, "brightness of the denoised photo, display values"),
        histogram(
            "root mean square of the change, in steps of 8 bits",
            [255 * file.changed for file in photos],
            "How much of each photo was taken away as noise.",
        ),
        _curves(raw, "light, 0 black to 1 white"),
        histogram(
            "shot noise, variance per unit of light", [shot for shot, _ in levels], "Shot noise of the RAW files.", True
        ),
        histogram("read noise, variance", [read for _, read in levels], "Read noise of the RAW files.", True),
        histogram("standard deviation at a middle grey", grey, "Noise of a middle grey (0.18) of the RAW files.", True),
    ]


def _curves(files: Sequence[_File], label: str) -> str:
    """Returns the variance of what was taken away; of RAW beside the noise that was assumed."""
    series, lines = [], False
    shown = [file for file in files if file.curve is not None and len(file.curve.intensity)][:_CURVES]
    for file, colour in zip(shown, COLOURS, strict=False):
        assert file.curve is not None
        series.append(file.curve.series(file.path.name, colour))
        if file.level is not None:
            x = np.linspace(0, float(file.curve.intensity.max()), 20)
            series.append(Series("", x, file.level[0] * x + file.level[1], colour=colour))
            lines = True
    caption = "Variance of what was taken away, by brightness."
    if lines:
        caption += " The lines are the noise that the denoiser was told: points above them are texture or more noise."
    return variance_chart(series, label, "variance", caption)


def _time_chart(files: Sequence[_File]) -> str:
    timed = [file for file in files if file.seconds > 0]
    if len(timed) < 2:
        return ""
    x, y = Axis("megapixels", low=0.0), Axis("seconds", low=0.0)
    points = Series("", [file.pixels / 1e6 for file in timed], [file.seconds for file in timed], style="points")
    rate = sum(file.seconds for file in timed) / max(sum(file.pixels for file in timed) / 1e6, 1e-9)
    return chart([points], x, y, f"Time of each file: {rate:.3g} s for a megapixel, with reading and writing.")


def _row(file: _File) -> tuple[object, ...]:
    level = ("", "") if file.level is None else tuple(f"{part:.3g}" for part in file.level)
    changed = f"{255 * file.changed:.2f} steps" if file.space == "srgb" else f"{100 * file.changed:.3g} %"
    outputs = ", ".join(file.outputs)
    return file.path, file.size, changed, *level, file.origin, in_words(file.seconds), outputs


def _thinned(picture: NDArray) -> NDArray:
    """Returns every n-th row and column of a large picture (H, W, C)."""
    step = max(1, round((picture.shape[0] * picture.shape[1] / _THIN) ** 0.5))
    return picture[::step, ::step]


def _distance(before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.square(before - after).mean()))
