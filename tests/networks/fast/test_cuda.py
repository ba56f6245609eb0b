"""What only a CUDA GPU can show: it computes what the CPU computes, and a run on it learns."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import denoise
import generate_data
import train_denoiser
from benchmarks import speed
from cycleisp.networks import Rgb2Raw
from cycleisp.networks.acceleration import record_trunks, to_device
from cycleisp.networks.cycleisp import CycleISP
from cycleisp.networks.fast.strips import bands, feature_maps
from cycleisp.networks.objectives import Rgb2RawObjective
from cycleisp.networks.pretrained import build, load_network
from cycleisp.networks.synthesis.finishing import jpeg
from cycleisp.networks.synthesis.learned_camera import LearnedCamera
from cycleisp.networks.synthesis.photo_pairs import PairSynthesizer
from cycleisp.tasks.training import train_denoiser as train_denoiser_task
from cycleisp.utils.config import DenoiserRecipe, TrainingRecipe, load_recipe
from cycleisp.utils.devices import computing, download, tf32, upload
from cycleisp.utils.images import as_float, photo_to_tensor
from cycleisp.utils.metrics import psnr
from cycleisp.utils.raw.noise import PROFILES
from cycleisp.utils.training.launch import launch
from cycleisp.utils.training.trainer import Trainer
from cycleisp.utils.weights.kinds import KINDS
from tests.support.paths import ROOT
from tests.support.pictures import random_picture, write_png
from tests.support.scripts import call_script
from tests.support.training import Patches, recipe

SIZES = {"width": 32, "num_groups": 2, "num_blocks": 2, "reduction": 4}
# Of the parts of the table of networks; a part that is not here has its default sizes.
SMALL: dict[str, dict[str, object]] = {
    "denoiser": SIZES,
    "rgb2raw": SIZES,
    "gated": {"width": 32, "encoder": (1, 2), "decoder": (1,)},
}
NETWORKS = {"Rgb2Raw": (3,)} | {
    kind.name: {"srgb": (3,), "raw": (4, 4)}[kind.denoises] for kind in KINDS.values() if kind.denoises
}
PARTS_OF_THE_PAPER = ("denoiser", "rgb2raw")
PAPERS = ("SrgbDenoiser", "RawDenoiser", "Rgb2Raw")  # whose trunks have kernels, and can go by strips
TRAINED = [name for name in NETWORKS if name.startswith("Srgb")]
# Largest difference to the CPU, in deviations of its result: rounding to 24, 11 and 8 bits, through
# some ten layers.
TOLERANCE = {"float32": 1e-4, "tf32": 2e-2, "bf16": 2e-1}


@pytest.fixture
def gpu() -> torch.device:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA GPU here")
    torch._dynamo.reset()  # the compiler takes a few shapes only
    return torch.device("cuda")


def make(case: str, batch: int, height: int, width: int) -> tuple[nn.Module, list[Tensor]]:
    """Returns a small network, no block of which is the identity, and inputs for it."""
    options = {"stabilized": True} if "stabilized" in KINDS[case].options else {}
    torch.manual_seed(0)
    network = build(case, {KINDS[case].part: SMALL.get(KINDS[case].part, {}), **options}).eval().requires_grad_(False)
    for name, weights in network.named_parameters():
        if name.endswith("scale"):  # of skips, which begin at 0
            weights.uniform_(0.2, 0.5)
    return network, images(case, network, batch, height, width)


def images(case: str, network: nn.Module, batch: int, height: int, width: int) -> list[Tensor]:
    """Returns inputs for a network, whose sides are rounded up to multiples that it takes."""
    multiple = getattr(network, "multiple", 2 if case == "Rgb2Raw" else 1)
    height, width = (-(-side // multiple) * multiple for side in (height, width))
    return [0.05 + 0.9 * torch.rand(batch, count, height, width) for count in NETWORKS[case]]


def difference(found: Tensor, expected: Tensor) -> float:
    return float((found.float().cpu() - expected).abs().max() / expected.std())


@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize("case", NETWORKS)
def test_networks_compute_what_the_cpu_computes(gpu: torch.device, case: str, precision: str) -> None:
    """Shapes that come again are recorded at the second time, and replayed with other images."""
    network, _ = make(case, 1, 8, 8)
    on_gpu = to_device(copy.deepcopy(network), gpu)
    shapes = ((2, 32, 48), (1, 62, 34), (1, 1, 1), (3, 8, 400))
    for batch, height, width in (*shapes[:2], *shapes, *shapes[:2]):
        inputs = images(case, network, batch, height, width)
        with torch.inference_mode():
            expected = network(*inputs)
            with computing(precision, gpu):
                found = on_gpu(*(image.to(gpu) for image in inputs))
        assert difference(found, expected) < TOLERANCE[precision]


def test_an_image_gives_the_same_result_in_any_batch(gpu: torch.device) -> None:
    network, (three,) = make("SrgbDenoiser", 3, 40, 56)
    network, three = to_device(network, gpu), three.to(gpu)
    with torch.inference_mode(), computing("bf16", gpu):
        together = [network(three) for _ in range(3)]
        alone = torch.cat([network(image) for image in three.split(1)])
    assert all(torch.equal(result, together[0]) for result in together)
    assert (alone - together[0]).abs().max() < 1e-2  # cuDNN chooses its kernels by the shape


@pytest.mark.parametrize("case", TRAINED)
def test_changed_weights_count(gpu: torch.device, case: str) -> None:
    network, (image,) = make(case, 1, 40, 56)
    on_gpu = to_device(copy.deepcopy(network), gpu)
    for change in (1.0, 1.1, 0.9):
        with torch.inference_mode(), computing("float32", gpu):
            found = [on_gpu(image.to(gpu)) for _ in range(3)]
            expected = network(image)
        assert max(difference(result, expected) for result in found) < TOLERANCE["float32"]
        for weights in (*network.parameters(), *on_gpu.parameters()):
            weights.mul_(change)


@pytest.mark.parametrize("case", TRAINED)
@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-4), ("tf32", 0.05), ("bf16", 0.15)])
def test_gradients_are_those_of_the_cpu(
    gpu: torch.device, precision: str, tolerance: float, compiled: bool, recorded: bool, case: str
) -> None:
    """Step after step, with other images and other weights."""
    network, (image,) = make(case, 2, 40, 56)
    network.train().requires_grad_(True)
    on_gpu = to_device(copy.deepcopy(network), gpu, compiled)
    if recorded:
        with computing(precision, gpu):
            record_trunks(on_gpu, lambda: on_gpu(image.to(gpu)), precision)
    for step in range(3):
        for one in (network, on_gpu):
            one.zero_grad()
        others = torch.rand(image.shape, generator=torch.Generator().manual_seed(step))
        network(others).square().mean().backward()
        with computing(precision, gpu):
            on_gpu(others.to(gpu)).square().mean().backward()
        for expected, found in zip(network.parameters(), on_gpu.parameters(), strict=True):
            assert expected.grad is not None and found.grad is not None
            assert (found.grad.cpu() - expected.grad).norm() < tolerance * expected.grad.norm() + 1e-7
        with torch.no_grad():
            for weights in (*network.parameters(), *on_gpu.parameters()):
                weights.mul_(1.1)
    with torch.inference_mode(), computing("float32", gpu):
        assert difference(on_gpu.eval()(image.to(gpu)), network.eval()(image)) < TOLERANCE["float32"]


@pytest.mark.parametrize("fit", [0, 1, 2, 3])
@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize("case", PAPERS)
def test_images_that_do_not_fit_go_by_strips(
    gpu: torch.device, case: str, precision: str, fit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, inputs = make(case, 1, 62, 34)
    with torch.inference_mode():
        expected = network(*inputs)
        size = 62 * 34 * SIZES["width"] * (2 if precision == "bf16" else 4)
        monkeypatch.setattr(feature_maps, "SURELY_FITS", 0)
        monkeypatch.setattr(feature_maps, "memory_for_maps", lambda _device: fit * size)
        monkeypatch.setattr(bands, "GPU_STRIP_BYTES", 1)
        network = to_device(network, gpu)
        with computing(precision, gpu):
            found = network(*(image.to(gpu) for image in inputs))
    assert difference(found, expected) < TOLERANCE[precision]


def test_pairs_are_those_of_the_cpu(gpu: torch.device, tiny_isp: CycleISP) -> None:
    """Noise depends on the seed alone. Rounding changes values by less than an 8-bit level."""
    photos = torch.from_numpy(random_picture(40, 56, seed=1)).permute(2, 0, 1)[None].float() / 255
    try:
        pairs = [
            PairSynthesizer(LearnedCamera(tiny_isp.to(device)), PROFILES["sidd"])(photos, [5])[0]
            for device in (torch.device("cpu"), gpu)
        ]
    finally:
        tiny_isp.to("cpu")
    assert pairs[0].shot_noise == pairs[1].shot_noise
    for name in ("clean_raw", "noisy_raw", "noisy_srgb"):
        one, other = (getattr(pair, name) for pair in pairs)
        assert (one - other).abs().max() < 1 / 255


def test_jpeg_stays_on_the_gpu_and_is_that_of_the_cpu(gpu: torch.device) -> None:
    """Few values differ (tests/networks/synthesis/test_jpeg.py); TF32 would change many."""
    photos = torch.stack([photo_to_tensor(as_float(random_picture(61, 75, seed=seed))) for seed in range(4)])
    qualities, halves = [98, 0, 60, 90], [True, False, False, True]
    expected = jpeg(photos, qualities, halves)
    with tf32(True):
        found = jpeg(photos.to(gpu), qualities, halves)
    assert found.device.type == "cuda"
    apart = 255 * (found.cpu() - expected).abs()
    assert torch.equal(found[1].cpu(), photos[1])
    assert apart.mean() < 0.15 and (apart > 0.5).float().mean() < 0.1


@pytest.mark.parametrize("case", [name for name in NETWORKS if KINDS[name].part not in PARTS_OF_THE_PAPER])
def test_a_run_of_each_further_family_learns(gpu: torch.device, tmp_path: Path, tiny_weights: Path, case: str) -> None:
    """With compiled blocks and recorded trunks where the family has them."""
    space = KINDS[case].denoises
    for seed in range(2):
        write_png(tmp_path / "photos" / f"{seed}.png", random_picture(80, 96, seed=seed))
    part = {KINDS[case].part: SMALL.get(KINDS[case].part, {})}
    smoke = load_recipe(DenoiserRecipe, ROOT / "configs" / "denoiser_smoke.yaml", ["train.steps=20"])
    recipe = DenoiserRecipe.model_validate({**smoke.model_dump(exclude={"network"}), "network": part})
    options = {"photos": [tmp_path / "photos"], "weights": str(tiny_weights), "device": gpu.type}
    assert train_denoiser_task(recipe, tmp_path / "run", space, **options)
    record = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert record["step"] == 20 and np.isfinite(record["psnr_clean"])


def test_a_run_learns_and_the_same_line_goes_on(gpu: torch.device, tmp_path: Path, tiny_weights: Path) -> None:
    for seed in range(2):
        write_png(tmp_path / "photos" / f"{seed}.png", random_picture(80, 96, seed=seed))
    line = ["--config", ROOT / "configs" / "denoiser_smoke.yaml", "--space", "srgb", "--device", gpu.type]
    line += ["--photos", tmp_path / "photos", "--weights", tiny_weights, "--run-dir", tmp_path / "run"]
    line += ["--set", "train.steps=40", "train.log_every=5", "train.checkpoint_every=5", "train.validate_every=20"]
    for options in (["--stop-after", "0.0001"], []):
        result = call_script(train_denoiser.main, *line, *options)
        assert result.returncode == 0, result.stderr
    measured = [json.loads(text) for text in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in measured] == [20, 40]
    assert np.isfinite([record["psnr_clean"] for record in measured]).all()


def test_validation_measures_the_weights_of_its_step(gpu: torch.device, tmp_path: Path) -> None:
    """Without a moving average, the last validation must not use the first one's kernels."""
    sizes = {"rgb2raw": {"width": 32, "num_groups": 1, "num_blocks": 2, "reduction": 4}}
    settings = recipe(steps=12, validate_every=4, ema_decay=0, learning_rate=1e-2, precision="float32")
    whole = TrainingRecipe(seed=5, train=settings)
    fabric = launch(whole, gpu.type)
    options = {"recipe": whole, "run_dir": tmp_path, "sizes": sizes, "record": record_trunks}
    run = Trainer(fabric, build("Rgb2Raw", sizes), Rgb2RawObjective(1e-3), **options)
    patches = Patches(3)
    assert run.fit(Patches(24), patches)
    network = load_network(tmp_path / "weights.safetensors", Rgb2Raw)
    with torch.inference_mode():
        expected = [
            psnr(network(patch["srgb"][None]), patch["raw"][None]) for patch in map(patches.__getitem__, range(3))
        ]
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [4, 8, 12]
    assert records[-1]["psnr_raw"] == pytest.approx(np.mean(expected), abs=0.02)


