"""Frames are told apart by their content, and those that spoil a calibration are named."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cycleisp.utils.raw.calibration.frames import tile_of
from cycleisp.utils.raw.calibration.grouping import SATURATED, Sorting, sort_frames
from cycleisp.utils.raw.calibration.looks import Header, Look, look_at
from cycleisp.utils.raw.calibration.missing import what_is_missing
from tests.support.calibration_frames import CAMERA, HEIGHT, WIDTH, FakeCamera, scene, vignetting

BRIGHT = 6000.0  # DN
EVEN = BRIGHT * vignetting()


def look(name: str, mosaic: NDArray[np.uint16], exposure: float = 0.1, iso: float = 800.0, **header: object) -> Look:
    """Returns the look of a mosaic of the fabricated camera."""
    black, white = float(CAMERA.black), float(CAMERA.white)
    about = Header(
        Path(name), "Camera", mosaic.shape, tile_of("RGGB"), (black, black, black, black), white, iso, exposure
    )
    return look_at(replace(about, **header), mosaic)  # type: ignore[arg-type]


def flats(count: int = 2, light: NDArray | float = EVEN, seed: int = 0, exposure: float = 0.1) -> list[Look]:
    return [look(f"flat{seed + each}", CAMERA.frame(light, seed + each), exposure) for each in range(count)]


def darks(count: int = 2, seed: int = 100, camera: FakeCamera = CAMERA) -> list[Look]:
    return [look(f"dark{seed + each}", camera.frame(0.0, seed + each), 0.001) for each in range(count)]


def kinds(sorting: Sorting) -> dict[str, str]:
    return {each.header.path.name: each.kind for placed in sorting.settings.values() for each in placed}


def reasons(sorting: Sorting) -> dict[str, str]:
    return {path.name: words for path, words in sorting.unusable}


def test_frames_are_told_apart_by_content() -> None:
    bursts = [look(f"burst{seed}", CAMERA.frame(scene(), seed), 0.1) for seed in (20, 21)]
    sorting = sort_frames([*bursts, *darks(), *flats()])
    assert not sorting.unusable
    assert kinds(sorting) == {
        name: kind for kind in ("burst", "dark", "flat") for name in kinds(sorting) if name.startswith(kind)
    }
    assert {each.group for each in sorting.settings[800.0]} == {"burst 1, 1/10 s", "dark 1, 1/1000 s", "flat 1, 1/10 s"}


def test_little_light_is_no_dark_frame() -> None:
    """Light of a share of the noise's deviation would make read noise too large."""
    dim = [look(f"dim{seed}", CAMERA.frame(2.0, seed), 0.01) for seed in (20, 21)]
    sorting = sort_frames([*darks(), *dim])
    assert {name for name, kind in kinds(sorting).items() if kind == "dark"} == {"dark100", "dark101"}
    assert {name for name, kind in kinds(sorting).items() if kind == "flat"} == {"dim20", "dim21"}


def test_dust_and_row_noise_do_not_make_a_scene() -> None:
    dust = EVEN.copy()
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    for row, column in ((40, 50), (90, 120)):
        dust *= 1 - 0.06 * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 72)
    camera = replace(CAMERA, row=3.0)
    frames = [look(f"a{seed}", camera.frame(dust, seed)) for seed in (1, 2)]
    frames += [look(f"b{seed}", camera.frame(0.002 * dust, seed), 0.001) for seed in (3, 4)]
    sorting = sort_frames(frames)
    assert kinds(sorting) == dict.fromkeys(("a1", "a2", "b3", "b4"), "flat") and not sorting.unusable


def test_settings_and_exposures_are_groups_of_their_own() -> None:
    other = [look(f"other{seed}", CAMERA.frame(EVEN, seed), iso=1600.0) for seed in (60, 61)]
    sorting = sort_frames([*flats(2, seed=1), *flats(3, 0.5 * EVEN, 30, exposure=0.05), *other])
    assert [sorting.count(iso, "flat") for iso in (800.0, 1600.0)] == [5, 2]
    assert [sorting.levels(iso) for iso in (800.0, 1600.0)] == [2, 1]
    low, high = sorting.light[800.0]
    assert 0.1 < low < 0.2 < high < 0.4


def test_levels_of_one_exposure_are_told_by_their_light() -> None:
    """Whoever dims the lamp leaves the exposure as it is."""
    sorting = sort_frames([*flats(2), *flats(2, 0.5 * EVEN, 30), *flats(2, 0.9 * EVEN, 50)])
    assert not sorting.unusable and sorting.levels(800.0) == 3


@pytest.mark.parametrize(("factor", "usable"), [(1.01, True), (0.96, True), (1.1, False), (0.8, False)])
def test_a_little_flicker_is_no_harm_and_much_is_named(factor: float, usable: bool) -> None:
    sorting = sort_frames([*flats(2), look("odd", CAMERA.frame(factor * EVEN, 9))])
    if usable:
        assert kinds(sorting)["odd"] == "flat" and sorting.levels(800.0) == 1
    else:
        assert "the lamp flickers too strongly" in reasons(sorting)["odd"] and len(sorting.unusable) == 1


@pytest.mark.parametrize(("amplitude", "usable"), [(0.01, True), (0.1, False)])
def test_strong_bands_of_flicker_are_named(amplitude: float, usable: bool) -> None:
    bands = 1 + amplitude * np.sin(np.linspace(0, 20, HEIGHT))[:, None]
    sorting = sort_frames([*flats(2), look("odd", CAMERA.frame(bands * EVEN, 9))])
    if usable:
        assert kinds(sorting)["odd"] == "flat" and not sorting.unusable
    else:
        assert "by bands of 5" in reasons(sorting)["odd"] and len(kinds(sorting)) == 2


