"""The command `cycleisp`: the scripts of the repository, for those who installed the package.

    cycleisp denoise PHOTOS --output DENOISED    is    python denoise.py PHOTOS --output DENOISED

A command is a script, or a module with a command line of its own. It runs as Python would run it,
so that options, messages and exit statuses are the same. The list of commands is made of their
docstrings, so that nothing is imported for it.
"""

import argparse
import ast
import difflib
import importlib.util
import sys
from pathlib import Path

import cycleisp
import cycleisp.utils.processes.early_stop  # first, so that Ctrl-C during the others shows no traceback

PACKAGE = Path(cycleisp.__file__).parent
MODULES = {  # commands that are no scripts
    "app": "cycleisp.app",
    "pairs": "cycleisp.dataloaders.pairs",
    "prepare-raw": "cycleisp.dataloaders.training",
    "weights": "cycleisp.utils.weights",
}
NO_COMMANDS = ("setup",)  # files beside the scripts in a checkout


def commands() -> dict[str, Path]:
    """Returns the commands in the order of their names: name -> the file that Python runs."""
    found = {name: path for name, module in MODULES.items() if (path := _file_of(module)) is not None}
    for path in _scripts().glob("*.py"):
        if path.stem not in NO_COMMANDS:
            found[path.stem.replace("_", "-")] = path
    return dict(sorted(found.items()))


def main() -> int:
    """Runs the command that the command line names, and exits with its status."""
    known = commands()
    parser = argparse.ArgumentParser(
        prog="cycleisp",
        usage="cycleisp COMMAND [OPTIONS]",
        description="Realistic noisy/clean pairs of ordinary photos, and denoisers trained on them.",
        epilog=_listing(known),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", metavar="COMMAND", help="one of those below; cycleisp COMMAND --help says more")
    parser.add_argument("--version", action="version", version=f"cycleisp {cycleisp.__version__}")
    name = parser.parse_args(sys.argv[1:2]).command.replace("_", "-")
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        parser.error(f"{name}: no such command; " + (f"did you mean {near[0]}?" if near else "see cycleisp --help"))
    sys.argv = [f"cycleisp {name}", *sys.argv[2:]]
    _run(known[name], name)
    return 0


def _scripts() -> Path:
    """Returns the folder of the scripts: a wheel has them inside, a checkout beside the package."""
    inside = PACKAGE / "scripts"
    return inside if inside.is_dir() else PACKAGE.parent


def _run(path: Path, name: str) -> None:
    """Runs a file as the program of this process. Its help names the command instead of the file.

    `runpy` would do the rest, but it puts the file's name in place of the command's into messages.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    for node in ast.walk(tree.body[0]):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = node.value.replace(f"python {path.name}", f"cycleisp {name}")
    exec(compile(tree, str(path), "exec"), {"__name__": "__main__", "__file__": str(path)})


def _file_of(module: str) -> Path | None:
    """Returns the file that `python -m MODULE` runs; None where there is no such module."""
    try:
        spec = importlib.util.find_spec(f"{module}.__main__")
    except ModuleNotFoundError:
        return None
    return Path(spec.origin) if spec is not None and spec.origin is not None else None


def _listing(known: dict[str, Path]) -> str:
    """Returns the commands as text, one a line, each with the first sentence of its docstring."""
    width = max(map(len, known))
    lines = [f"  {name:{width}}  {_summary(path)}" for name, path in known.items()]
    return "\n".join(["commands:", *lines])


def _summary(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.partition("\n\n")[0].split())


if __name__ == "__main__":
    sys.exit(main())
