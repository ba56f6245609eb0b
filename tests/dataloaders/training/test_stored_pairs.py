"""Pairs on disk as data sets: cut into patches that keep together what belongs together."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, default_collate

from cycleisp.dataloaders.pairs.computing import Computing
from cycleisp.dataloaders.pairs.factory import PairFactory
from cycleisp.dataloaders.pairs.folders import find_pairs, read_pair
from cycleisp.dataloaders.pairs.store import PairFiles, PairStore, read_manifest
from cycleisp.dataloaders.photos import PhotoError
from cycleisp.dataloaders.sources import find_sources
from cycleisp.dataloaders.training.stored_pairs import StoredPairs, ValidationPairs
from cycleisp.networks.cycleisp import CycleISP
from cycleisp.networks.synthesis.learned_camera import LearnedCamera
from cycleisp.networks.synthesis.photo_pairs import PairSynthesizer
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import Space
from cycleisp.utils.raw.noise import PROFILES
from tests.support.pairs import READ, SETTINGS, numbered, store_pair, store_raw, store_srgb, write_pair
from tests.support.pictures import random_picture, write_png

# ---------------------------------------------------------------- validation


@pytest.mark.parametrize(
    ("height", "width", "size", "rows", "columns"),
    [
        (40, 60, 16, (12, 28), (22, 38)),  # the middle
        (40, 60, 24, (8, 32), (18, 42)),
        (21, 60, 32, (2, 18), (14, 46)),  # 16 of 21 rows: a whole multiple of 8
        (8, 15, 256, (0, 8), (3, 11)),
    ],
)
def test_the_middle_is_taken_in_multiples_of_eight(
    tmp_path: Path, height: int, width: int, size: int, rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    write_pair(tmp_path, "a", numbered(height, width, 1), numbered(height, width, 2))
    (item,) = (ValidationPairs([tmp_path], size)[number] for number in range(1))
    assert item.keys() == {"noisy", "clean"}
    for key, blue in (("noisy", 1), ("clean", 2)):
        expected = numbered(height, width, blue)[slice(*rows), slice(*columns)].astype(np.float32) / 255
        np.testing.assert_array_equal(item[key].permute(1, 2, 0).numpy(), expected)
        assert item[key].is_contiguous()


def test_folders_follow_one_another(tmp_path: Path) -> None:
    for folder, blue in (("x", 10), ("y", 20)):
        for name in "ab":
            write_pair(tmp_path / folder, name, numbered(16, 16, blue), numbered(16, 16, blue))
    pairs = ValidationPairs([tmp_path / "y", tmp_path / "x"], 16)
    assert len(pairs) == 4
    assert [round(float(pairs[number]["clean"][2, 0, 0]) * 255) for number in range(4)] == [20, 20, 10, 10]


def test_sixteen_bits_lie_in_zero_to_one_too(tmp_path: Path) -> None:
    picture = random_picture(16, 16, np.uint16)
    write_pair(tmp_path, "a", picture, picture)
    item = ValidationPairs([tmp_path], 16)[0]
    np.testing.assert_array_equal(item["noisy"].permute(1, 2, 0).numpy(), picture.astype(np.float32) / 65535)


def test_a_pair_too_small_for_validation_is_refused_by_name(tmp_path: Path) -> None:
    write_pair(tmp_path, "tiny", random_picture(7, 40), random_picture(7, 40))
    with pytest.raises(PhotoError, match=r"tiny\.png: 40x7 pixels.*8"):
        ValidationPairs([tmp_path], 16)[0]


# ---------------------------------------------------------------- stored pairs: what a patch is


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Stores three sRGB pairs and two RAW pairs of other sizes, all of random values."""
    rng = np.random.default_rng(0)
    for seed, (height, width) in enumerate([(30, 40), (33, 47), (24, 24)]):
        pictures = (random_picture(height, width, np.uint8, seed + extra) for extra in (0, 100))
        store_srgb(tmp_path / "pairs", f"photo{seed}", *pictures)
    for seed in range(2):
        noisy, clean = rng.integers(0, 65536, (2, 4, 14 + seed, 18)).astype(np.uint16)
        store_raw(tmp_path / "pairs", f"raw{seed}", noisy, clean, shot=0.01 * (seed + 1))
    return tmp_path / "pairs"


