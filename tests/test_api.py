"""What `import cycleisp` offers: it denoises, keeps the form of what it is given, and agrees with
the scripts.
"""

import doctest
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage import data
from skimage.metrics import peak_signal_noise_ratio as psnr
from torch import Tensor
from torch.utils.data import DataLoader

import cycleisp
import denoise as denoise_script
import generate_data
from cycleisp import api, pair_dataset
from cycleisp.dataloaders.pairs.store import read_manifest, read_raw_pair
from cycleisp.dataloaders.photos import read_photo
from cycleisp.networks import CycleISP, RawDenoiser, SrgbDenoiser
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import channels_last, photo_to_tensor
from cycleisp.utils.pairs import NoisyCleanPair
from cycleisp.utils.raw.noise import FixedNoise
from tests.support.paths import shared
from tests.support.pictures import random_picture, write_png
from tests.support.scripts import call_script

NOISE = FixedNoise(0.01, 0.0005)
RAW_SHAPE = (4, 24, 20)


EXAMPLES = [example for module in (api, pair_dataset) for example in doctest.DocTestFinder().find(module)]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_the_examples_in_the_documentation_are_right(example: doctest.DocTest) -> None:
    said: list[str] = []
    assert doctest.DocTestRunner().run(example, out=said.append).failed == 0, "".join(said)


def a_photo(height: int = 24, width: int = 32, dtype: Any = np.uint8, seed: int = 0) -> NDArray:
    return random_picture(height, width, dtype, seed)


def some_raw(seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(0.1, 0.9, RAW_SHAPE).astype(np.float32)


def one(pair: NoisyCleanPair[Any] | list[NoisyCleanPair[Any]]) -> Any:
    assert isinstance(pair, NoisyCleanPair)
    return pair


# ---------------------------------------------------------------- load


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("compact_isp", CycleISP),
        ("compact_matching", CycleISP),
        ("compact_raw", RawDenoiser),
        ("compact_srgb", SrgbDenoiser),
    ],
)
def test_shipped_networks_are_loaded_by_name_ready_for_inference(name: str, kind: type) -> None:
    network = cycleisp.load(name)
    assert type(network) is kind
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert {parameter.device.type for parameter in network.parameters()} == {"cpu"}


def test_networks_are_loaded_by_path(weights: dict[str, Path], tiny_weights: Path) -> None:
    assert isinstance(cycleisp.load(weights["raw"]), RawDenoiser)
    assert isinstance(cycleisp.load(str(tiny_weights), device=torch.device("cpu")), CycleISP)


def test_weights_and_devices_that_are_not_there_are_named(weights: dict[str, Path]) -> None:
    with pytest.raises(UserError, match="nowhere: neither a file nor shipped weights"):
        cycleisp.load("nowhere")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="PyTorch sees no CUDA GPU"):
            cycleisp.load(weights["raw"], device="cuda")


# ---------------------------------------------------------------- denoise: what it is for


def test_denoising_a_synthetic_noisy_photo_improves_it() -> None:
    clean = data.astronaut()[:128, 128:256]
    noisy = one(cycleisp.synthesize(clean, noise="shot=0.01,read=0.0005", clean_target="residual", blur=0)).noisy_srgb
    before, after = (psnr(clean, image) for image in (noisy, cycleisp.denoise(noisy)))
    assert before < 30
    assert after > before + 4


def test_denoising_real_noisy_photos_improves_them() -> None:
    gains = []
    for path in sorted(shared("data/real_noise/sidd/noisy").iterdir())[:4]:
        noisy, clean = read_photo(path), read_photo(path.parents[1] / "clean" / path.name)
        gains.append(psnr(clean, cycleisp.denoise(noisy)) - psnr(clean, noisy))
    assert min(gains) > 0
    assert np.mean(gains) > 8  # dB


