"""Turn clean photos into realistic noisy/clean pairs, in RAW and in sRGB.

    python generate_data.py --input PHOTOS --output PAIRS --noise dnd --preview

Killed at any moment and run again, it goes on; the same seed and photo always give the same pair. Under torchrun the
photos are split over the processes. Exit status: 0 all made, 1 some inputs were skipped, 2 it could not run.
"""

import argparse
import os
from pathlib import Path
from typing import Any

from cycleisp.dataloaders.pairs.factory import PairFactory
from cycleisp.dataloaders.pairs.preview import write_preview
from cycleisp.dataloaders.pairs.store import PairStore
from cycleisp.dataloaders.photos import find_sources
from cycleisp.dataloaders.real_noise.residuals import open_noise
from cycleisp.networks.acceleration import to_device
from cycleisp.networks.pretrained import load_cycleisp
from cycleisp.networks.synthesis.learned_camera import LearnedCamera
from cycleisp.networks.synthesis.photo_pairs import PairSynthesizer
from cycleisp.utils.cli import recipe_from_arguments, run_script
from cycleisp.utils.config import GenerationRecipe
from cycleisp.utils.devices import PRECISIONS, inference_precision, pick_device
from cycleisp.utils.version import code_version


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, argument_default=argparse.SUPPRESS
    )
    parser.add_argument("--config", type=Path, help="YAML file with any of the options below")
    parser.add_argument("--input", nargs="+", help="photos, camera RAW files, or folders of them")
    parser.add_argument("--output", help="folder to fill")
    parser.add_argument("--space", choices=("raw", "srgb", "both"), help="what to write (default both)")
    parser.add_argument("--noise", help="dnd, sidd, upi_released, shot=0.01,read=0.0005, or residual (default dnd)")
    parser.add_argument("--residual-source", metavar="DIR", help="SIDD scenes or RAW frames to take real noise from")
    parser.add_argument("--residual-match", type=int, metavar="N", help="best of N crops in brightness (default 8)")
    parser.add_argument("--weights", help="shipped name, file, or folder of released weights (default compact_isp)")
    parser.add_argument("--clean-target", choices=("input", "cycle", "residual"), help="see docs/generate_data.md")
    parser.add_argument("--blur", type=float, help="sigma that removes a photo's own noise, 0 for none (default 1)")
    parser.add_argument("--seed", type=int, help="of all noise (default 0)")
    parser.add_argument("--limit", type=int, help="make at most this many pairs")
    parser.add_argument(
        "--variance", action=argparse.BooleanOptionalAction, help="store the noise variance map in RAW pairs"
    )
    parser.add_argument("--preview", action=argparse.BooleanOptionalAction, help="write a contact sheet, preview.png")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"))
    parser.add_argument("--precision", choices=PRECISIONS, help="of the networks; auto (default): tf32 on CUDA")
    parser.add_argument("--batch-size", type=int, help="photos of one size computed together (default 1)")
    parser.add_argument(
        "--workers", type=int, help="threads for reading, and for writing (default one a core, at most 8)"
    )
    return parser.parse_args()


def main() -> int:
    recipe = recipe_from_arguments(GenerationRecipe, parse_args())
    rank, world_size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    device = pick_device(recipe.device, int(os.environ.get("LOCAL_RANK", 0)))
    isp, weights_sha256 = load_cycleisp(recipe.weights)
    sources = find_sources(recipe.input, exclude=Path(recipe.output))[: recipe.limit]
    noise = open_noise(recipe, progress=rank == 0)
    settings: dict[str, Any] = recipe.model_dump(include={"space", "noise", "clean_target", "blur", "seed", "variance"})
    precision = inference_precision(recipe.precision, device)
    settings |= {"precision": precision, "weights_sha256": weights_sha256, **noise.settings}
    store = PairStore(Path(recipe.output), settings, rank)
    synthesizer = PairSynthesizer(
        LearnedCamera(to_device(isp, device), recipe.clean_target, precision),
        noise,
        blur_sigma=recipe.blur,
        with_srgb=recipe.space != "raw",
    )
    factory = PairFactory(
        store,
        synthesizer,
        {**settings, "weights": recipe.weights, "version": code_version()},
        keep_raw=recipe.space != "srgb",
        keep_srgb=recipe.space != "raw",
        keep_variance=recipe.variance,
        batch_size=recipe.batch_size,
        workers=recipe.workers,
    )
    try:
        summary = factory.run(sources[rank::world_size], progress=rank == 0)
    finally:
        records = store.merge()
    status = summary.report("pairs made", store.folder)
    if recipe.preview and rank == 0 and records:
        print(f"contact sheet: {write_preview(store.folder, records)}")
    return status


if __name__ == "__main__":
    run_script(main)