SPACES: list[Space] = ["raw", "srgb"]


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("space", SPACES)
def test_patches_have_the_documented_keys_shapes_and_range(folder: Path, space: Space) -> None:
    pairs = StoredPairs(folder, space, patch_size=16, seed=0, length=30)
    assert len(pairs) == 30
    for number in range(30):
        patch = pairs[number]
        assert patch.keys() == ({"noisy", "clean", "variance"} if space == "raw" else {"noisy", "clean"})
        for image in patch.values():
            assert image.shape == ((4, 8, 8) if space == "raw" else (3, 16, 16))
            assert image.dtype == torch.float32
            assert image.is_contiguous()
            assert 0 <= image.min() < image.max() <= 1


@pytest.mark.parametrize("space", SPACES)
def test_a_number_gives_the_same_patch_at_any_time(folder: Path, space: Space) -> None:
    def stream(length: int = 100) -> StoredPairs:
        return StoredPairs(folder, space, patch_size=16, seed=3, length=length)

    forwards = [stream()[number] for number in range(12)]
    one = stream(length=12)
    backwards = [one[number] for number in reversed(range(12))][::-1]
    assert all(map(same, forwards, backwards))


@pytest.mark.parametrize("space", SPACES)
def test_seed_and_number_matter(folder: Path, space: Space) -> None:
    patches = [StoredPairs(folder, space, 16, seed, 8)[number] for seed in (0, 1) for number in range(8)]
    assert len({patch["noisy"].numpy().tobytes() for patch in patches}) > 12  # of about 1000


@pytest.mark.parametrize("space", SPACES)
def test_loader_processes_give_the_same_stream(folder: Path, space: Space) -> None:
    pairs = StoredPairs(folder, space, patch_size=16, seed=1, length=6)
    batches = list(DataLoader(pairs, batch_size=3, num_workers=2))
    for first, batch in zip((0, 3), batches, strict=True):
        assert same(batch, default_collate([pairs[number] for number in range(first, first + 3)]))


def turned(image: NDArray) -> list[NDArray]:
    """Returns an image (H, W, ...) flipped and transposed in all eight ways."""
    flips = [image[::rows, ::columns] for rows in (1, -1) for columns in (1, -1)]
    return [*flips, *(flip.swapaxes(0, 1) for flip in flips)]


def test_noisy_and_clean_show_one_window_turned_alike_in_all_eight_ways(tmp_path: Path) -> None:
    store_srgb(tmp_path, "a", numbered(33, 41, 0), numbered(33, 41, 255))
    pairs = StoredPairs(tmp_path, "srgb", patch_size=16, seed=0, length=400)
    ways, corners = set(), set()
    for number in range(400):
        pair = pairs[number]
        noisy, clean = ((pair[key] * 255).round().int().permute(1, 2, 0).numpy() for key in ("noisy", "clean"))
        np.testing.assert_array_equal(noisy[..., :2], clean[..., :2])
        assert (noisy[..., 2] == 0).all() and (clean[..., 2] == 255).all()
        top, left = int(noisy[..., 0].min()), int(noisy[..., 1].min())
        window = numbered(33, 41, 0)[top : top + 16, left : left + 16]
        ways |= {way for way, image in enumerate(turned(window)) if np.array_equal(image, noisy)}
        corners.add((top, left))
    assert ways == set(range(8))
    assert {top for top, _ in corners} == set(range(18))
    assert {left for _, left in corners} == set(range(26))