def test_denoising_raw_improves_it_with_known_and_with_estimated_noise() -> None:
    photo = data.astronaut()[:256, :256]
    pair = one(cycleisp.synthesize(photo, noise=f"shot={NOISE.shot_noise},read={NOISE.read_noise}", space="raw"))
    before = psnr(pair.clean_raw, pair.noisy_raw, data_range=1)
    for noise in (NOISE, None):
        after = psnr(pair.clean_raw, cycleisp.denoise(pair.noisy_raw, noise=noise), data_range=1)
        assert after > before + 6


# ---------------------------------------------------------------- denoise: forms


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_denoise_gives_what_the_script_writes(tmp_path: Path, weights: dict[str, Path], dtype: type) -> None:
    photo = a_photo(35, 46, dtype)
    path = write_png(tmp_path / "a.png", photo)
    options = ("--output", tmp_path / "out", "--weights", weights["srgb"], "--device", "cpu")
    assert call_script(denoise_script.main, path, *options).returncode == 0
    denoised = cycleisp.denoise(photo, weights=weights["srgb"], device="cpu")
    np.testing.assert_array_equal(denoised, read_photo(tmp_path / "out" / "a.png"))
    assert not np.array_equal(denoised, photo)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32, np.float64])
@pytest.mark.parametrize("space", ["srgb", "raw"])
@pytest.mark.parametrize("batch", [(), (1,), (2,)])
def test_an_array_comes_back_in_its_form(
    weights: dict[str, Path], dtype: type, space: str, batch: tuple[int, ...]
) -> None:
    shape = (*batch, 24, 20, 3) if space == "srgb" else (*batch, *RAW_SHAPE)
    unit = np.random.default_rng(0).uniform(size=shape)
    image = (unit * np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else unit).astype(dtype)
    before = image.copy()
    noise = NOISE if space == "raw" else None
    kept = cycleisp.denoise(image, weights=weights[f"{space}-identity"], noise=noise)
    assert (kept.shape, kept.dtype, kept.flags.c_contiguous) == (image.shape, image.dtype, True)
    np.testing.assert_allclose(kept, image, atol=1e-7)
    changed = cycleisp.denoise(image, weights=weights[space], noise=noise)
    assert not np.allclose(changed, image, atol=1e-3)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_a_tensor_comes_back_in_its_form(
    weights: dict[str, Path], dtype: torch.dtype, channels: int, batch: tuple[int, ...]
) -> None:
    unit = torch.rand((*batch, channels, 24, 20), generator=torch.Generator().manual_seed(0))
    image = unit.to(dtype) if dtype.is_floating_point else (unit * torch.iinfo(dtype).max).to(dtype)
    options: dict[str, Any] = {"noise": NOISE} if channels == 4 else {}
    name = "raw" if channels == 4 else "srgb"
    kept = cycleisp.denoise(image, weights=weights[f"{name}-identity"], **options)
    assert (kept.shape, kept.dtype, kept.device) == (image.shape, image.dtype, image.device)
    torch.testing.assert_close(kept.double(), image.double(), atol=1e-6, rtol=0)
    assert not kept.is_inference()  # others may train on it


def test_arrays_and_tensors_give_the_same_values(weights: dict[str, Path]) -> None:
    photo = a_photo(dtype=np.uint16)
    array = cycleisp.denoise(photo.astype(np.float32) / 65535, weights=weights["srgb"])
    tensor = cycleisp.denoise(photo_to_tensor(photo), weights=weights["srgb"])
    np.testing.assert_allclose(channels_last(tensor), array, atol=1e-6)
    again = cycleisp.denoise(photo, weights=weights["srgb"])
    np.testing.assert_allclose(again / 65535, array, atol=0.51 / 65535)


def test_a_batch_gives_what_single_images_give(weights: dict[str, Path]) -> None:
    raw = np.stack([some_raw(0), some_raw(1)])
    together = cycleisp.denoise(raw, weights=weights["raw"], noise=NOISE)
    alone = [cycleisp.denoise(image, weights=weights["raw"], noise=NOISE) for image in raw]
    np.testing.assert_array_equal(together, np.stack(alone))


