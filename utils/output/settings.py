"""Settings of a folder of results, so that results of different settings never mix."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cycleisp.utils.errors import UserError
from cycleisp.utils.output.files import write_bytes

FILE_NAME = "settings.json"


def claim_folder(folder: Path, settings: Mapping[str, Any], content: str) -> None:
    """Writes `settings` into a folder of results, or checks that they equal those already there.

    Args:
        folder: of the results; it is made as needed.
        settings: all that the results depend on; JSON values.
        content: name of the results in messages, in the plural.

    Raises:
        UserError: the folder cannot be written, or holds results of other settings.
    """
    path = folder / FILE_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.is_file():
            write_bytes(path, json.dumps(dict(settings), indent=1).encode())
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror}); give another --output") from None
    check_folder(folder, settings, content)


def check_folder(folder: Path, settings: Mapping[str, Any], content: str) -> None:
    """Checks a folder as `claim_folder` does, but writes nothing.

    Raises:
        UserError: the folder holds results of other settings.
    """
    path = folder / FILE_NAME
    try:
        if not path.is_file():
            return
        before = json.loads(path.read_text())
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give another --output") from None
    except (ValueError, RecursionError):
        before = None
    if not isinstance(before, dict):
        raise UserError(f"{path}: not the JSON that was written there; give another --output")
    now = json.loads(json.dumps(dict(settings)))  # tuples as lists, as in the file
    changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    if changed:
        was = ", ".join(f"{key}={before.get(key)}" for key in changed)
        raise UserError(f"{folder}: holds {content} made with {was}; give another --output, or the same settings")
