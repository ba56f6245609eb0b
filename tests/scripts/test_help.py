"""Help texts come at once: the scripts import PyTorch only when they begin to work."""

import subprocess
import sys

from tests.support.paths import ROOT

SCRIPTS = ["calibrate_camera", "denoise", "download_models", "export_onnx", "generate_data", "match_colors"]
SCRIPTS += ["test_dnd", "test_sidd", "train_denoiser", "train_raw2rgb", "train_rgb2raw"]


def test_help_comes_without_pytorch() -> None:
    code = (
        "import contextlib, runpy, sys; sys.argv = ['x', '--help']\n"
        f"for name in {SCRIPTS}:\n"
        "    with contextlib.suppress(SystemExit): runpy.run_path(f'{name}.py', run_name='__main__')\n"
        "print(sorted({'torch', 'scipy', 'numba', 'lightning'} & sys.modules.keys()))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT).stdout
    assert said.count("show this help message and exit") == len(SCRIPTS)
    assert said.endswith("[]\n")