@pytest.mark.parametrize("shift", [1, 2, 5])
def test_a_burst_that_moved_is_named(shift: int) -> None:
    still = [look(f"b{seed}", CAMERA.frame(scene(), seed)) for seed in (1, 2, 3)]
    sorting = sort_frames([*still, look("odd", CAMERA.frame(np.roll(scene(), shift, 1), 4))])
    assert list(reasons(sorting)) == ["odd"] and "has moved" in reasons(sorting)["odd"]


def test_somebody_who_walks_through_a_corner_is_seen() -> None:
    shape = (608, 800)  # so large that the middle does not show the corner
    light = scene(shape=shape)
    with_somebody = light.copy()
    with_somebody[:40, :48] *= 0.6
    frames = [look(f"b{seed}", CAMERA.frame(light, seed, shape)) for seed in (1, 2)]
    sorting = sort_frames([*frames, look("odd", CAMERA.frame(with_somebody, 3, shape))])
    assert list(reasons(sorting)) == ["odd"] and "has moved" in reasons(sorting)["odd"]


def test_two_scenes_of_one_exposure_are_two_groups() -> None:
    frames = [look(f"b{seed}", CAMERA.frame(scene(5 + seed // 10), seed)) for seed in (1, 2, 11, 12)]
    sorting = sort_frames(frames)
    assert not sorting.unusable and sorting.levels(800.0, "burst") == 2


def test_smoothed_frames_are_named() -> None:
    def smooth(seed: int) -> NDArray[np.uint16]:
        mosaic = CAMERA.frame(EVEN, seed).astype(np.float64)
        mosaic[:, 2:] = 0.6 * mosaic[:, 2:] + 0.4 * mosaic[:, :-2]
        return mosaic.round().astype(np.uint16)

    sorting = sort_frames([look(f"s{seed}", smooth(seed)) for seed in (1, 2)])
    assert set(reasons(sorting)) == {"s1", "s2"} and not sorting.settings
    assert all("smoothed or compressed" in words for words in reasons(sorting).values())


def test_steps_that_grow_with_light_are_lossy() -> None:
    coarse = [look(f"c{seed}", CAMERA.frame(EVEN, seed) // 8 * 8) for seed in (1, 2)]
    sorting = sort_frames([*coarse, *darks(2), *flats(2, 0.1 * EVEN, 40, exposure=0.01)])
    assert set(reasons(sorting)) == {"c1", "c2"}
    assert "compressed with loss (its values are about 8 DN apart" in reasons(sorting)["c1"]
    everywhere = [look(f"e{seed}", CAMERA.frame(light, seed) // 4 * 4) for seed, light in enumerate((EVEN, EVEN, 0, 0))]
    assert "loss" not in str(reasons(sort_frames(everywhere)))  # 12 bits in a file of 14
    stated = look("s", CAMERA.frame(EVEN, 3), lossy="lossy JPEG")
    assert "compressed with loss (lossy JPEG)" in reasons(sort_frames([*flats(), stated]))["s"]


def test_clipped_frames_tell_saturation_alone() -> None:
    clipped = [look(f"c{seed}", CAMERA.frame(1e5, seed), 1.0) for seed in (1, 2)]
    sorting = sort_frames([*clipped, *flats()])
    assert {name: "is clipped: 100 %" in words for name, words in reasons(sorting).items()} == {"c1": True, "c2": True}
    (alone,) = (each for each in sorting.settings[800.0] if each.group == SATURATED)
    assert alone.header.path.name in ("c1", "c2") and sorting.count(800.0, "flat") == 2


def test_other_cameras_sizes_and_copies_are_named() -> None:
    first = flats(3)
    frames = [
        *first,
        look("camera", CAMERA.frame(EVEN, 50), camera="Another"),
        look("size", CAMERA.frame(BRIGHT, 51, (HEIGHT, WIDTH - 32))),
        replace(first[1], header=replace(first[1].header, path=Path("copy"))),
    ]
    found = reasons(sort_frames(frames))
    assert "was taken by Another, most frames by Camera" in found["camera"]
    assert f"has {WIDTH - 32}x{HEIGHT} photosites, most frames {WIDTH}x{HEIGHT}" in found["size"]
    assert "has the same values as flat1: it is a copy" in found["copy"]
    assert len(found) == 3


def test_a_single_frame_is_named_with_what_to_do() -> None:
    sorting = sort_frames([*flats(1), *darks(1)])
    assert reasons(sorting) == {
        "flat0": "is the only flat frame of its brightness; take two or more",
        "dark100": "is the only dark frame of its exposure; take two or more",
    }


def test_nothing_at_all_is_no_error() -> None:
    sorting = sort_frames([])
    assert not sorting.settings and "No frame can be used" in what_is_missing(sorting)


def test_what_is_missing_is_said_for_each_setting() -> None:
    other = [look(f"other{seed}", CAMERA.frame(0.0, seed), 0.001, iso=1600.0) for seed in range(60, 68)]
    words = what_is_missing(sort_frames([*flats(), *other]))
    assert "\n" not in words
    assert "at ISO 800: dark frames (none there)" in words
    assert "at ISO 800, 1600: flat frames at two or more brightnesses (1, none there)" in words
    assert "close the lens cap" in words and "white paper" in words


def test_enough_frames_lack_nothing() -> None:
    shares = (0.1, 0.3, 0.6, 1.0)
    levels = [each for share in shares for each in flats(2, share * 2 * EVEN, round(50 * share), share)]
    assert what_is_missing(sort_frames([*levels, *darks(8)])) == ""
