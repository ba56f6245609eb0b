"""All that the frames of one ISO setting tell about a camera's noise."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from cycleisp.utils.raw.calibration.dark.dark_noise import DarkNoise, measure_dark_noise
from cycleisp.utils.raw.calibration.dark.defects import HotPixels, HotThreshold, find_hot_pixels, hot_threshold
from cycleisp.utils.raw.calibration.dark.latent import HiddenNoiseError
from cycleisp.utils.raw.calibration.dark.tails import TailFit
from cycleisp.utils.raw.calibration.dead import DeadPixels, find_dead_pixels
from cycleisp.utils.raw.calibration.estimate import Estimate, Sites, four, weighted_mean
from cycleisp.utils.raw.calibration.frames import SITES, Frame, Site, groups_of
from cycleisp.utils.raw.calibration.levels import (
    Black,
    Counts,
    add_counts,
    black_end,
    count_levels,
    mean_level,
    quantization_step,
    saturation,
)
from cycleisp.utils.raw.calibration.photon_transfer import NoLineError, PhotonTransfer, photon_transfer
from cycleisp.utils.raw.calibration.scene_noise import Limits, measure_blocks
from cycleisp.utils.raw.calibration.strips import count_strips

Progress = Callable[[float], object]


@dataclass(frozen=True)
class SettingEstimate:
    """The noise of a camera at one ISO setting.

    Values are in DN, noises are variances in DN^2, and what is given per site is that of R, G_r,
    G_b and B. What the frames cannot tell is None, and `reasons` says why, by the field's name.

    Attributes:
        iso: the setting.
        white, nominal_black: saturation and black levels as the files state them.
        counts: frames by kind: "flat", "dark" and "burst".
        black: black levels.
        black_clipped: whether the camera raises values below black to black.
        saturation: the levels at which photosites saturate.
        gain: DN per electron.
        read_noise: what every photosite adds by itself, without rounding.
        row_noise, column_noise: of the offsets that the photosites of a row or a column share.
        fixed_pattern: of the offsets that photosites have in every frame.
        tukey_lambda: shape of read noise; about 0.14 for a Gaussian, less for heavier tails.
        tails: the fits of the shape, for charts.
        quantization_step: distance of two levels.
        hot_pixels: which photosites are hot.
        dead_pixels: which photosites see no light.
        transfer: variance against brightness, for charts.
        reasons: why a field is None.
    """

    iso: float
    white: float
    nominal_black: tuple[float, float, float, float]
    counts: Mapping[str, int]
    black: Sites | None = None
    black_clipped: bool = False
    saturation: Sites | None = None
    gain: Sites | None = None
    read_noise: Sites | None = None
    row_noise: Sites | None = None
    column_noise: Sites | None = None
    fixed_pattern: Sites | None = None
    tukey_lambda: Estimate | None = None
    tails: tuple[TailFit, ...] | None = None
    quantization_step: Estimate | None = None
    hot_pixels: HotPixels | None = None
    dead_pixels: DeadPixels | None = None
    transfer: tuple[PhotonTransfer, ...] | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)


def calibrate_setting(frames: Sequence[Frame], progress: Progress = lambda share: None) -> SettingEstimate:
    """Estimates a camera's noise at one ISO setting.

    Groups of one frame tell saturation and the rounding step alone: all noise comes from what the
    frames of a group do not share. Frames are read three times at most, strip by strip.

    Args:
        frames: of one ISO setting and one camera, of one size.
        progress: called with the share that is done, from 0 to 1.
    """
    setting = _Setting(frames, progress)
    setting.measure_levels()
    setting.measure_dark_frames()
    setting.measure_light()
    setting.find_dead_pixels()
    return setting.result()


class _Setting:
    """The estimation in its steps, each of which uses what the ones before have found."""

    def __init__(self, frames: Sequence[Frame], progress: Progress) -> None:
        if not frames:
            raise ValueError("no frames to calibrate; give two or more dark frames, and pairs of flat frames")
        self.frames = frames
        self.darks = groups_of(frames, ("dark",))
        self.lit = groups_of(frames, ("flat", "burst"))
        self.flats = groups_of(frames, ("flat",))
        self.reasons: dict[str, str] = {}
        self.advance = _Steps(self._number_of_steps(), progress)
        self.found: dict[str, object] = {}
        self.dark: dict[Site, DarkNoise] = {}

    def _number_of_steps(self) -> int:
        passes = [(group, 3) for group in self.darks] + [(group, 1) for group in self.lit + self.flats]
        return len(self.frames) + len(SITES) * sum(count_strips(group, "R") * times for group, times in passes)

    # ------------------------------------------------------------ levels

    def measure_levels(self) -> None:
        """Counts digital numbers, which tell the rounding step, saturation, and clipped black."""
        none = np.zeros(1, np.int64)
        self.levels: dict[Site, Counts] = dict.fromkeys(SITES, none)
        self.dark_levels: dict[Site, Counts] = dict.fromkeys(SITES, none)
        self.means: dict[int, dict[Site, float]] = {}
        paired = {id(frame) for group in self.darks for frame in group}
        for frame in self.frames:
            for site in SITES:
                counts = count_levels(frame, site)
                self.means.setdefault(id(frame), {})[site] = mean_level(counts)
                self.levels[site] = add_counts(self.levels[site], counts)
                if id(frame) in paired:
                    self.dark_levels[site] = add_counts(self.dark_levels[site], counts)
            self.advance()
        steps = [step for step in (quantization_step(self.levels[site]) for site in SITES) if step]
        if steps:
            self.found["quantization_step"] = weighted_mean(steps)
        else:
            self.reasons["quantization_step"] = "the frames hold fewer than three different values"
        self.step = weighted_mean(steps).value if steps else 1.0
        self.white = self.frames[0].white
        tops = {site: saturation(self.levels[site], self.white, self.step) for site in SITES}
        self.tops = {site: self.white if top is None else top.value for site, top in tops.items()}
        known = [top for top in tops.values() if top]
        if len(known) == len(SITES):
            self.found["saturation"] = four(known)
        else:
            lacking = ", ".join(site for site, top in tops.items() if top is None)
            self.reasons["saturation"] = f"no frame saturates at {lacking}; the nominal white level is used"

    # ------------------------------------------------------------ dark frames

    def measure_dark_frames(self) -> None:
        """Measures all that is there without light."""
        names = ("black", "row_noise", "column_noise", "fixed_pattern", "tukey_lambda", "tails", "hot_pixels")
        if not self.darks:
            self.blacks = {site: black_end(self.levels[site], self.step) for site in SITES}
            self._unknown((*names, "read_noise"), "no two dark frames of one exposure; take them with the lens closed")
            return
        thresholds = {site: hot_threshold(self.dark_levels[site], self.step) for site in SITES}
        self.blacks = {
            site: black_end(self.dark_levels[site], self.step, hot.black - hot.distance)
            for site, hot in thresholds.items()
        }
        try:
            self._measure_dark_sites(thresholds)
        except HiddenNoiseError as error:
            self._unknown((*names, "read_noise"), str(error))

    def _measure_dark_sites(self, thresholds: dict[Site, HotThreshold]) -> None:
        largest = self.darks[0]
        each: dict[Site, list[DarkNoise]] = {
            site: [
                measure_dark_noise(group, site, self.blacks[site], self.step, thresholds[site], self.advance)
                for group in self.darks
            ]
            for site in SITES
        }
        parts = {
            name: four(weighted_mean([getattr(noise.parts, part) for noise in each[site]]) for site in SITES)
            for name, part in (
                ("black", "mean"),
                ("read_noise", "pixel"),
                ("row_noise", "row"),
                ("column_noise", "column"),
            )
        }
        self.found |= parts
        self.found["fixed_pattern"] = four(each[site][0].parts.fixed for site in SITES)
        self.found["tails"] = tuple(each[site][0].tail for site in SITES)
        self._measure_shape([noise.tail for site in SITES for noise in each[site]])
        self.found["hot_pixels"] = find_hot_pixels(largest, thresholds)
        self.dark = {site: each[site][0] for site in SITES}

    def _measure_shape(self, tails: Sequence[TailFit]) -> None:
        """Combines the shapes of all colours."""
        shapes = [tail.families["tukey"].shape for tail in tails if "tukey" in tail.families]
        known = [shape for shape in shapes if shape]
        if known:
            self.found["tukey_lambda"] = weighted_mean(known)
        else:
            self._unknown(("tukey_lambda",), "read noise spans too few steps to show its shape; take it as Gaussian")

    # ------------------------------------------------------------ light

    def measure_light(self) -> None:
        """Measures the gain, and read noise where no dark frames tell it."""
        if not self.lit:
            self._unknown(("gain", "transfer"), "no two flat frames of one exposure, and no burst of a scene")
            return
        try:
            lines = tuple(self._transfer(site) for site in SITES)
        except NoLineError as error:
            self._unknown(("gain", "transfer"), str(error))
            return
        self.found["transfer"] = lines
        self.found["gain"] = four(line.gain for line in lines)
        if not self.dark:
            rounding = Estimate(-(self.step**2) / 12, 0.0)
            self.found["read_noise"] = four(line.offset.plus(rounding) for line in lines)
            self.reasons.pop("read_noise", None)

    def _transfer(self, site: Site) -> PhotonTransfer:
        index = SITES.index(site)
        black = self._black(site)
        end: Black = self.blacks[site]
        limits = Limits(end.lowest - black if end.clipped else -np.inf, self.tops[site] - black)
        groups = [
            measure_blocks(group, site, black, [self.means[id(frame)][site] for frame in group], limits, self.advance)
            for group in self.lit
        ]
        if not self.dark:
            return photon_transfer(groups, None)
        read, column = (self.found[name][index] for name in ("read_noise", "column_noise"))  # type: ignore[index]
        return photon_transfer(groups, read.plus(column).plus(Estimate(self.step**2 / 12, 0.0)))

    def _black(self, site: Site) -> float:
        if self.dark:
            return self.found["black"][SITES.index(site)].value  # type: ignore[index]
        return self.frames[0].black[SITES.index(site)]

    def find_dead_pixels(self) -> None:
        """Finds the photosites that stay dark in bright flat frames."""
        blacks = {site: self._black(site) for site in SITES}
        found = find_dead_pixels(self.flats, blacks, self.advance) if self.flats else None
        if found is None:
            self._unknown(("dead_pixels",), "no two flat frames of one exposure are bright enough")
        else:
            self.found["dead_pixels"] = found

    # ------------------------------------------------------------ result

    def _unknown(self, names: Sequence[str], reason: str) -> None:
        self.reasons |= dict.fromkeys(names, reason)

    def result(self) -> SettingEstimate:
        """Returns what was found."""
        self.advance.finish()
        first = self.frames[0]
        kinds = Counter(frame.kind for frame in self.frames)
        counts = {kind: kinds[kind] for kind in ("flat", "dark", "burst")}
        clipped = any(end.clipped for end in self.blacks.values())
        empty = SettingEstimate(first.iso, self.white, first.black, counts, black_clipped=clipped)
        return replace(empty, **self.found, reasons=self.reasons)  # type: ignore[arg-type]


class _Steps:
    """Tells how much of a known number of steps is done."""

    def __init__(self, number: int, progress: Progress) -> None:
        self.number, self.progress, self.done = max(number, 1), progress, 0

    def __call__(self) -> None:
        self.done += 1
        self.progress(min(self.done / self.number, 1.0))

    def finish(self) -> None:
        self.progress(1.0)
