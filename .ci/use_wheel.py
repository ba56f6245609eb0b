"""Does what users do with an installed wheel; `.ci/wheel` copies this file into a folder away from
the checkout.

python script.py SITE_PACKAGES
"""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image

import cycleisp
from cycleisp.utils.weights import registry

SITE_PACKAGES = Path(sys.argv[1])


def check(what: str, fulfilled: bool) -> None:
    """Prints what has been checked; ends the program with status 1 if it is not so."""
    print(f"{'right' if fulfilled else 'WRONG'}: {what}")
    if not fulfilled:
        sys.exit(1)


package = Path(cycleisp.__file__).parent
check("the package is the installed one", package == SITE_PACKAGES / "cycleisp")
check("its version is that of its metadata", version("cycleisp") == cycleisp.__version__)
check("it says that it has types", (package / "py.typed").is_file())
names = ("networks", "dataloaders", "utils", "tests", "configs", "pretrained_models")
check("it installs nothing under a general name", not any(list(SITE_PACKAGES.glob(f"{name}*")) for name in names))
check("recipes are inside", len(list((package / "configs").rglob("*.yaml"))) > 10)

shipped = [weights.name for weights in registry.read_registry().weights if not weights.sources]
check("weights are inside", len(shipped) >= 4)
for name in shipped:
    network = cycleisp.load(name)
    check(f"{name} is a {type(network).__name__}", sum(one.numel() for one in network.parameters()) > 1000)

rng = np.random.default_rng(0)
clean = np.tile(np.linspace(60, 200, 64).astype(np.uint8)[:, None], (48, 1, 3))
noisy = np.clip(clean + rng.normal(0, 15, clean.shape), 0, 255).round().astype(np.uint8)
denoised = cycleisp.denoise(noisy)
errors = [float(np.square(image.astype(float) - clean).mean()) for image in (noisy, denoised)]
check(f"denoising reduces the squared error from {errors[0]:.0f} to {errors[1]:.0f}", 3 * errors[1] < errors[0])
pair = cycleisp.synthesize(clean, noise="sidd", seed=1)
check("a pair is made", not isinstance(pair, list) and pair.noisy_raw.shape == (4, 24, 32))

command = Path(sys.executable).with_name("cycleisp")  # which stands beside Python in an environment
listed = subprocess.run([command, "--help"], capture_output=True, text=True, check=True).stdout
check(
    "cycleisp --help lists the scripts",
    all(name in listed for name in ("denoise ", "generate-data ", "train-denoiser ")),
)
Image.fromarray(noisy).save("noisy.png")
subprocess.run([command, "denoise", "noisy.png", "--output", "denoised"], check=True)
written = np.asarray(Image.open("denoised/noisy.png"))
check("cycleisp denoise writes what the function returns", np.abs(written.astype(int) - denoised).max() <= 1)
subprocess.run([command, "generate_data", "--input", "noisy.png", "--output", "pairs"], check=True)
check("cycleisp generate_data makes a pair", Path("pairs/manifest.jsonl").is_file())

page = subprocess.run(
    [sys.executable, "-m", "pydoc", "cycleisp.networks.fast"], capture_output=True, text=True, check=True
).stdout
check("pydoc explains cycleisp.networks.fast", len(page.partition("DESCRIPTION")[0]) > 60)