@pytest.mark.parametrize("size", [(1, 1), (3, 7), (75, 40)])
def test_images_of_any_size_whole_and_in_tiles(weights: dict[str, Path], size: tuple[int, int]) -> None:
    photo = a_photo(*size)
    for tile in (None, 16):
        kept = cycleisp.denoise(photo, weights=weights["srgb-identity"], tile=tile)
        np.testing.assert_array_equal(kept, photo)


def test_arrays_that_cannot_be_written_or_are_flipped_are_fine(weights: dict[str, Path]) -> None:
    photo = a_photo().astype(np.float32) / 255
    photo.setflags(write=False)
    expected = cycleisp.denoise(photo[::-1, ::-1].copy(), weights=weights["srgb"])
    np.testing.assert_array_equal(cycleisp.denoise(photo[::-1, ::-1], weights=weights["srgb"]), expected)


def test_a_loaded_network_is_used_as_it_is(weights: dict[str, Path]) -> None:
    network = cycleisp.load(weights["srgb"])
    photo = a_photo()
    np.testing.assert_array_equal(
        cycleisp.denoise(photo, weights=network), cycleisp.denoise(photo, weights=weights["srgb"])
    )
    with pytest.raises(ValueError, match="needs a RawDenoiser or a RawGatedDenoiser, got a SrgbDenoiser"):
        cycleisp.denoise(some_raw(), weights=network, noise=NOISE)


# ---------------------------------------------------------------- denoise: noise levels


def test_a_noise_level_may_be_written_in_four_ways(weights: dict[str, Path]) -> None:
    raw = some_raw()
    shot, read = NOISE.shot_noise, NOISE.read_noise
    ways: list[Any] = [NOISE, (shot, read), f"shot={shot},read={read}", ([shot] * 4, (read, read, read, read))]
    results = [cycleisp.denoise(raw, weights=weights["raw"], noise=noise) for noise in ways]
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])
    other = cycleisp.denoise(raw, weights=weights["raw"], noise=([shot, shot, shot, 0.5], read))
    assert not np.array_equal(other, results[0])


def test_noise_that_is_not_told_is_estimated(weights: dict[str, Path]) -> None:
    signal = np.linspace(0.1, 0.7, 120, dtype=np.float32) * np.ones((4, 100, 1), np.float32)
    white = np.random.default_rng(0).standard_normal(signal.shape, np.float32)
    raw = (signal + np.sqrt(0.01 * signal + 0.0005) * white).clip(0, 1)
    estimated = cycleisp.denoise(raw, weights=weights["raw"])
    told, wrong = (cycleisp.denoise(raw, weights=weights["raw"], noise=level) for level in (NOISE, (0.3, 0.1)))
    assert np.abs(estimated - told).mean() < 0.05 * np.abs(wrong - told).mean()


# ---------------------------------------------------------------- denoise: errors


