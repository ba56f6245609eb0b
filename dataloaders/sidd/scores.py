"""SIDD's scores: means over blocks, by camera and by ISO, printed and stored."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cycleisp.dataloaders.sidd.files import block_name
from cycleisp.dataloaders.sidd.scenes import Scene
from cycleisp.utils.metrics import mean_psnr
from cycleisp.utils.output.files import write_bytes


@dataclass(frozen=True)
class Scores:
    """All measures of all blocks.

    Attributes:
        values: for each measure, its value for each block in the order of the blocks.
        definitions: the measures in words.
    """

    values: Mapping[str, Sequence[float]]
    definitions: Sequence[str]

    def mean(self, scenes: Sequence[int] | None = None) -> dict[str, float]:
        """Returns the mean of every measure over all blocks, or over those of some scenes.

        `blocks` counts them, and `infinite` counts those that equal their clean ones. Their PSNR
        has no place in a mean.
        """
        chosen = [
            index for index in range(len(self.values["psnr"])) if scenes is None or block_name(index)[0] in scenes
        ]
        means = {
            name: float(np.mean([values[index] for index in chosen]))
            for name, values in self.values.items()
            if name != "psnr"
        }
        quality = mean_psnr(self.values["psnr"][index] for index in chosen)
        return {"psnr": quality.mean, **means, "infinite": quality.infinite, "blocks": len(chosen)}

    def tables(self, scenes: Sequence[Scene]) -> dict[str, dict[str, dict[str, float]]]:
        """Returns the means by camera and by ISO."""
        by_camera: dict[str, list[int]] = {}
        by_iso: dict[str, list[int]] = {}
        for index, scene in enumerate(scenes):
            by_camera.setdefault(scene.camera, []).append(index)
            by_iso.setdefault(f"{scene.iso:05}", []).append(index)
        groups = {"camera": by_camera, "iso": by_iso}
        return {
            name: {key: self.mean(members) for key, members in sorted(group.items())} for name, group in groups.items()
        }

    def report(self, scenes: Sequence[Scene], title: str) -> str:
        """Returns the text to print: the means with their definitions, and the tables."""
        lines = [title, *self.definitions, "Means over blocks, each block measured alone.", ""]
        tables = {"all": {"": self.mean()}, **self.tables(scenes)}
        names = list(self.values)
        for heading, rows in tables.items():
            lines += [f"| {heading} | " + " | ".join(names) + " | blocks |", "|---" * (len(names) + 2) + "|"]
            for key, row in rows.items():
                shown = [f"{row[name]:.2f}" if name == "psnr" else f"{row[name]:.4f}" for name in names]
                lines.append(f"| {key.lstrip('0') or key} | " + " | ".join(shown) + f" | {row['blocks']} |")
            lines.append("")
        infinite = int(self.mean()["infinite"])
        return "\n".join(
            lines + [f"{infinite} blocks equal their clean ones and are not in the mean PSNR"] * (infinite > 0)
        )

    def save(self, path: Path, scenes: Sequence[Scene], settings: Mapping[str, object]) -> None:
        """Writes metrics.json: settings, definitions, means, tables and the scores of blocks."""
        content = {
            **settings,
            "definitions": list(self.definitions),
            "mean": self.mean(),
            **{f"by_{name}": table for name, table in self.tables(scenes).items()},
            "blocks": {name: [round(value, 6) for value in values] for name, values in self.values.items()},
        }
        write_bytes(path, json.dumps(_finite(content), indent=1).encode())


def _finite(value: object) -> object:
    """Returns a value without infinity and NaN, which JSON does not have: they become text."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
