"""What frames a calibration lacks, and how to take them, in a paragraph for the user."""

from collections.abc import Callable, Iterable

from cycleisp.utils.raw.calibration.grouping import Sorting

LEAST_DARK, GOOD_DARK = 2, 8  # frames
LEAST_LEVELS, GOOD_LEVELS = 2, 6  # brightnesses of flat frames, with two or more frames each
_BRIGHT = 0.4  # share of the range that the brightest flat frames should reach at least

_TAKE_DARK = (
    f"For dark frames, close the lens cap and the viewfinder, choose manual exposure with the shortest time, and take "
    f"{GOOD_DARK} frames at each ISO setting ({LEAST_DARK} at least)."
)
_TAKE_FLAT = (
    f"For flat frames, put white paper over the lens or point it, out of focus, at an evenly lit wall in daylight, "
    f"choose manual exposure, and take 2 frames or more at each of {GOOD_LEVELS} exposure times or more, from nearly "
    "black to just below white in the histogram, at each ISO setting."
)
_KEEP = (
    "Keep aperture, white balance and RAW format (uncompressed or lossless), switch off noise reduction, and use a "
    "tripod."
)


def what_is_missing(sorting: Sorting) -> str:
    """Returns what a calibration lacks and how to take it; empty where nothing is missing."""
    if not sorting.settings:
        return f"No frame can be used. {_TAKE_FLAT} {_TAKE_DARK} {_KEEP}"
    isos = list(sorting.settings)

    def darks(iso: float) -> int:
        return sorting.count(iso, "dark")

    def levels(iso: float) -> int:
        return sorting.levels(iso)

    lacks: list[str] = []
    few_dark = _where(isos, lambda iso: darks(iso) < LEAST_DARK)
    more_dark = _where(isos, lambda iso: LEAST_DARK <= darks(iso) < GOOD_DARK // 2)
    few_flat = _where(isos, lambda iso: levels(iso) < LEAST_LEVELS and not sorting.levels(iso, "burst"))
    more_flat = _where(isos, lambda iso: iso not in few_flat and levels(iso) < GOOD_LEVELS // 2)
    dim = _where(isos, lambda iso: levels(iso) >= LEAST_LEVELS and sorting.light[iso][1] < _BRIGHT)
    if few_dark:
        lacks.append(f"{_named(few_dark)}: dark frames ({_counts(few_dark, darks)} there)")
    if few_flat:
        words = f"flat frames at two or more brightnesses ({_counts(few_flat, levels)} there)"
        lacks.append(f"{_named(few_flat)}: {words}")
    if more_dark:
        lacks.append(f"{_named(more_dark)}: more dark frames, for smaller errors ({_counts(more_dark, darks)} there)")
    if more_flat:
        words = f"more brightnesses of flat frames, for smaller errors ({_counts(more_flat, levels)} there)"
        lacks.append(f"{_named(more_flat)}: {words}")
    if dim:
        shares = " and ".join(f"{100 * sorting.light[iso][1]:.0f} %" for iso in dim)
        lacks.append(f"{_named(dim)}: brighter flat frames (they reach {shares} of the range)")
    if not lacks:
        return ""
    take_flat = [_TAKE_FLAT] if few_flat or more_flat or dim else []
    take_dark = [_TAKE_DARK] if few_dark or more_dark else []
    return " ".join([f"Missing at {'; at '.join(lacks)}.", *take_flat, *take_dark, _KEEP])


def _where(isos: Iterable[float], test: Callable[[float], bool]) -> list[float]:
    return [iso for iso in isos if test(iso)]


def _named(isos: Iterable[float]) -> str:
    return "ISO " + ", ".join(f"{iso:g}" for iso in isos)


def _counts(isos: Iterable[float], count: Callable[[float], int]) -> str:
    return ", ".join(str(count(iso) or "none") for iso in isos)
