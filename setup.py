"""Installs the project as the package cycleisp.

The folders networks, dataloaders and utils lie at the top of the repository and are installed
inside the package, beside the shipped weights and recipes. The settings of the tools are in
pyproject.toml, the tested versions in constraints.txt.
"""

import ast
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
CODE = ("networks", "dataloaders", "utils")
DATA = ("pretrained_models", "configs")
ONNX = ["onnx>=1.17", "onnxruntime>=1.20", "onnxscript>=0.2"]  # export_onnx.py
CLUSTER = ["ray>=2.9"]  # generate_data.py --engine ray
SHARDS = ["lmdb>=1.4"]  # to-lmdb
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


def packages() -> list[str]:
    """Lists the package, the rooms inside it, and the folders of data."""
    rooms = [f"{top}.{room}" for top in CODE for room in find_packages(str(HERE / top))]
    own = find_packages(str(HERE), include=["cycleisp", "cycleisp.*"], exclude=[f"cycleisp.{top}*" for top in CODE])
    return own + [f"cycleisp.{name}" for name in (*CODE, *rooms, *DATA)]


setup(
    name="cycleisp",
    version=version(),
    description="CycleISP, trainable: realistic noisy/clean pairs of ordinary photos, and denoisers trained on them",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10",
    packages=packages(),
    package_dir={f"cycleisp.{name}": name for name in (*CODE, *DATA)},
    package_data={
        "cycleisp": ["py.typed"],
        "cycleisp.dataloaders": ["*.md"],
        "cycleisp.networks.fast": ["*.md"],
        "cycleisp.pretrained_models": ["*.safetensors", "*.md", "registry.yaml"],
        "cycleisp.configs": ["*.yaml", "*/*.yaml"],
    },
    install_requires=requirements("requirements.txt"),
    extras_require={
        "cloud": ["s3fs>=2024.6"],  # shards at s3://
        "cluster": CLUSTER,
        "heif": ["pillow-heif>=0.18"],  # reads HEIC, as phones write it
        "onnx": ONNX,
        "shards": SHARDS,
        "test": TEST,
        "dev": [
            *CLUSTER,
            *ONNX,
            *SHARDS,
            *TEST,
            "build>=1",
            "mypy>=1.11",
            "ruff>=0.6",
            "setuptools>=70.1",
            "types-PyYAML",
            "webdataset>=0.2.86",  # reads shards in a test
        ],
    },
)
