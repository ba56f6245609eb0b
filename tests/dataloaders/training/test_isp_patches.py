"""Training patches: patch n is a function of (seed, n), and photo and RAW show the same."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from cycleisp.dataloaders.photo_store import PhotoStore
from cycleisp.dataloaders.training.isp_patches import IspPatches, Patch, ValidationCrops, open_isp_data
from cycleisp.dataloaders.training.raw_pair_store import RawPairStore
from cycleisp.utils.config import IspRecipe
from cycleisp.utils.errors import UserError
from tests.support.pictures import random_picture, write_dng, write_png


def rggb_mosaic(photo: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Returns the mosaic (H, W) of a camera whose colours are those of the photo."""
    values = photo.astype(np.uint16) * 257
    mosaic = values[..., 1].copy()
    mosaic[0::2, 0::2], mosaic[1::2, 1::2] = values[0::2, 0::2, 0], values[1::2, 1::2, 2]
    return mosaic


def store_pair(folder: Path, name: str, photo: NDArray[np.uint8]) -> None:
    folder.mkdir(exist_ok=True)
    np.save(folder / f"{name}.mosaic.npy", rggb_mosaic(photo))
    np.save(folder / f"{name}.srgb.npy", photo)


@pytest.fixture
def raw_pairs(tmp_path: Path) -> RawPairStore:
    for seed, name in enumerate("ab"):
        store_pair(tmp_path / "pairs", name, random_picture(40, 52, seed=seed))
    return RawPairStore(tmp_path / "pairs", ["a", "b"])


@pytest.fixture
def photos(tmp_path: Path) -> PhotoStore:
    for seed in range(3):
        write_png(tmp_path / "photos" / f"{seed}.png", random_picture(36, 48, seed=seed))
    return PhotoStore([tmp_path / "photos"])


def same(first: Patch, second: Patch) -> bool:
    return all(torch.equal(first[key], second[key]) for key in ("srgb", "raw"))


# ---------------------------------------------------------------- what a patch is


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_patches_have_the_documented_shape_type_and_range(
    raw_pairs: RawPairStore, photos: PhotoStore, share: float
) -> None:
    patches = IspPatches(raw_pairs, photos, share, patch_size=16, seed=0, length=8)
    assert len(patches) == 8
    for number in range(8):
        patch = patches[number]
        assert patch.keys() == {"srgb", "raw"}
        assert patch["srgb"].shape == (3, 16, 16)
        assert patch["raw"].shape == (4, 8, 8)
        for image in patch.values():
            assert image.dtype == torch.float32
            assert image.is_contiguous()
            assert 0 <= image.min() < image.max() <= 1


def test_a_number_gives_the_same_patch_at_any_time(raw_pairs: RawPairStore, photos: PhotoStore) -> None:
    def stream() -> IspPatches:
        return IspPatches(raw_pairs, photos, 0.5, patch_size=16, seed=3, length=100)

    forwards = [stream()[number] for number in range(12)]
    one = stream()
    backwards = [one[number] for number in reversed(range(12))][::-1]
    assert all(map(same, forwards, backwards))


def test_numbers_and_seeds_give_different_patches(raw_pairs: RawPairStore, photos: PhotoStore) -> None:
    streams = [IspPatches(raw_pairs, photos, 0.5, 16, seed, length=100) for seed in (0, 1)]
    patches = [stream[number]["raw"].numpy().tobytes() for stream in streams for number in range(20)]
    assert len(set(patches)) == 40


def test_the_global_random_states_are_neither_used_nor_changed(raw_pairs: RawPairStore, photos: PhotoStore) -> None:
    patches = IspPatches(raw_pairs, photos, 0.5, 16, seed=0, length=100)
    torch.manual_seed(1)
    np.random.seed(1)
    first, state = patches[5], torch.get_rng_state()
    torch.manual_seed(2)
    np.random.seed(2)
    assert same(first, patches[5])
    torch.manual_seed(1)
    assert torch.equal(state, torch.get_rng_state())


def test_loader_processes_change_nothing(raw_pairs: RawPairStore, photos: PhotoStore) -> None:
    batches = []
    for workers in (0, 2):
        patches = IspPatches(raw_pairs, photos, 0.5, 16, seed=0, length=12)
        batches.append(list(DataLoader(patches, batch_size=3, num_workers=workers)))
    alone, together = batches
    assert len(alone) == len(together) == 4
    assert all(map(same, alone, together))