@pytest.mark.parametrize("network", [name for name in speed.CASES if name.startswith("srgb")])
@pytest.mark.parametrize("training", [False, True])
def test_the_benchmark_measures(gpu: torch.device, training: bool, network: str, tmp_path: Path) -> None:
    figures = tmp_path / "speed.json"
    options = ["--networks", network, "--sizes", "64x64", "32x48", "--repeats", 2, "--warm-up", 2]
    options += ["--training", "--batch", 2] if training else []
    result = call_script(speed.main, *options, "--device", gpu.type, "--json", figures)
    assert result.returncode == 0, result.stderr
    rows = json.loads(figures.read_text())
    assert len(rows) == 2 and all(row["fast_bytes"] > 0 and row["difference"] < 0.5 for row in rows)


def test_the_scripts_run(gpu: torch.device, tmp_path: Path, tiny_weights: Path) -> None:
    for size in (40, 56):
        write_png(tmp_path / "photos" / f"{size}.png", random_picture(size, 48, seed=size))
    options = ("--weights", tiny_weights, "--output", tmp_path / "pairs", "--device", gpu.type, "--batch-size", 2)
    result = call_script(generate_data.main, "--input", tmp_path / "photos", *options)
    assert result.returncode == 0, result.stderr
    result = call_script(denoise.main, tmp_path / "photos", "--output", tmp_path / "denoised", "--device", gpu.type)
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in (tmp_path / "denoised").iterdir()) == ["40.png", "56.png"]


def test_tensors_go_to_the_gpu_and_come_back(gpu: torch.device) -> None:
    tensors = [torch.rand(3, 40, 50), torch.arange(7)]
    there = [upload(tensor, gpu) for tensor in tensors]
    assert all(tensor.device.type == "cuda" for tensor in there)
    back = download([there[0].transpose(1, 2), there[1]])
    assert torch.equal(back[0], tensors[0].transpose(1, 2)) and torch.equal(back[1], tensors[1])
    assert all(tensor.is_pinned() for tensor in back)