@pytest.mark.parametrize(
    ("image", "options", "words"),
    [
        (np.zeros((8, 8)), {}, r"expected a photo \(H, W, 3\) or packed RAW .* got shape \(8, 8\)"),
        (torch.zeros(8, 8, 3), {}, r"expected a photo \(3, H, W\) or packed RAW .* got shape \(8, 8, 3\)"),
        (np.zeros((0, 8, 3)), {}, r"got shape \(0, 8, 3\)"),
        (np.zeros((4, 8, 3)), {}, r"shape \(4, 8, 3\) may be a photo or packed RAW; say which"),
        (np.zeros((8, 8, 3)), {"space": "raw"}, r"expected packed RAW \(4, H/2, W/2\)"),
        (np.full((8, 8, 3), 255.0), {}, r"expected values in \[0, 1\], got 255 to 255; scale the image"),
        (np.full((8, 8, 3), -0.1), {}, r"got -0.1 to -0.1; scale the image, or clip it"),
        (np.full((8, 8, 3), np.nan), {}, r"expected values in \[0, 1\], got nan"),
        (torch.full((3, 8, 8), 1.5), {}, r"got 1.5 to 1.5"),
        (np.zeros((8, 8, 3), np.int32), {}, "expected floats in .* uint8 or uint16, got int32"),
        (torch.zeros((3, 8, 8), dtype=torch.int64), {}, "got torch.int64"),
        (np.zeros((8, 8, 3)), {"noise": NOISE}, "the denoiser of photos takes no noise level"),
        (np.zeros((4, 8, 8)), {"noise": "dnd"}, "'dnd' is a range of levels"),
        (np.zeros((4, 8, 8)), {"noise": "loud"}, "unknown noise 'loud'"),
        (np.zeros((4, 8, 8)), {"noise": (2, 0)}, r"shot noise 2: expected a variance in \[0, 1\]"),
        (np.zeros((4, 8, 8)), {"noise": (0, [0.1, 0.1])}, "read noise .*or four, of R, G_r, G_b and B"),
        (np.zeros((4, 8, 8)), {}, r"to estimate its noise; give noise=\(shot, read\)"),
    ],
    ids=str,
)
def test_what_cannot_be_denoised_is_said(image: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        cycleisp.denoise(image, **options)


def test_the_shape_that_fits_both_is_taken_as_it_is_said() -> None:
    image = np.full((4, 8, 3), 0.5, np.float32)
    assert cycleisp.denoise(image, space="srgb").shape == cycleisp.denoise(image, space="raw", noise=NOISE).shape


def test_lists_are_no_images() -> None:
    with pytest.raises(TypeError, match="expected a numpy array or a torch tensor, got list"):
        cycleisp.denoise([[0.5]])  # type: ignore[type-var]


# ---------------------------------------------------------------- synthesize


def test_pairs_are_those_of_the_script(tmp_path: Path, tiny_weights: Path) -> None:
    for name, dtype in (("a", np.uint8), ("b", np.uint16)):
        write_png(tmp_path / "in" / f"{name}.png", a_photo(21, 30, dtype, seed=4))
    options = ("--output", tmp_path / "out", "--weights", tiny_weights, "--device", "cpu", "--noise", "sidd")
    assert call_script(generate_data.main, "--input", tmp_path / "in", *options).returncode == 0
    records = read_manifest(tmp_path / "out")
    assert len(records) == 2
    for record in records:
        photo = read_photo(Path(record["source"]))
        pair = one(cycleisp.synthesize(photo, noise="sidd", pair_seed=record["pair_seed"], weights=tiny_weights))
        clean, noisy, _ = read_raw_pair(tmp_path / "out" / record["files"]["raw"])
        np.testing.assert_array_equal(np.rint(pair.clean_raw.astype(np.float64) * 65535), clean)
        np.testing.assert_array_equal(np.rint(pair.noisy_raw.astype(np.float64) * 65535), noisy)
        for kind in ("clean", "noisy"):
            stored = read_photo(tmp_path / "out" / record["files"][f"srgb_{kind}"])
            np.testing.assert_array_equal(getattr(pair, f"{kind}_srgb"), stored)
        assert (pair.shot_noise, pair.read_noise) == (record["shot_noise"], record["read_noise"])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_the_pair_of_an_array_is_of_arrays(tiny_weights: Path, dtype: type) -> None:
    photo = a_photo(17, 22)
    image = photo.astype(dtype) / 255 if np.issubdtype(dtype, np.floating) else photo.astype(dtype)
    pair = one(cycleisp.synthesize(image.astype(dtype), weights=tiny_weights))
    for raw in (pair.clean_raw, pair.noisy_raw):
        assert (raw.shape, raw.dtype) == ((4, 8, 11), np.float32)
        assert raw.min() >= 0 and raw.max() <= 1
    for srgb in (pair.clean_srgb, pair.noisy_srgb):
        assert (srgb.shape, srgb.dtype) == (image.shape, dtype)


def test_the_pair_of_a_tensor_is_of_tensors_and_has_the_same_values(tiny_weights: Path) -> None:
    photo = a_photo(16, 24)
    arrays = one(cycleisp.synthesize(photo.astype(np.float32) / np.float32(255), seed=3, weights=tiny_weights))
    tensors = one(cycleisp.synthesize(photo_to_tensor(photo), seed=3, weights=tiny_weights))
    assert isinstance(tensors.noisy_raw, Tensor) and isinstance(tensors.noisy_srgb, Tensor)
    np.testing.assert_allclose(tensors.noisy_raw.numpy(), arrays.noisy_raw, atol=1e-5)
    np.testing.assert_allclose(channels_last(tensors.noisy_srgb), arrays.noisy_srgb, atol=1e-5)
    scale = torch.ones((), requires_grad=True)  # others train on such pairs
    ((scale * tensors.noisy_srgb - tensors.clean_srgb) ** 2).mean().backward()
    assert scale.grad is not None and math.isfinite(scale.grad.item())


def test_a_pair_depends_on_photo_and_seed_alone(tiny_weights: Path) -> None:
    photos = [photo_to_tensor(a_photo(16, 24, seed=seed)).contiguous() for seed in range(3)]

    def make(photo: Any, seed: int = 0) -> Any:
        return cycleisp.synthesize(photo, seed=seed, weights=tiny_weights)

    alone = [make(photo) for photo in photos]
    for company in (torch.stack(photos), photos, tuple(reversed(photos))):
        pairs = make(company)
        expected = alone[::-1] if isinstance(company, tuple) else alone
        for pair, same in zip(pairs, expected, strict=True):
            torch.testing.assert_close(pair.noisy_raw, same.noisy_raw, atol=1e-6, rtol=0)
            assert pair.shot_noise == same.shot_noise
    assert len({pair.shot_noise for pair in alone}) == 3  # each photo has noise of its own
    assert make(photos[0], seed=1).shot_noise != alone[0].shot_noise


def test_only_a_cycleisp_makes_pairs(weights: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="pairs are made by a CycleISP, got a SrgbDenoiser"):
        cycleisp.synthesize(a_photo(8, 8), weights=cycleisp.load(weights["srgb"]))


def test_batches_and_sequences_give_lists(tiny_weights: Path) -> None:
    photo = a_photo(8, 8)
    for batch in (photo[None], [photo], (photo, a_photo(6, 10)), []):
        pairs = cycleisp.synthesize(batch, weights=tiny_weights)  # type: ignore[type-var]
        assert isinstance(pairs, list) and len(pairs) == len(batch)


def test_raw_noise_has_the_variance_that_was_asked_for(tiny_weights: Path) -> None:
    photo = np.full((256, 256, 3), 128, np.uint8)
    pair = one(cycleisp.synthesize(photo, noise="shot=0.002,read=0.0001", space="raw", weights=tiny_weights))
    assert pair.noisy_srgb is pair.clean_srgb is None
    for clean, noisy in zip(pair.clean_raw, pair.noisy_raw, strict=True):
        level = clean[8:-8, 8:-8].mean()
        assert (noisy - clean)[8:-8, 8:-8].var() == pytest.approx(0.002 * level + 0.0001, rel=0.05)


def test_the_camera_may_be_a_loaded_network(tiny_isp: CycleISP, tiny_weights: Path) -> None:
    photo = a_photo(8, 8)
    by_path, loaded = (one(cycleisp.synthesize(photo, weights=weights)) for weights in (tiny_weights, tiny_isp))
    np.testing.assert_array_equal(loaded.noisy_srgb, by_path.noisy_srgb)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"noise": "loud"}, "unknown noise 'loud'"),
        ({"pair_seed": [1, 2]}, "expected one pair_seed for each photo, 1 in all, got 2"),
        ({"photo": some_raw()}, r"expected a photo \(H, W, 3\), or a batch of it, got shape \(4, 24, 20\)"),
        ({"photo": np.zeros((1, 8, 3))}, "at least 2x2 pixels, got 1x8"),
    ],
    ids=str,
)
def test_what_no_pair_can_be_made_of_is_said(tiny_weights: Path, options: dict[str, Any], words: str) -> None:
    photo = options.pop("photo", a_photo(8, 8))
    with pytest.raises(ValueError, match=words):
        cycleisp.synthesize(photo, weights=tiny_weights, **options)


