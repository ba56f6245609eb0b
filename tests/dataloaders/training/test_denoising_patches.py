"""Patches for the denoisers: patch n is a function of (seed, n), within the spans of the recipe."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, default_collate

from cycleisp.dataloaders.photo_store import PhotoStore
from cycleisp.dataloaders.photos import PhotoError
from cycleisp.dataloaders.training.denoising_data import open_denoising_data
from cycleisp.dataloaders.training.denoising_patches import SRGB_MARGIN, DenoisingPatches, Patch
from cycleisp.dataloaders.training.stored_pairs import StoredPairs, ValidationPairs
from cycleisp.utils.color import colorimetry
from cycleisp.utils.config import DenoiserData, DenoiserRecipe, Synthesis
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import Space
from cycleisp.utils.raw.noise import PROFILES, NoiseError
from tests.support.pairs import store_srgb, write_pair
from tests.support.pictures import random_picture, write_png

EVERYTHING = Synthesis(
    noise=["dnd", "sidd"],
    learned_share=0.5,
    demosaicking=(0.3, 0.9),
    color_matrix=(0.2, 0.8),
    contrast=(0.1, 0.7),
    binned_share=0.25,
    noise_reduction_share=0.5,
    luma_blur=(0.2, 0.9),
    chroma_blur=(0.5, 2.0),
    sharpening=(1.0, 2.5),
    chroma_noise=(0.4, 1.0),
    jpeg_share=0.5,
    jpeg_quality=(80, 98),
)
AWGN = Synthesis(noise=["awgn"], awgn_sigma=(5, 50))


@pytest.fixture
def photos(tmp_path: Path) -> PhotoStore:
    for seed in range(3):
        write_png(tmp_path / "photos" / f"{seed}.png", random_picture(40, 52, seed=seed))
    return PhotoStore([tmp_path / "photos"])


def flat_photos(folder: Path, level: int = 128) -> PhotoStore:
    return PhotoStore([write_png(folder / "flat.png", np.full((40, 40, 3), level, np.uint8))])


def stream(
    photos: PhotoStore, synthesis: Synthesis = EVERYTHING, seed: int = 0, length: int = 400, **data: Any
) -> DenoisingPatches:
    return DenoisingPatches(photos, DenoiserData(**{"patch_size": 16, **data}), synthesis, seed, length)


def same(first: Patch, second: Patch) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


# ---------------------------------------------------------------- one number, one patch


@pytest.mark.parametrize("synthesis", [EVERYTHING, AWGN], ids=["cameras", "awgn"])
def test_a_number_gives_the_same_patch_at_any_time(photos: PhotoStore, synthesis: Synthesis) -> None:
    spans = {"scale": (0.5, 2.0), "brightness": (0.5, 1.5)}
    forwards = [stream(photos, synthesis, seed=3, **spans)[number] for number in range(10)]
    one = stream(photos, synthesis, seed=3, length=10, **spans)
    backwards = [one[number] for number in reversed(range(10))][::-1]
    assert all(map(same, forwards, backwards))


def test_seed_and_number_matter(photos: PhotoStore) -> None:
    patches = [stream(photos, seed=seed)[number] for seed in (0, 1) for number in range(8)]
    assert len({patch["photo"].numpy().tobytes() for patch in patches}) == 16
    assert len({int(patch["seed"]) for patch in patches}) == 16
    assert len({float(patch["shot_noise"]) for patch in patches}) == 16


def test_the_global_random_state_is_neither_used_nor_moved(photos: PhotoStore) -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]
    first = stream(photos)[0]
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # type: ignore[index]
    torch.rand(3)
    assert same(stream(photos)[0], first)


def test_streams_of_one_seed_show_the_same_photos_whatever_the_synthesis(photos: PhotoStore) -> None:
    spans = {"scale": (0.5, 2.0), "brightness": (0.5, 1.5)}
    synthetic, gaussian = stream(photos, **spans), stream(photos, AWGN, **spans)
    plain = stream(photos, Synthesis(), **spans)
    for number in range(20):
        assert torch.equal(synthetic[number]["photo"], gaussian[number]["photo"])
        assert torch.equal(synthetic[number]["photo"], plain[number]["photo"])


@pytest.mark.parametrize("synthesis", [EVERYTHING, AWGN], ids=["cameras", "awgn"])
def test_loader_processes_give_the_same_stream_in_batches(photos: PhotoStore, synthesis: Synthesis) -> None:
    patches = stream(photos, synthesis, length=6)
    batches = list(DataLoader(patches, batch_size=3, num_workers=2))
    for first, batch in zip((0, 3), batches, strict=True):
        assert same(batch, default_collate([patches[number] for number in range(first, first + 3)]))


def test_a_margin_is_room_for_windows_at_every_place_and_changes_no_other_draw(photos: PhotoStore) -> None:
    patches = stream(photos)
    roomy = DenoisingPatches(photos, DenoiserData(patch_size=16), EVERYTHING, seed=0, length=400, margin=8)
    corners = set()
    for number in range(400):
        patch = roomy[number]
        assert patch.pop("photo").shape == (3, 24, 24)
        top, left, size = patch.pop("window").tolist()
        assert size == 16
        corners.add((top, left))
        without = {key: value for key, value in patches[number].items() if key != "photo"}
        assert same(patch, without)
    assert corners == {(top, left) for top in range(8) for left in range(8)}


# ---------------------------------------------------------------- photos


@pytest.mark.parametrize("scale", [(1, 1), (0.3, 0.3), (2.0, 2.0), (7.3, 7.3), (0.01, 0.01), (0.4, 3.0)])
@pytest.mark.parametrize("size", [16, 48])
def test_photos_have_the_documented_shape_type_and_range_at_all_scales(
    photos: PhotoStore, size: int, scale: tuple[float, float]
) -> None:
    patches = stream(photos, patch_size=size, scale=scale, brightness=(0.5, 4.0), length=12)
    assert len(patches) == 12
    for number in range(12):
        photo = patches[number]["photo"]
        assert photo.shape == (3, size, size)
        assert photo.dtype == torch.float32
        assert photo.is_contiguous()
        assert 0 <= photo.min() <= photo.max() <= 1


@pytest.mark.parametrize(("scale", "expected"), [(0.5, 8 / 32), (1.0, 16 / 32), (2.0, 32 / 32)])
def test_a_scale_above_one_shows_more_of_the_photo(tmp_path: Path, scale: float, expected: float) -> None:
    """The photo is a ramp, so the range of a patch tells how much of the photo it shows."""
    ramp = np.broadcast_to(np.linspace(0, 255, 32).round().astype(np.uint8)[None, :, None], (32, 32, 3)).copy()
    photos = PhotoStore([write_png(tmp_path / "ramp.png", ramp)])
    for number in range(5):
        photo = stream(photos, scale=(scale, scale))[number]["photo"]
        assert float(photo.max() - photo.min()) == pytest.approx(expected, abs=0.06)


def test_without_scale_and_brightness_a_patch_is_a_piece_of_the_photo_in_all_eight_turns(tmp_path: Path) -> None:
    picture = np.zeros((20, 24, 3), np.uint8)
    picture[..., 0], picture[..., 1] = np.arange(20)[:, None], np.arange(24)
    photos = PhotoStore([write_png(tmp_path / "numbered.png", picture)])
    ways = set()
    for number in range(100):
        photo = (stream(photos)[number]["photo"] * 255).round().byte().permute(1, 2, 0).numpy()
        top, left = photo[..., 0].min(), photo[..., 1].min()
        window = picture[top : top + 16, left : left + 16]
        flips = [window[::rows, ::columns] for rows in (1, -1) for columns in (1, -1)]
        turned = [*flips, *(flip.swapaxes(0, 1) for flip in flips)]
        ways |= {way for way, image in enumerate(turned) if np.array_equal(image, photo)}
    assert ways == set(range(8))


@pytest.mark.parametrize("factor", [0.3, 0.7, 1.6, 9.0])
def test_brightness_multiplies_linear_light(tmp_path: Path, factor: float) -> None:
    photo = stream(flat_photos(tmp_path), brightness=(factor, factor))[0]["photo"]
    light = colorimetry.srgb_decode(np.array(128 / 255)) * factor
    assert photo.unique().tolist() == pytest.approx([float(colorimetry.srgb_encode(light))], abs=1e-6)


def test_brightness_and_its_span(tmp_path: Path) -> None:
    """Uniform in logarithm: half of the draws lie below the geometric mean."""
    patches = stream(flat_photos(tmp_path), brightness=(0.25, 4.0))
    levels = np.array([float(patches[number]["photo"][0, 0, 0]) for number in range(400)])
    factors = colorimetry.srgb_decode(levels) / colorimetry.srgb_decode(np.array(128 / 255))
    assert 0.25 * 0.999 < factors.min() < 0.27 and 3.7 < factors.max() < 4.0 * 1.001
    assert abs((factors < 1).mean() - 0.5) < 4 * 0.5 / 400**0.5


# ---------------------------------------------------------------- draws


def test_draws_have_the_documented_keys_shapes_and_types(photos: PhotoStore) -> None:
    patch = stream(photos)[0]
    scalars = {
        *("shot_noise", "read_noise", "demosaicking", "contrast", "luma_blur", "chroma_blur", "sharpening"),
        "chroma_noise",
    }
    flags, integers = {"learned", "binned", "jpeg_subsampled"}, {"seed", "jpeg_quality"}
    assert patch.keys() == {"photo", "cam2rgb", "white_balance"} | scalars | flags | integers
    assert patch["cam2rgb"].shape == (3, 3) and patch["white_balance"].shape == (3,)
    for keys, kind in ((scalars, torch.float32), (flags, torch.bool), (integers, torch.int64)):
        for key in keys:
            assert (patch[key].shape, patch[key].dtype) == ((), kind), key
    gaussian = stream(photos, AWGN)[0]
    assert gaussian.keys() == {"photo", "seed", "awgn_sigma"}
    assert (gaussian["awgn_sigma"].shape, gaussian["awgn_sigma"].dtype) == ((), torch.float32)


def test_pictures_without_noise_reduction_have_less_of_the_tone_curve(photos: PhotoStore) -> None:
    recipes = [EVERYTHING.model_copy(update={"plain_contrast": factor}) for factor in (1.0, 0.25)]
    full, plain = (default_collate([stream(photos, recipe)[number] for number in range(40)]) for recipe in recipes)
    factors = torch.where(full["luma_blur"] > 0, 1.0, 0.25)
    assert 0 < factors.lt(1).sum() < 40
    torch.testing.assert_close(plain["contrast"], full["contrast"] * factors)
    assert all(torch.equal(plain[key], full[key]) for key in full if key != "contrast")


def test_draws_fill_their_spans_and_never_leave_them(photos: PhotoStore) -> None:
    patches = stream(photos)
    drawn = default_collate([patches[number] for number in range(400)])
    for key in ("demosaicking", "contrast"):
        low, high = getattr(EVERYTHING, key)
        assert low <= drawn[key].min() < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < drawn[key].max() <= high
    for key in ("luma_blur", "chroma_blur"):  # 0 where the camera does not smooth, both at once
        low, high = getattr(EVERYTHING, key)
        smoothed = drawn[key][drawn[key] > 0]
        assert low <= smoothed.min() and smoothed.max() <= high
        assert abs(len(smoothed) / 400 - 0.5) < 0.1
    assert torch.equal(drawn["luma_blur"] > 0, drawn["chroma_blur"] > 0)
    sharpened = drawn["sharpening"]
    assert (sharpened[drawn["luma_blur"] == 0] == 1).all()
    assert sharpened.min() >= 1 and 2.2 < sharpened.max() <= 2.5
    weakened = drawn["chroma_noise"]
    assert (weakened[drawn["luma_blur"] == 0] == 1).all()
    assert 0.4 <= weakened.min() < 0.45 and weakened.max() <= 1
    qualities = drawn["jpeg_quality"][drawn["jpeg_quality"] > 0]
    assert 80 <= qualities.min() < 83 and 95 < qualities.max() <= 98
    assert abs(len(qualities) / 400 - 0.5) < 0.1
    for key, share in (("learned", 0.5), ("binned", 0.25), ("jpeg_subsampled", 0.5)):
        assert abs(drawn[key].double().mean() - share) < 4 * (share * (1 - share) / 400) ** 0.5
    shots = [PROFILES[name].shot_range for name in ("dnd", "sidd")]
    assert min(low for low, _ in shots) * 0.999 < drawn["shot_noise"].min()
    assert drawn["shot_noise"].max() < max(high for _, high in shots) * 1.001
    assert (drawn["read_noise"] > 0).all()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_shares_of_none_and_all(photos: PhotoStore, share: float) -> None:
    shares = ("learned_share", "binned_share", "noise_reduction_share", "jpeg_share")
    synthesis = EVERYTHING.model_copy(update=dict.fromkeys(shares, share))
    drawn = default_collate([stream(photos, synthesis)[number] for number in range(40)])
    for key in ("learned", "binned", "luma_blur", "chroma_blur", "jpeg_quality"):
        assert ((drawn[key] > 0).double() == share).all(), key


def test_each_profile_is_as_likely_as_the_others(photos: PhotoStore) -> None:
    """DND's cameras reach below SIDD's least noise, SIDD's above DND's most."""
    patches = stream(photos)
    shots = torch.stack([patches[number]["shot_noise"] for number in range(400)])
    (dnd_low, dnd_high), (sidd_low, sidd_high) = (PROFILES[name].shot_range for name in ("dnd", "sidd"))
    below = 0.5 * np.log(sidd_low / dnd_low) / np.log(dnd_high / dnd_low)
    above = 0.5 * np.log(sidd_high / dnd_high) / np.log(sidd_high / sidd_low)
    for share, expected in (((shots < sidd_low), below), ((shots > dnd_high), above)):
        assert abs(float(share.double().mean()) - expected) < 4 * (expected * (1 - expected) / 400) ** 0.5


def test_read_noise_is_multiplied_and_nothing_else_changes(photos: PhotoStore) -> None:
    plain = stream(photos)
    halved = stream(photos, EVERYTHING.model_copy(update={"read_noise_factor": (0.5, 0.5)}))
    spread = stream(photos, EVERYTHING.model_copy(update={"read_noise_factor": (0.01, 1.0)}))
    factors = []
    for number in range(100):
        before, half = plain[number], halved[number]
        torch.testing.assert_close(half["read_noise"], before["read_noise"] / 2)
        assert torch.equal(half["shot_noise"], before["shot_noise"])
        factors.append(float(spread[number]["read_noise"] / before["read_noise"]))
    assert 0.0099 < min(factors) < 0.02 and 0.5 < max(factors) < 1.01
    # uniform in logarithms, within 4 standard errors
    assert abs(np.mean(np.log10(factors)) + 1) < 4 * (2 / 12**0.5) / 10


def test_explicit_noise_is_taken_as_it_is(photos: PhotoStore) -> None:
    patch = stream(photos, Synthesis(noise=["shot=0.01,read=0.0005"]))[0]
    assert (float(patch["shot_noise"]), float(patch["read_noise"])) == pytest.approx((0.01, 0.0005))


def test_the_color_matrix_keeps_white_and_fades_to_none(photos: PhotoStore) -> None:
    for number in range(20):
        matrices = {
            part: stream(photos, EVERYTHING.model_copy(update={"color_matrix": (part, part)}))[number]["cam2rgb"]
            for part in (0.0, 0.5, 1.0)
        }
        assert torch.equal(matrices[0.0], torch.eye(3))
        torch.testing.assert_close(matrices[0.5], (matrices[1.0] + torch.eye(3)) / 2)
        for matrix in matrices.values():
            torch.testing.assert_close(matrix.sum(1), torch.ones(3))


def test_gaussian_noise_is_given_in_levels_of_eight_bits(photos: PhotoStore) -> None:
    sigmas = 255 * torch.stack([stream(photos, AWGN)[number]["awgn_sigma"] for number in range(200)])
    assert 5 <= sigmas.min() < 6.5 and 48.5 < sigmas.max() <= 50.001


@pytest.mark.parametrize("name", ["dns", "DND", "shot=2,read=0", ""])
def test_an_unknown_noise_is_refused_at_once(photos: PhotoStore, name: str) -> None:
    with pytest.raises(NoiseError, match="expected one of dnd, sidd"):
        stream(photos, Synthesis(noise=["dnd", name]))


# ---------------------------------------------------------------- the data of a run


def recipe(**synthesis: Any) -> DenoiserRecipe:
    data = {"patch_size": 16, "validation_size": 24, "validation_patches": 3}
    train = {"steps": 5, "batch_size": 4}
    return DenoiserRecipe.model_validate({"seed": 1, "data": data, "synthesis": synthesis, "train": train})


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """Writes clean photos, stored pairs and pairs for validation."""
    write_png(tmp_path / "photos" / "a.png", random_picture(40, 52))
    store_srgb(tmp_path / "pairs", "a", random_picture(40, 52, seed=1), random_picture(40, 52, seed=2))
    write_pair(tmp_path / "real", "a", random_picture(40, 52, seed=3), random_picture(40, 52, seed=4))
    return {name: tmp_path / name for name in ("photos", "pairs", "real")}


def test_photos_give_a_stream_for_every_step_and_crops_of_another_seed(folders: dict[str, Path]) -> None:
    training, held = open_denoising_data(recipe(), "srgb", [str(folders["photos"])], [], [])
    assert isinstance(training, DenoisingPatches) and isinstance(held, DenoisingPatches)
    assert (len(training), len(held)) == (20, 3)
    assert training[0]["photo"].shape == (3, 16 + SRGB_MARGIN, 16 + SRGB_MARGIN)
    assert held[0]["photo"].shape == (3, 24 + SRGB_MARGIN, 24 + SRGB_MARGIN)
    assert training[0]["window"][2] == 16 and held[0]["window"][2] == 24
    assert int(held[0]["seed"]) != int(training[0]["seed"])
    again, _ = open_denoising_data(recipe(), "srgb", [str(folders["photos"])], [], [])
    assert same(training[7], again[7])


def test_raw_is_not_cut_and_keeps_its_bayer_phase(folders: dict[str, Path]) -> None:
    training, _ = open_denoising_data(recipe(), "raw", [str(folders["photos"])], [], [])
    assert "window" not in training[0]
    assert training[0]["photo"].shape == (3, 16, 16)


def test_stored_pairs_give_a_stream_and_validation_too(folders: dict[str, Path]) -> None:
    training, held = open_denoising_data(recipe(), "srgb", [], [folders["pairs"]], [])
    assert isinstance(training, StoredPairs) and isinstance(held, StoredPairs)
    assert (len(training), len(held)) == (20, 3)
    assert training[0]["noisy"].shape == (3, 16, 16)


@pytest.mark.parametrize("source", ["photos", "pairs"])
def test_folders_of_real_pairs_take_the_place_of_synthetic_validation(folders: dict[str, Path], source: str) -> None:
    photos, pairs = ([str(folders["photos"])], []) if source == "photos" else ([], [folders["pairs"]])
    _, held = open_denoising_data(recipe(), "srgb", photos, pairs, [folders["real"], folders["real"]])
    assert isinstance(held, ValidationPairs)
    assert len(held) == 2
    assert held[1]["noisy"].shape == (3, 24, 24)


@pytest.mark.parametrize(
    ("space", "noise", "given", "words"),
    [
        ("srgb", ["dnd"], (), "nothing to train on: give --photos, clean photos, or --pairs"),
        ("raw", ["awgn"], ("photos",), "noise awgn is for sRGB and stands alone; RAW noise has the profiles dnd"),
        ("srgb", ["dnd", "awgn"], ("photos",), "noise awgn is for sRGB and stands alone"),
        ("srgb", ["awgn", "awgn"], ("photos",), "noise awgn is for sRGB and stands alone"),
        ("srgb", ["awgn"], ("pairs",), "noise awgn is made from --photos; --pairs bring their own noise"),
        ("raw", ["dnd"], ("photos", "real"), "--validation takes sRGB pairs; RAW is validated on synthetic noise"),
        ("raw", ["dnd"], ("pairs",), "pairs have no raw part; make them with generate_data.py --space raw"),
        ("srgb", ["nod"], ("photos",), "unknown noise 'nod'; expected one of dnd, sidd"),
    ],
)
def test_choices_that_exclude_each_other_say_what_to_do(
    folders: dict[str, Path], space: Space, noise: list[str], given: tuple[str, ...], words: str
) -> None:
    photos = [str(folders["photos"])] if "photos" in given else []
    pairs = [folders["pairs"]] if "pairs" in given else []
    with pytest.raises(UserError) as refused:
        open_denoising_data(recipe(noise=noise), space, photos, pairs, [folders["real"]] if "real" in given else [])
    assert words in str(refused.value)


@pytest.mark.parametrize("source", ["photos", "pairs"])
@pytest.mark.parametrize("changes", [{"network": {"stabilized": True}}, {"loss": {"relative": True}}], ids=str)
def test_what_needs_the_noise_level_is_for_raw(
    folders: dict[str, Path], source: str, changes: dict[str, dict[str, bool]]
) -> None:
    whole = DenoiserRecipe.model_validate({**recipe().model_dump(), **changes})
    photos, pairs = ([str(folders["photos"])], []) if source == "photos" else ([], [folders["pairs"]])
    with pytest.raises(UserError, match=r"network\.stabilized and loss\.relative need the noise level, which only RAW"):
        open_denoising_data(whole, "srgb", photos, pairs, [])
    training, _ = open_denoising_data(whole, "raw", [str(folders["photos"])], [], [])
    assert len(training) == 20  # type: ignore[arg-type]


def test_missing_and_bad_folders_are_named(folders: dict[str, Path], tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    with pytest.raises(UserError, match="nowhere: no such file or folder"):
        open_denoising_data(recipe(), "srgb", [str(nowhere)], [], [])
    with pytest.raises(UserError, match="nowhere: no such folder"):
        open_denoising_data(recipe(), "raw", [], [nowhere], [])
    with pytest.raises(UserError, match="nowhere: no such folder"):
        open_denoising_data(recipe(), "srgb", [str(folders["photos"])], [], [nowhere])


def test_a_photo_that_cannot_be_read_is_named_when_drawn(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(PhotoError, match=r"bad\.png"):
        stream(PhotoStore([tmp_path]))[0]


def test_enlarging_is_smooth_and_reducing_averages(tmp_path: Path) -> None:
    """A checkerboard of single pixels is grey when halved; enlarged it keeps its extremes."""
    board = 255 * (np.indices((64, 64)).sum(0) % 2).astype(np.uint8)
    photos = PhotoStore([write_png(tmp_path / "board.png", np.repeat(board[..., None], 3, axis=2))])
    halved = stream(photos, scale=(2.0, 2.0))[0]["photo"].numpy()
    np.testing.assert_allclose(halved, 0.5, atol=1e-3)
    window = np.asarray(cv2.resize(board[:8, :8].astype(np.float32) / 255, (16, 16), interpolation=cv2.INTER_CUBIC))
    enlarged = stream(photos, scale=(0.5, 0.5))[0]["photo"].numpy()
    assert enlarged.std() == pytest.approx(np.clip(window, 0, 1).std(), abs=0.02)
