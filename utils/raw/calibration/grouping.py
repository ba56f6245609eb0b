"""Frames sorted for a calibration: by ISO, by what they show, and by which show the same light.

What cannot be used is named with the reason.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cycleisp.utils.raw.calibration.agreement import disagreement
from cycleisp.utils.raw.calibration.contents import dark_frames, is_evenly_lit
from cycleisp.utils.raw.calibration.frames import Kind
from cycleisp.utils.raw.calibration.looks import Header, Look

SATURATED = "saturated"  # the name of the group whose one frame shows saturation, and nothing else
_CLIPPED = 0.2  # share of saturated photosites of every site, from which a frame is of no use
_COARSER = 1.5  # ratio of the steps between values, from which those of brighter frames are lossy
_SAME_LEVEL = 0.06  # by which flat frames of one level may differ, as lamps flicker by a few percent
_FLICKER = 0.3  # by which they differ at most where it is flicker, and not another level
_SMALL = 10.0  # DN, below which a ratio of levels says nothing
_ALONE = {"flat": "flat frame of its brightness", "dark": "dark frame of its exposure", "burst": "frame of its scene"}


@dataclass(frozen=True, eq=False)
class Placed:
    """A frame that can be used: what its file says, what it shows, and its group."""

    header: Header
    kind: Kind
    group: str


@dataclass
class Sorting:
    """All frames of a calibration.

    Attributes:
        settings: the usable frames of each ISO setting, in ascending order.
        unusable: the others, each with the reason.
        light: of each ISO setting with flat frames, the least and the most light of them, as shares
            of the range from black to white.
    """

    settings: dict[float, list[Placed]] = field(default_factory=dict)
    unusable: list[tuple[Path, str]] = field(default_factory=list)
    light: dict[float, tuple[float, float]] = field(default_factory=dict)

    def count(self, iso: float, kind: Kind) -> int:
        """Returns how many frames of a kind there are at an ISO setting."""
        return sum(each.kind == kind and each.group != SATURATED for each in self.settings.get(iso, ()))

    def levels(self, iso: float, kind: Kind = "flat") -> int:
        """Returns how many groups of a kind there are at an ISO setting."""
        frames = self.settings.get(iso, ())
        return len({each.group for each in frames if each.kind == kind and each.group != SATURATED})


def sort_frames(looks: Iterable[Look]) -> Sorting:
    """Sorts frames, of one camera at any number of ISO settings."""
    sorting = Sorting()
    looks = _of_one_camera(list(looks), sorting)
    by_iso: defaultdict[float, list[Look]] = defaultdict(list)
    for look in looks:
        by_iso[look.header.iso].append(look)
    for iso in sorted(by_iso):
        placed = list(_sort_setting(by_iso[iso], sorting))
        if placed:
            sorting.settings[iso] = placed
    sorting.unusable.sort()
    return sorting


def _of_one_camera(looks: list[Look], sorting: Sorting) -> list[Look]:
    """Returns the frames of the camera and the size that most of them have."""
    for what, words in (
        (lambda header: header.camera, "was taken by {}, most frames by {}; calibrate one camera at a time"),
        (
            lambda header: (header.shape[1], header.shape[0], header.sites),
            "has {0[0]}x{0[1]} photosites, most frames {1[0]}x{1[1]}; leave crop modes as they are",
        ),
    ):
        counts = Counter(what(look.header) for look in looks)
        most = max(counts, key=lambda key: counts[key], default=None)
        for look in looks:
            if (found := what(look.header)) != most:
                sorting.unusable.append((look.header.path, words.format(found or "an unknown camera", most)))
        looks = [look for look in looks if what(look.header) == most]
    return looks


def _sort_setting(looks: Sequence[Look], sorting: Sorting) -> Iterable[Placed]:
    """Yields the usable frames of one ISO setting."""
    looks = _without_lossy(_without_copies(looks, sorting), sorting)
    looks, saturated = _without_clipped(looks, sorting)
    by_kind: defaultdict[Kind, list[Look]] = defaultdict(list)
    for look, is_dark in zip(looks, dark_frames(looks), strict=True):
        by_kind["dark" if is_dark else "flat" if is_evenly_lit(look) else "burst"].append(look)
    if by_kind["flat"]:
        shares = [look.signal / (look.header.white - look.black) for look in by_kind["flat"]]
        sorting.light[looks[0].header.iso] = float(np.min(shares)), float(np.max(shares))
    for kind, members in by_kind.items():
        by_exposure: defaultdict[tuple[float, str], list[Look]] = defaultdict(list)
        for look in members:
            # one folder may hold flat and dark frames of all exposures, but not two scenes' bursts
            place = str(look.header.path.parent) if kind == "burst" else ""
            by_exposure[look.header.exposure, place].append(look)
        number = 0
        for (exposure, _), equal in sorted(by_exposure.items()):
            for level in _levels(equal, kind, sorting):
                for group in _groups(level, kind, sorting):
                    number += 1
                    yield from (Placed(look.header, kind, f"{kind} {number}, {_seconds(exposure)}") for look in group)
    if saturated is not None:
        yield Placed(saturated.header, "flat", SATURATED)


def _without_copies(looks: Sequence[Look], sorting: Sorting) -> list[Look]:
    """Returns one of each set of frames with equal values."""
    first: dict[bytes, Path] = {}
    kept = []
    for look in looks:
        path = first.setdefault(look.centre.tobytes(), look.header.path)
        if path == look.header.path or (look.centre == look.centre[0, 0, 0]).all():  # black or white all over
            kept.append(look)
        else:
            sorting.unusable.append((look.header.path, f"has the same values as {path.name}: it is a copy"))
    return kept


def _without_lossy(looks: Sequence[Look], sorting: Sorting) -> list[Look]:
    """Returns the frames that keep all values.

    Lossy coding makes steps wider where there is more light, as a square root does.
    """
    finest = min((look.step for look in looks if look.step), default=0.0)
    kept = []
    for look in looks:
        words = look.header.lossy
        if not words and finest and look.step > _COARSER * finest:
            words = f"its values are about {look.step:.0f} DN apart, those of other frames {finest:.0f} DN"
        if words:
            sorting.unusable.append((look.header.path, f"is compressed with loss ({words}), which changes its noise"))
        else:
            kept.append(look)
    return kept


def _without_clipped(looks: Sequence[Look], sorting: Sorting) -> tuple[list[Look], Look | None]:
    """Returns the frames that have light below saturation, and the one that has least of it."""
    clipped = [look for look in looks if min(look.clipped) >= _CLIPPED]
    for look in clipped:
        share = 100 * float(np.mean(look.clipped))
        words = f"{share:.0f} % of its values are saturated; expose it less"
        sorting.unusable.append((look.header.path, f"is clipped: {words}"))
    most = max(clipped, key=lambda look: min(look.clipped), default=None)
    return [look for look in looks if min(look.clipped) < _CLIPPED], most


def _levels(looks: Sequence[Look], kind: Kind, sorting: Sorting) -> Iterable[list[Look]]:
    """Yields the flat frames of one exposure by their brightness; others as they are.

    Two frames of one level are as bright as each other within 6 %. One that is alone, but within
    30 % of another, has met the lamp at another moment.
    """
    if kind != "flat":
        yield list(looks)
        return
    ordered = sorted(looks, key=_brightness)
    levels: list[list[Look]] = []
    for look in ordered:
        # compared with the first of its level, so that a level is no wider than the step
        if levels and _brightness(look) <= _brightness(levels[-1][0]) * (1 + _SAME_LEVEL) + _SMALL * _SAME_LEVEL:
            levels[-1].append(look)
        else:
            levels.append([look])
    for level in levels:
        light = _brightness(level[0])
        others = [_brightness(look) for look in ordered if look is not level[0]]
        nearest = min((abs(light / other - 1) for other in others if other > _SMALL), default=np.inf)
        if len(level) > 1 or light <= _SMALL or nearest > _FLICKER:
            yield level
        else:
            words = f"is {100 * nearest:.0f} % brighter or darker than the other frames of its exposure"
            advice = "use daylight, a lamp on direct current, or exposures longer than 1/10 s"
            sorting.unusable.append((level[0].header.path, f"{words}: the lamp flickers too strongly; {advice}"))


def _groups(looks: Sequence[Look], kind: Kind, sorting: Sorting) -> Iterable[list[Look]]:
    """Yields groups of two or more frames that differ by noise alone."""
    waiting, references, odd = list(looks), list[Look](), list[Look]()
    while waiting:
        first, *others = waiting
        reasons = {id(other): disagreement(first, other, kind) for other in others}
        group = [first, *(other for other in others if not reasons[id(other)])]
        waiting = [other for other in others if reasons[id(other)]]
        if len(group) > 1:
            references.append(first)
            yield group
        else:
            odd.append(first)
    for look in odd:
        # compared with a frame that agrees with others, it is clear which of the two is at fault
        other = next((each for each in (*references, *odd) if each is not look), None)
        reason = "" if other is None else disagreement(other, look, kind)
        sorting.unusable.append((look.header.path, reason or f"is the only {_ALONE[kind]}; take two or more"))


def _brightness(look: Look) -> float:
    """Returns the light of a frame in DN, mean of the sites."""
    return float(look.signal.mean())


def _seconds(exposure: float) -> str:
    """Writes an exposure time as photographers do."""
    if exposure <= 0:
        return "exposure unknown"
    return f"1/{1 / exposure:.0f} s" if exposure < 0.3 else f"{exposure:g} s"