def test_planes_keep_their_colors_under_all_flips(tmp_path: Path) -> None:
    """Red is 0.1, the greens are 0.2 and 0.3, blue is 0.4. A phase that moves mixes them up."""
    levels = np.round(np.array([0.1, 0.2, 0.3, 0.4]) * 65535).astype(np.uint16)
    noisy = np.broadcast_to(levels[:, None, None], (4, 14, 17)).copy()
    store_raw(tmp_path, "a", noisy, noisy // 2)
    pairs = StoredPairs(tmp_path, "raw", patch_size=16, seed=0, length=100)
    orders = set()
    for number in range(100):
        patch = pairs[number]
        for image, scale in ((patch["noisy"], 1), (patch["clean"], 0.5)):
            assert (image == image[:, :1, :1]).all()
            red, *greens, blue = (image[:, 0, 0] / scale).tolist()
            assert (red, blue) == pytest.approx((0.1, 0.4), abs=1e-4)
            assert sorted(greens) == pytest.approx([0.2, 0.3], abs=1e-4)
        orders.add(bool(patch["noisy"][1, 0, 0] < patch["noisy"][2, 0, 0]))
    assert orders == {True, False}  # the greens change places in a transpose: these happen, too


def test_raw_patches_are_windows_of_the_mosaic_turned_alike(tmp_path: Path) -> None:
    """Every photosite has its own value, so each patch tells its place and how it was turned."""
    height, width = 28, 36
    mosaic = np.arange(height * width).reshape(height, width).astype(np.uint16) * 60
    packed = np.stack([mosaic[row::2, column::2] for row in (0, 1) for column in (0, 1)])
    store_raw(tmp_path, "a", packed, packed + 7)
    pairs = StoredPairs(tmp_path, "raw", patch_size=16, seed=0, length=200)
    ways, tops, lefts = set(), set(), set()
    for number in range(200):
        pair = pairs[number]
        noisy, clean = (torch.round(pair[key].double() * 65535).long() for key in ("noisy", "clean"))
        assert torch.equal(noisy + 7, clean)
        patch = torch.nn.functional.pixel_shuffle(noisy[None].double(), 2)[0, 0].long().numpy() // 60
        top, left = divmod(int(patch.min()), width)
        window = mosaic[top : top + 16, left : left + 16] // 60
        matches = {way for way, image in enumerate(turned(window)) if np.array_equal(image, patch)}
        assert len(matches) == 1
        ways |= matches
        tops.add(top)
        lefts.add(left)
    assert ways == set(range(8))
    assert (min(tops), min(lefts)) == (0, 0)
    assert max(tops) >= height - 18 and max(lefts) >= width - 18


def test_the_variance_is_that_of_the_noisy_image_with_the_levels_of_its_own_pair(folder: Path) -> None:
    pairs = StoredPairs(folder, "raw", patch_size=16, seed=0, length=40)
    levels = set()
    for number in range(40):
        patch = pairs[number]
        shot = ((patch["variance"].double() - READ) / patch["noisy"].double())[patch["noisy"] > 0.5]
        assert shot.std() < 1e-5
        levels.add(round(shot.mean().item(), 4))
    assert levels == {0.01, 0.02}


def test_pairs_of_both_spaces_serve_either(tmp_path: Path) -> None:
    noisy, clean = np.random.default_rng(0).integers(0, 65536, (2, 4, 12, 14)).astype(np.uint16)
    pair = PairFiles(clean, noisy, None, random_picture(25, 28, seed=0), random_picture(25, 28, seed=1))
    store_pair(tmp_path, "a", pair, 25, 28)  # RAW has the even part of an odd photo
    for space in SPACES:
        for number in range(20):
            assert StoredPairs(tmp_path, space, 16, seed=0, length=20)[number]["noisy"].shape[-1] in (8, 16)


def test_the_folder_of_generate_data_is_understood(tmp_path: Path, tiny_isp: CycleISP) -> None:
    for seed, name in enumerate(("a", "deep/b")):
        write_png(tmp_path / "photos" / f"{name}.png", random_picture(20, 26, seed=seed))
    out = tmp_path / "pairs"
    pair_store = PairStore(out, SETTINGS)
    settings = {**SETTINGS, "version": "1"}
    synthesize = PairSynthesizer(LearnedCamera(tiny_isp), PROFILES["dnd"])
    factory = PairFactory(pair_store, Computing(synthesize), settings, batch_size=1, workers=1)
    assert factory.run(find_sources([tmp_path / "photos"]), progress=False).made == 2
    pair_store.merge()
    assert [pair.name for pair in find_pairs(out)] == ["a", "deep/b"]
    noisy, clean = read_pair(find_pairs(out)[0])
    assert noisy.shape == clean.shape == (20, 26, 3)
    assert not np.array_equal(noisy, clean)
    shapes: dict[Space, tuple[int, ...]] = {"srgb": (3, 16, 16), "raw": (4, 8, 8)}
    for space, shape in shapes.items():
        pairs = StoredPairs(out, space, patch_size=16, seed=0, length=4)
        assert pairs[3]["noisy"].shape == pairs[3]["clean"].shape == shape


# ---------------------------------------------------------------- stored pairs: what is refused


def test_pairs_smaller_than_a_patch_are_left_out(tmp_path: Path) -> None:
    store_srgb(tmp_path, "small", numbered(15, 60, 1), numbered(15, 60, 1))
    store_srgb(tmp_path, "large", numbered(16, 60, 2), numbered(16, 60, 2))
    pairs = StoredPairs(tmp_path, "srgb", patch_size=16, seed=0, length=20)
    assert {round(float(pairs[number]["clean"][2, 0, 0]) * 255) for number in range(20)} == {2}


@pytest.mark.parametrize(("space", "side"), [("srgb", 15), ("raw", 16)])
def test_a_folder_of_pairs_all_smaller_than_a_patch_says_what_to_lower(tmp_path: Path, space: Space, side: int) -> None:
    picture, planes = numbered(side, 60, 1), np.zeros((4, side // 2, 30), np.uint16)
    store_pair(tmp_path, "a", PairFiles(planes, planes, None, picture, picture), side, 60)
    with pytest.raises(UserError, match=r"every pair is smaller than a patch of 1[68] pixels; lower data\.patch_size"):
        StoredPairs(tmp_path, space, patch_size=16, seed=0, length=4)


@pytest.mark.parametrize("space", SPACES)
def test_a_folder_without_pairs_of_this_space_says_how_to_make_them(tmp_path: Path, space: Space) -> None:
    planes, picture = np.zeros((4, 12, 12), np.uint16), numbered(24, 24, 1)
    if space == "raw":
        store_srgb(tmp_path, "a", picture, picture)
    else:
        store_raw(tmp_path, "a", planes, planes)
    with pytest.raises(UserError, match=f"have no {space} part; make them with generate_data.py --space {space}"):
        StoredPairs(tmp_path, space, patch_size=16, seed=0, length=4)


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no manifest\.jsonl"):
        StoredPairs(tmp_path, "raw", patch_size=16, seed=0, length=4)


def deleted(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


@pytest.mark.parametrize("damage", [deleted, cut])
@pytest.mark.parametrize("space", SPACES)
def test_a_listed_file_that_is_gone_or_damaged_is_named(
    tmp_path: Path, space: Space, damage: Callable[[Path], None]
) -> None:
    planes, picture = np.ones((4, 12, 12), np.uint16), numbered(24, 24, 1)
    store_pair(tmp_path, "a", PairFiles(planes, planes, None, picture, picture), 24, 24)
    pairs = StoredPairs(tmp_path, space, patch_size=16, seed=0, length=4)
    path = tmp_path / read_manifest(tmp_path)[0]["files"]["raw" if space == "raw" else "srgb_clean"]
    damage(path)
    with pytest.raises(UserError) as refused:
        pairs[0]
    assert str(refused.value).startswith(f"{path}: ")
