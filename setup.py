"""Installation; the tools' settings are in pyproject.toml, tested versions in constraints.txt."""

from pathlib import Path

from setuptools import setup

HERE = Path(__file__).parent


def requirements(name: str) -> list[str]:
    lines = (HERE / name).read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith(("#", "-"))]


setup(
    name="cycleisp",
    version="0.1.0",
    description="CycleISP, trainable: realistic noisy/clean pairs from ordinary photos, and denoisers trained on them",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=["networks", "dataloaders", "utils"],
    install_requires=requirements("requirements.txt"),
    extras_require={
        "dev": [
            "pytest>=8",
            "pytest-xdist>=3.6",
            "hypothesis>=6",
            "pywavelets>=1.6",
            "ruff>=0.6",
            "mypy>=1.11",
            "types-PyYAML",
        ],
    },
)
