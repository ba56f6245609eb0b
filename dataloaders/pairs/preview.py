"""A contact sheet of a pair folder."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from cycleisp.dataloaders.pairs.store import Record, read_raw_pair
from cycleisp.utils.errors import UserError, reading
from cycleisp.utils.images import as_float
from cycleisp.utils.output.contact_sheet import contact_sheet, difference_picture
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.output.preview import gray_world_gains, packed_preview
from cycleisp.utils.raw import bayer

Captioned = tuple[str, NDArray]
ADVICE = "remove the file and run again, which makes the pair again"


def write_preview(folder: Path, records: Sequence[Record], count: int = 6) -> Path:
    """Writes `preview.png` into a pair folder, and returns its path.

    Each of the first `count` pairs has a row: clean and noisy sRGB, noisy RAW, and 4 times their
    difference. RAW is shown with the grey-world white balance of its clean side, since RAW made by
    RGB2RAW has none.

    Raises:
        UserError: a file that the manifest lists cannot be read.
    """
    rows = [_row(folder, record) for record in records[:count]]
    encoded, content = cv2.imencode(".png", cv2.cvtColor(contact_sheet(rows), cv2.COLOR_RGB2BGR))
    assert encoded
    path = folder / "preview.png"
    write_bytes(path, content.tobytes())
    return path


def _row(folder: Path, record: Record) -> list[Captioned]:
    files, name = record["files"], record["name"]
    level = _noise_in_words(record)
    row: list[Captioned] = []
    if "srgb_clean" in files:
        clean, noisy = (_read_png(folder / files[f"srgb_{kind}"]) for kind in ("clean", "noisy"))
        row += [(f"{name}: clean sRGB", clean), (f"noisy sRGB, {level}", noisy)]
    if "raw" in files:
        clean_raw, noisy_raw = (
            torch.from_numpy(as_float(planes)) for planes in read_raw_pair(folder / files["raw"])[:2]
        )
        gains = gray_world_gains(bayer.unpack(clean_raw)[0].numpy(), "RGGB")
        raw_clean, raw_noisy = packed_preview(clean_raw, gains), packed_preview(noisy_raw, gains)
        if not row:
            row += [(f"{name}: clean RAW", raw_clean)]
            clean, noisy = raw_clean, raw_noisy
        row += [("noisy RAW, white-balanced" if "srgb_clean" in files else f"noisy RAW, {level}", raw_noisy)]
    row += [("4 x (noisy - clean)", difference_picture(clean, noisy))]
    return row


def _noise_in_words(record: Record) -> str:
    if "residual" in record:
        return "real noise"
    shot, read = record["shot_noise"], record["read_noise"]
    if not isinstance(shot, int | float) or not isinstance(read, int | float):
        return "unknown noise"
    return f"shot {shot:.1e}, read {read:.1e}"


def _read_png(path: Path) -> NDArray:
    with reading(path, advice=ADVICE):
        content = np.frombuffer(path.read_bytes(), np.uint8)  # OpenCV takes no names that are not UTF-8
        stored = cv2.imdecode(content, cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR) if content.size else None
        if stored is None:
            raise UserError(f"{path}: listed in the manifest, but no readable PNG; {ADVICE}")
        return cv2.cvtColor(stored, cv2.COLOR_BGR2RGB)
