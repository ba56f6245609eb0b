"""Dead photosites of a fabricated camera are found in flat frames, and nothing else is."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.fabricated_camera import FabricatedCamera
from cycleisp.utils.raw.calibration.dead import find_dead_pixels
from cycleisp.utils.raw.calibration.frames import SITES

CAMERA = FabricatedCamera(dead_density=2e-3, height=192, width=160, pattern="GBRG")


def dead_of(camera, levels=(0.02, 0.3, 0.8)):
    flats = camera.flats(levels, 2, flicker=0.01, banded=True)
    groups = [flats[start : start + 2] for start in range(0, len(flats), 2)]
    return find_dead_pixels(groups, dict(zip(SITES, camera.black, strict=True)))


def mask_of(dead, camera):
    mask = np.zeros(camera.dead.shape, bool)
    mask[dead.rows, dead.columns] = True
    return mask


def test_dead_photosites_are_found_where_they_are() -> None:
    """Vignetting, dust, a lamp with bands and noise hide none, and add none."""
    dead = dead_of(CAMERA)
    assert CAMERA.dead.sum() > 40
    assert (mask_of(dead, CAMERA) == CAMERA.dead).all()
    number = int(CAMERA.dead.sum())
    assert dead.density.value == pytest.approx(number / CAMERA.dead.size, rel=1e-9)
    assert abs(dead.density.value - 2e-3) < 4 * dead.density.error
    assert dead.density.error == pytest.approx(number**0.5 / CAMERA.dead.size)


def test_dead_photosites_side_by_side_and_at_corners_are_found() -> None:
    camera = replace(CAMERA, dead_density=0.0)
    places = [(0, 0), (191, 159), (0, 80), (50, 50), (52, 50), (51, 50), (100, 31), (102, 33)]
    camera.dead[tuple(np.transpose(places))] = True
    dead = dead_of(camera)
    assert sorted(places) == list(zip(dead.rows.tolist(), dead.columns.tolist(), strict=True))


def test_a_photosite_that_is_lit_in_one_bright_frame_is_not_dead() -> None:
    camera = replace(CAMERA, dead_density=0.0)
    flats = camera.flats((0.3, 0.5), 2)
    flats[0].mosaic[20, 20] = flats[1].mosaic[20, 20] = camera.black[0]  # in two frames of one exposure
    flats[2].mosaic[40, 40] = camera.black[0]  # in one frame alone
    dead = find_dead_pixels([flats[:2], flats[2:]], dict(zip(SITES, camera.black, strict=True)))
    assert len(dead.rows) == 0
    assert dead.density.value == 0
    assert dead.density.error == pytest.approx(1 / camera.dead.size)  # one could have been there


def test_shadows_of_dust_are_not_dead() -> None:
    camera = replace(CAMERA, dead_density=0.0)
    shade = np.ones((192, 160))
    shade[60:66, 60:66] = 0.2  # three photosites of each colour wide, with hard edges
    black = dict(zip(SITES, camera.black, strict=True))
    frames = [camera.frame(camera.expose(4000 * shade), "flat", "flat") for _ in range(2)]
    assert len(find_dead_pixels([frames], black).rows) == 0


def test_frames_too_dark_tell_nothing() -> None:
    """At 15 DN of light, half of it is within eight deviations (5 DN of read noise alone)."""
    assert dead_of(CAMERA, levels=(15 / CAMERA.white,)) is None
