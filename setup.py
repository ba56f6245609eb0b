"""Installs the project as the package cycleisp.

The folders networks, dataloaders and utils lie at the top of the repository and are installed
inside the package, beside the shipped weights and recipes. The settings of the tools are in
pyproject.toml, the tested versions in constraints.txt.

With CYCLEISP_DISTRIBUTION=onnx the same code is installed as the small distribution cycleisp-onnx:
it needs no PyTorch, has no weights, and runs `denoise.py` with ONNX files (docs/guides/onnx.md).
"""

import ast
import os
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
CODE = ("networks", "dataloaders", "utils")
SMALL = os.environ.get("CYCLEISP_DISTRIBUTION") == "onnx"
DATA = ("configs",) if SMALL else ("pretrained_models", "configs")
ONNX = ["onnx>=1.17", "onnxruntime>=1.20", "onnxscript>=0.2"]  # export_onnx.py
CLOUD = ["s3fs>=2024.6"]  # shards at s3://
CLUSTER = ["ray>=2.9"]  # generate_data.py --engine ray
SHARDS = ["lmdb>=1.4"]  # to-lmdb
HUB = ["huggingface-hub>=1"]  # cycleisp.hub
SPANDREL = ["spandrel>=0.4"]  # cycleisp.spandrel
DOCS = ["mkdocs-material>=9.6", "mkdocstrings[python]>=0.29"]  # make docs
APP = ["gradio>=6.31,<7"]  # python -m cycleisp.app
TEST = ["hypothesis>=6.100", "pytest>=8", "pytest-xdist>=3.6", "pywavelets>=1.6"]


def requirements(name: str) -> list[str]:
    """Reads the lines of a requirements file that are neither empty, comments nor options."""
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith(("#", "-"))]


def version() -> str:
    """Reads the one version number without importing the package, which needs its dependencies."""
    for statement in ast.parse((HERE / "cycleisp" / "__init__.py").read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__version__":
            return str(ast.literal_eval(statement.value))
    raise ValueError("cycleisp/__init__.py: expected a line __version__ = '...'")


def scripts() -> list[str]:
    """Lists the scripts at the top, which the command `cycleisp` runs from inside the package."""
    return [f"cycleisp.scripts.{path.stem}" for path in sorted(HERE.glob("*.py")) if path.name != "setup.py"]


def packages() -> list[str]:
    """Lists the package, the rooms inside it, and the folders of data."""
    rooms = [f"{top}.{room}" for top in CODE for room in find_packages(str(HERE / top))]
    own = find_packages(str(HERE), include=["cycleisp", "cycleisp.*"], exclude=[f"cycleisp.{top}*" for top in CODE])
    return own + [f"cycleisp.{name}" for name in (*CODE, *rooms, *DATA)]


setup(
    name="cycleisp-onnx" if SMALL else "cycleisp",
    version=version(),
    description="CycleISP, trainable: realistic noisy/clean pairs of ordinary photos, and denoisers trained on them",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10",
    packages=packages(),
    py_modules=scripts(),
    package_dir={"cycleisp.scripts": ".", **{f"cycleisp.{name}": name for name in (*CODE, *DATA)}},
    entry_points={"console_scripts": ["cycleisp = cycleisp.console:main"]},
    package_data={
        "cycleisp": ["py.typed"],
        "cycleisp.dataloaders": ["*.md"],
        "cycleisp.networks.fast": ["*.md"],
        **({} if SMALL else {"cycleisp.pretrained_models": ["*.safetensors", "*.md", "registry.yaml"]}),
        "cycleisp.configs": ["*.yaml", "*/*.yaml"],
    },
    install_requires=requirements("requirements-onnx.txt" if SMALL else "requirements.txt"),
    extras_require={
        "app": APP,
        "cloud": CLOUD,
        "cluster": CLUSTER,
        "docs": DOCS,
        "heif": ["pillow-heif>=0.18"],  # reads HEIC, as phones write it
        "hub": HUB,
        "onnx": ONNX,
        "shards": SHARDS,
        "spandrel": SPANDREL,
        "test": TEST,
        "dev": [
            *APP,
            *CLOUD,
            *CLUSTER,
            *DOCS,
            *HUB,
            *ONNX,
            *SHARDS,
            *SPANDREL,
            *TEST,
            "build>=1",
            "flask>=3",  # with moto plays an S3 server in a test
            "flask-cors>=5",
            "ipykernel>=6.29",  # with nbclient runs the notebook in a test
            "moto[s3]>=5.0.17",
            "mypy>=1.11",
            "nbclient>=0.10",
            "playwright>=1.49",  # drives Chromium in the test of the page
            "ruff>=0.6",
            "setuptools>=70.1",
            "types-PyYAML",
            "webdataset>=0.2.86",  # reads shards in a test
        ],
    },
)
