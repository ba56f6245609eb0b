"""Write a network as an ONNX file, for programs that have no PyTorch.

    python export_onnx.py --weights base_srgb --output base_srgb.onnx
    python export_onnx.py --weights base_raw --output base_raw.onnx --tile 512 --half
    python export_onnx.py --weights compact_isp --part rgb2raw --output rgb2raw.onnx

A card, FILE.md, is written beside it. The packages onnx, onnxscript and onnxruntime are needed, the
extra `onnx`. Exit status: 0 if the file was written, 2 if it was not.
"""

import argparse
from pathlib import Path

import cycleisp.utils.processes.early_stop  # noqa: F401  # first, so that Ctrl-C during the others shows no traceback
from cycleisp.utils.cli import run_script


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True, help="network to export, by shipped name or path")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.onnx", help="file to write")
    parser.add_argument(
        "--tile",
        type=_tile,
        metavar="PIXELS",
        help="side of the only image that the file takes, for programs that need fixed shapes, or dynamic for "
        "images of any size (default: dynamic)",
    )
    parser.add_argument(
        "--half", action="store_true", help="compute in float16; inputs and outputs stay float32 (default: float32)"
    )
    parser.add_argument("--part", choices=("rgb2raw", "raw2rgb"), help="which part of a CycleISP to export")
    parser.add_argument(
        "--noise",
        help="make a denoiser of RAW for one noise level, so that it takes no variance map: variances as "
        "shot=0.01,read=0.0005, or a camera's noise file as camera.yaml@3200 (default: a variance map)",
    )
    parser.add_argument("--overwrite", action="store_true", help="overwrite existing files")
    return parser.parse_args()


def _tile(text: str) -> int | None:
    """Returns the side of a tile, or None for `dynamic`."""
    if text == "dynamic":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected pixels, at least 1, or dynamic, got {text!r}")
    return int(text)


def main() -> int:
    args = parse_args()
    from cycleisp.tasks.exporting import export_onnx  # here, since --help needs no PyTorch

    exported = export_onnx(**vars(args))
    print(f"{exported.path}: {exported.agrees}\n{exported.card}: how to use it, and where it comes from")
    return 0


if __name__ == "__main__":
    run_script(main)