# ---------------------------------------------------------------- photo and RAW agree


def signs(photo: torch.Tensor) -> tuple[int, int, int]:
    """Returns which of the eight mirrored and transposed cases a patch of `slopes()` is."""
    down, right = photo[:, -1, 0] - photo[:, 0, 0], photo[:, 0, -1] - photo[:, 0, 0]
    transposed = bool(right[0].abs() > down[0].abs())
    red, blue = (right[0], down[2]) if transposed else (down[0], right[2])
    return (int(red.sign()), int(blue.sign()), int(transposed))


def slopes(height: int = 40, width: int = 52) -> NDArray[np.uint8]:
    """Returns a photo whose red grows downwards, blue to the right, and green at random."""
    rows, columns = np.indices((height, width))
    return np.stack([rows * 4, (rows * 53 + columns * 31) % 256, columns * 4], axis=-1).astype(np.uint8)


def test_raw_is_the_rggb_mosaic_of_the_photo_in_all_eight_cases(tmp_path: Path) -> None:
    store_pair(tmp_path / "pairs", "a", slopes())
    patches = IspPatches(RawPairStore(tmp_path / "pairs", ["a"]), None, 0.0, patch_size=16, seed=0, length=80)
    cases = set()
    for number in range(80):
        patch = patches[number]
        srgb, (red, green_1, green_2, blue) = patch["srgb"], patch["raw"]
        torch.testing.assert_close(red, srgb[0, 0::2, 0::2])
        torch.testing.assert_close(green_1, srgb[1, 0::2, 1::2])
        torch.testing.assert_close(green_2, srgb[1, 1::2, 0::2])
        torch.testing.assert_close(blue, srgb[2, 1::2, 1::2])
        cases.add(signs(srgb))
    assert len(cases) == 8


@pytest.mark.parametrize(
    ("color", "brightest"),
    [((255, 0, 0), {0}), ((0, 255, 0), {1, 2}), ((0, 0, 255), {3})],
    ids=["red", "green", "blue"],
)
def test_a_photo_of_one_color_is_brightest_in_its_own_planes(
    tmp_path: Path, color: tuple[int, int, int], brightest: set[int]
) -> None:
    write_png(tmp_path / "photos" / "a.png", np.full((24, 24, 3), color, np.uint8))
    patches = IspPatches(None, PhotoStore([tmp_path / "photos"]), 1.0, patch_size=16, seed=0, length=40)
    for number in range(40):
        raw = patches[number]["raw"]
        assert raw.std(dim=(1, 2)).max() < 1e-6  # each plane is flat
        order = raw.mean(dim=(1, 2)).argsort(descending=True).tolist()
        assert set(order[: len(brightest)]) == brightest


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_share_decides_between_camera_files_and_simulated_cameras(tmp_path: Path, share: float) -> None:
    store_pair(tmp_path / "pairs", "a", np.full((20, 20, 3), 255, np.uint8))
    write_png(tmp_path / "photos" / "a.png", np.zeros((20, 20, 3), np.uint8))
    pairs, photos = RawPairStore(tmp_path / "pairs", ["a"]), PhotoStore([tmp_path / "photos"])
    patches = IspPatches(pairs, photos, share, patch_size=16, seed=0, length=20)
    assert {float(patches[number]["srgb"].mean()) for number in range(20)} == {1 - share}


def test_half_of_the_patches_come_from_simulated_cameras_at_a_share_of_a_half(tmp_path: Path) -> None:
    store_pair(tmp_path / "pairs", "a", np.full((20, 20, 3), 255, np.uint8))
    write_png(tmp_path / "photos" / "a.png", np.zeros((20, 20, 3), np.uint8))
    pairs, photos = RawPairStore(tmp_path / "pairs", ["a"]), PhotoStore([tmp_path / "photos"])
    patches = IspPatches(pairs, photos, 0.5, patch_size=16, seed=0, length=400)
    real = sum(float(patches[number]["srgb"].mean()) for number in range(400))
    assert abs(real - 200) < 5 * 10  # five standard deviations of 400 coins


