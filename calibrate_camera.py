"""Measure the noise of a camera from calibration frames.

    python calibrate_camera.py --frames DIR --output mycamera.yaml --report report.html
    python calibrate_camera.py --pictures DIR --output mycamera.yaml    # without calibration frames

Frames are camera RAW files in any mix: flat frames (an evenly lit surface, two or more at each of
several exposures), dark frames (lens cap), bursts of one static scene. The result is a noise file
for --noise of the other scripts. Exit status: 0 all files used, 1 some files or ISO settings were
left out, 2 it could not run.
"""

import argparse
from pathlib import Path

import cycleisp.utils.processes.early_stop  # noqa: F401  # first, so that Ctrl-C during the others shows no traceback
from cycleisp.utils.cli import run_script


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    files = parser.add_mutually_exclusive_group(required=True)
    files.add_argument(
        "--frames",
        nargs="+",
        metavar="PATH",
        help="calibration frames as the camera has written them, or folders of them",
    )
    files.add_argument(
        "--pictures",
        nargs="+",
        metavar="PATH",
        help="ordinary RAW pictures of one camera, or folders of them: fewer parts of the noise, larger errors",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="noise file to write, a .yaml")
    parser.add_argument("--report", type=Path, metavar="FILE", help="page with plots to write, an .html")
    parser.add_argument("--name", help="name of the camera in the noise file (default: maker and model)")
    parser.add_argument("--overwrite", action="store_true", help="overwrite files that are there already")
    return parser.parse_args()


def main() -> int:
    options = vars(parse_args())
    frames, pictures = options.pop("frames"), options.pop("pictures")
    from cycleisp.tasks.calibration import calibrate_camera, calibrate_from_pictures  # here: --help needs no PyTorch

    if frames is None:
        return calibrate_from_pictures(pictures, **options).report()
    return calibrate_camera(frames, **options).report()


if __name__ == "__main__":
    run_script(main, after_stop="nothing was written; run the same command again")