# ---------------------------------------------------------------- PairDataset


@pytest.fixture
def dataset(tmp_path: Path, tiny_weights: Path) -> Callable[..., cycleisp.PairDataset]:
    """Returns a function that opens a small data set of two photos."""
    for seed in range(2):
        write_png(tmp_path / "photos" / f"{seed}.png", a_photo(40, 48, seed=seed))

    def open_dataset(space: Any = "srgb", **options: Any) -> cycleisp.PairDataset:
        given = {"length": 6, "patch_size": 16, "weights": str(tiny_weights), **options}
        return cycleisp.PairDataset(tmp_path / "photos", space, **given)

    return open_dataset


Dataset = Callable[..., cycleisp.PairDataset]


def test_srgb_items_are_pairs(dataset: Dataset) -> None:
    pairs = dataset()
    assert len(pairs) == 6 and len(list(pairs)) == 6
    for item in pairs:
        assert set(item) == {"noisy", "clean"}
        for image in item.values():
            assert (image.shape, image.dtype) == ((3, 16, 16), torch.float32)
            assert 0 <= image.min() <= image.max() <= 1
        assert not torch.equal(item["noisy"], item["clean"])


def test_raw_items_come_with_the_variance_of_their_noise(dataset: Dataset) -> None:
    for item in dataset("raw", noise=["shot=0.01,read=0.0005"]):
        assert {key: tuple(image.shape) for key, image in item.items()} == dict.fromkeys(
            ("noisy", "clean", "variance"), (4, 8, 8)
        )
        torch.testing.assert_close(item["variance"], 0.01 * item["noisy"] + 0.0005)