# ---------------------------------------------------------------- missing sources


def test_simulated_cameras_need_photos(raw_pairs: RawPairStore) -> None:
    with pytest.raises(UserError, match="30% simulated cameras: give --photos"):
        IspPatches(raw_pairs, None, 0.3, 16, seed=0, length=1)


def test_camera_files_are_needed_below_a_share_of_one(photos: PhotoStore) -> None:
    with pytest.raises(UserError, match="70% camera RAW: give --raw"):
        IspPatches(None, photos, 0.3, 16, seed=0, length=1)


def test_validation_needs_one_of_both() -> None:
    with pytest.raises(UserError, match="nothing to validate on"):
        ValidationCrops(None, None, size=16, count=1)


# ---------------------------------------------------------------- validation and opening


def test_validation_crops_are_the_same_every_time_and_cover_all_files(raw_pairs: RawPairStore) -> None:
    crops, again = (ValidationCrops(raw_pairs, None, size=16, count=4) for _ in range(2))
    assert len(crops) == 4
    for number in range(4):
        assert same(crops[number], again[number])
        srgb, raw = crops[number]["srgb"], crops[number]["raw"]
        assert (srgb.shape, raw.shape) == ((3, 16, 16), (4, 8, 8))
        torch.testing.assert_close(raw[0], srgb[0, 0::2, 0::2])
        torch.testing.assert_close(raw[3], srgb[2, 1::2, 1::2])
        whole = torch.from_numpy(raw_pairs.pair("ab"[number % 2])[1].copy()).permute(2, 0, 1) / 255
        pieces = whole.unfold(1, 16, 2).unfold(2, 16, 2).flatten(1, 2).transpose(0, 1)
        assert any(torch.allclose(piece, srgb) for piece in pieces)


def test_small_files_give_small_validation_crops(raw_pairs: RawPairStore) -> None:
    patch = ValidationCrops(raw_pairs, None, size=64, count=1)[0]
    assert (patch["srgb"].shape, patch["raw"].shape) == ((3, 40, 40), (4, 20, 20))


def test_photos_serve_for_validation_where_no_camera_file_does(photos: PhotoStore) -> None:
    crops, again = (ValidationCrops(None, photos, size=16, count=2) for _ in range(2))
    assert (crops[1]["srgb"].shape, crops[1]["raw"].shape) == ((3, 16, 16), (4, 8, 8))
    assert same(crops[1], again[1])


def dng_folder(folder: Path, names: str) -> Path:
    for seed, name in enumerate(names):
        values = np.random.default_rng(seed).integers(64, 1024, (40, 52)).astype(np.uint16)
        write_dng(folder / f"{name}.dng", values)
    return folder


def recipe(**data: Any) -> IspRecipe:
    data = {"patch_size": 16, **data}
    return IspRecipe.model_validate({"data": data, "train": {"steps": 5, "batch_size": 2}})


def test_open_trains_on_all_but_the_held_out_files(tmp_path: Path) -> None:
    folder = dng_folder(tmp_path / "raw", "abc")
    (folder / "d.dng").write_bytes(b"garbage")
    held = recipe(holdout=["b"], validation_patches=3, validation_size=16)
    training, validation = open_isp_data(held, [str(folder)], [], tmp_path / "prepared")
    assert (len(training), len(validation)) == (10, 3)
    assert training[0]["srgb"].shape == (3, 16, 16)
    held_out = RawPairStore(tmp_path / "prepared", ["b"])
    assert same(validation[2], ValidationCrops(held_out, None, 16, 3)[2])


def test_open_says_which_folder_is_missing(tmp_path: Path, photos: PhotoStore) -> None:
    folder = [str(photos.sources[0].path.parent)]
    with pytest.raises(UserError, match="--photos"):
        open_isp_data(recipe(simulated_share=0.5), [str(dng_folder(tmp_path / "raw", "a"))], [], tmp_path / "prepared")
    with pytest.raises(UserError, match="--raw"):
        open_isp_data(recipe(simulated_share=0.5), [], folder, tmp_path / "prepared")
    with pytest.raises(UserError):
        open_isp_data(recipe(), [str(tmp_path / "nowhere")], [], tmp_path / "prepared")
