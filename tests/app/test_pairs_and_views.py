"""The other tabs without a browser: pairs are those of the script, colours are matched."""

from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from skimage import data

from cycleisp.app.actions.pairs import OWN_LEVEL, PIECE, WHOLE, make_pair, noise_of
from cycleisp.app.actions.views import match_view
from cycleisp.app.actions.workspace import Workspace
from cycleisp.tasks.generation import generate_pairs
from cycleisp.utils.config import GenerationRecipe
from cycleisp.utils.errors import UserError
from tests.support.pictures import random_mosaic, random_picture, write_dng, write_png

NOISE = "shot=0.01,read=0.0005"


def test_the_pair_of_a_whole_photo_is_that_of_the_script(place: Workspace, tmp_path: Path) -> None:
    photo = write_png(tmp_path / "clean.png", random_picture(32, 48))
    pair = make_pair(place, photo, NOISE, seed=3, part=WHOLE)
    pairs = tmp_path / "pairs"
    made = generate_pairs(GenerationRecipe(input=[str(photo)], output=str(pairs), noise=NOISE, seed=3, device="cpu"))
    with ZipFile(pair.archive) as archive:
        for name in made.records[0]["files"].values():
            if name.endswith(".png"):
                assert archive.read(f"clean_pair/{name}") == (pairs / name).read_bytes()
    assert all(picture.shape == (32, 48, 3) for picture in (*pair.srgb, *pair.raw))
    assert (pair.srgb[0] != pair.srgb[1]).any() and (pair.raw[0] != pair.raw[1]).any()
    assert f"<td>{np.sqrt(0.01 * 0.18 + 0.0005):.3g}</td>" in pair.statistics
    assert "<td>0.01</td>" in pair.statistics and "<td>0.0005</td>" in pair.statistics


def test_the_middle_of_a_large_photo_is_taken(place: Workspace, tmp_path: Path) -> None:
    photo = write_png(tmp_path / "tall.png", random_picture(600, 20))
    assert make_pair(place, photo, NOISE, seed=0, part=PIECE).srgb[0].shape == (512, 20, 3)


def test_what_makes_no_pair_is_refused(place: Workspace, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"shot\.dng: is a camera file"):
        make_pair(place, write_dng(tmp_path / "shot.dng", random_mosaic(16, 16)), NOISE, 0)
    photo = write_png(tmp_path / "clean.png", random_picture(8, 8))
    with pytest.raises(UserError, match="seed -1: expected a whole number"):
        make_pair(place, photo, NOISE, -1)
    with pytest.raises(UserError, match="variances on the"):
        make_pair(place, photo, noise_of(OWN_LEVEL, 2, 0), 0)


def test_a_noise_is_a_profile_or_a_level_of_ones_own() -> None:
    assert noise_of("sidd", 0.01, 0.0005) == "sidd"
    assert noise_of(OWN_LEVEL, 0.01, None) == "shot=0.01,read=0"


def test_a_view_takes_the_colours_of_the_other(place: Workspace, tmp_path: Path) -> None:
    scene = np.ascontiguousarray(data.astronaut()[:320:2, :320:2])
    tinted = (scene * np.array([0.9, 0.8, 0.6])).astype(np.uint8)
    paths = [write_png(tmp_path / f"{name}.png", each) for name, each in (("left", scene), ("right", tinted))]
    made = match_view(place, *paths)
    assert made.result.name == "left_matched.png" and not made.warnings
    before, after = (np.abs(each.astype(float) - tinted).mean() for each in (made.before, made.after))
    assert after < before / 4