def same_items(first: Any, second: Any) -> bool:
    return all(
        one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
        for one, other in zip(first, second, strict=True)
    )


def test_an_item_is_a_function_of_seed_and_number(dataset: Dataset) -> None:
    pairs = dataset(seed=3)
    items = [pairs[number] for number in range(6)]
    torch.manual_seed(7)
    other = dataset(seed=3, length=100)
    assert same_items([other[number] for number in reversed(range(6))], items[::-1])
    assert torch.equal(pairs[-1]["noisy"], items[5]["noisy"])
    assert not any(torch.equal(items[0]["noisy"], item["noisy"]) for item in (*items[1:], dataset(seed=4)[0]))
    for number in (6, -7):
        with pytest.raises(IndexError, match=f"item {number} of 6"):
            _ = pairs[number]


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_make_what_one_process_makes(dataset: Dataset, start: str) -> None:
    if start not in torch.multiprocessing.get_all_start_methods():
        pytest.skip(f"this system cannot {start} processes")
    pairs = dataset("raw")
    expected = list(pairs)  # the networks have been used before the workers are forked
    several = 1 if start == "spawn" else 2  # a process that is spawned takes seconds to begin
    loader = DataLoader(pairs, batch_size=None, num_workers=several, multiprocessing_context=start)
    assert same_items(loader, expected)


def test_a_copy_for_another_process_carries_no_network(dataset: Dataset) -> None:
    pairs = dataset()
    content = pickle.dumps(pairs)
    assert len(content) < 10_000
    assert same_items(pickle.loads(content), pairs)


