"""What the site of the documentation has beyond the pages of docs/; mkdocs.yml names this file.

Pages of docs/ link to files elsewhere in the repository. Markdown files among them become pages of
the site. The others have no place there, so that their links become plain text. A link to a file
that does not exist stops the build, as every other broken link does.
"""

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("CHANGELOG.md", "CONTRIBUTING.md", "dataloaders/README.md", "pretrained_models/*.md")
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
API = {
    "The functions of `cycleisp`": ["cycleisp.api", "cycleisp.pair_dataset", "cycleisp.layouts"],
    "What the scripts do, as functions": [
        f"cycleisp.tasks.{name}"
        for name in ("denoising", "generation", "matching", "calibration", "training", "benchmarks", "downloads")
    ],
    "The networks": [
        f"cycleisp.networks.{name}"
        for name in ("denoiser", "gated_denoiser", "cycleisp", "rgb2raw", "raw2rgb", "pretrained")
    ],
    "Other people's programs": ["cycleisp.hub.shared_networks", "cycleisp.spandrel"],
}


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages that lie elsewhere, and the page of the Python interface."""
    for pattern in PAGES:
        for path in sorted(ROOT.glob(pattern)):
            uri = f"repository/{path.relative_to(ROOT).as_posix()}"
            files.append(File.generated(config, uri, content=path.read_text(encoding="utf-8")))
    sections = [f"## {title}\n\n" + "\n\n".join(f"::: {name}" for name in names) for title, names in API.items()]
    files.append(File.generated(config, "reference/api.md", content="\n\n".join(["# Python interface", *sections, ""])))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turns links that leave docs/ into links of the site, or into plain text."""
    uri = PurePosixPath(page.file.src_uri)
    place = ROOT / uri.relative_to("repository") if uri.parts[0] == "repository" else ROOT / "docs" / uri

    def rewritten(link: re.Match[str]) -> str:
        text, target = link.groups()
        path, hash_sign, anchor = target.partition("#")
        if not path or ":" in path:
            return link.group()
        goal = (place.parent / path).resolve()
        if not goal.exists():
            raise PluginError(f"{place.relative_to(ROOT)}: links to {path}, which does not exist")
        found = _page(goal, files)
        if found is None:
            return text
        return f"[{text}]({os.path.relpath(found, uri.parent)}{hash_sign}{anchor})"

    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if part.startswith("```") else LINK.sub(rewritten, part) for part in parts)


def _page(goal: Path, files: Files) -> str | None:
    """Returns the file of the site that a path of the repository has become, or None."""
    inside = goal.relative_to(ROOT).as_posix()
    for uri in (inside.removeprefix("docs/"), f"repository/{inside}", f"repository/{inside}/README.md"):
        if files.get_file_from_path(uri) is not None:
            return uri
    return None