def test_batches_can_be_trained_on(dataset: Dataset) -> None:
    network = torch.nn.Conv2d(3, 3, kernel_size=3, padding=1)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    before = network.weight.detach().clone()
    for batch in DataLoader(dataset(), batch_size=3):
        torch.nn.functional.l1_loss(network(batch["noisy"]), batch["clean"]).backward()
        optimizer.step()
    assert not torch.equal(network.weight, before)


def test_keys_of_a_recipe_change_the_pairs(dataset: Dataset) -> None:
    usual, classical, compressed = (dataset(**keys)[0] for keys in ({}, {"learned_share": 0}, {"jpeg_share": 1}))
    assert torch.equal(usual["clean"], compressed["clean"])  # the same photo, stored in another way
    assert not torch.equal(usual["noisy"], compressed["noisy"])
    assert not torch.equal(usual["noisy"], classical["noisy"])


@pytest.mark.parametrize(
    ("space", "options", "words"),
    [
        ("raw", {"noise": "awgn"}, "noise awgn is for sRGB and stands alone"),
        ("srgb", {"noise": ["awgn", "dnd"]}, "noise awgn is for sRGB and stands alone"),
        ("srgb", {"noise": "loud"}, "unknown noise 'loud'"),
        ("srgb", {"patch_size": 12}, "PairDataset: patch_size"),
        ("srgb", {"learned": 0.5}, "PairDataset: learned"),
        ("srgb", {"weights": "nowhere"}, "nowhere: neither a file nor shipped weights"),
    ],
    ids=str,
)
def test_impossible_choices_are_told_at_once(dataset: Dataset, space: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        dataset(space, **options)


def test_a_data_set_without_photos_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file or folder"):
        cycleisp.PairDataset(tmp_path / "nowhere", length=3)


# ---------------------------------------------------------------- strength


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_strength_0_gives_a_photo_back_and_1_the_result(weights: dict[str, Path], dtype: type) -> None:
    levels = random_picture(16, 20, np.uint8 if dtype is np.uint8 else np.uint16)
    photo = levels.astype(np.float32) / 65535 if dtype is np.float32 else levels
    network = cycleisp.load(weights["srgb"])
    denoised = cycleisp.denoise(photo, weights=network)
    assert not np.array_equal(denoised, photo)
    np.testing.assert_array_equal(cycleisp.denoise(photo, weights=network, strength=0), photo)
    np.testing.assert_array_equal(cycleisp.denoise(photo, weights=network, luma=1, chroma=1), denoised)


def test_luma_and_chroma_of_raw_need_the_white_balance(weights: dict[str, Path]) -> None:
    raw = np.random.default_rng(0).uniform(0.1, 0.3, (4, 16, 20)).astype(np.float32)
    options: dict[str, Any] = {"weights": cycleisp.load(weights["raw"]), "noise": (0.01, 1e-4)}
    luma, chroma, both = (
        cycleisp.denoise(raw, **options, luma=shares[0], chroma=shares[1], white_balance=(2, 1, 1.6)) - raw
        for shares in ((1, 0), (0, 1), (1, 1))
    )
    np.testing.assert_allclose(luma + chroma, both, atol=1e-6)
    wrong: tuple[tuple[dict[str, Any], str], ...] = (
        ({"luma": 0.5}, r"give white_balance=\(R, G, B\)"),
        ({"white_balance": (2, 0, 1)}, "expected three gains above 0"),
        ({"strength": 2}, "^strength 2: expected"),
    )
    for given, words in wrong:
        with pytest.raises(ValueError, match=words):
            cycleisp.denoise(raw, **options, **given)
    with pytest.raises(ValueError, match="white_balance is for packed RAW"):
        cycleisp.denoise(random_picture(8, 8), weights=weights["srgb"], white_balance=(2, 1, 1))
