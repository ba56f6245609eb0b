"""The report of generate_data.py: pairs to look at, the noise of all of them, and what was skipped.

It is made of the folder as it is at the end of a run, so that it shows what earlier runs have made,
too. Of shards it reads the indexes, and a few pairs.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.pairs.manifest import Record, listed, read_records
from cycleisp.dataloaders.pairs.raw_files import read_raw_planes
from cycleisp.dataloaders.pairs.shards.decoding import decode_planes
from cycleisp.dataloaders.pairs.shards.layout import CLEAN, NOISY, RAW, SHARD_LIST, ShardEntry
from cycleisp.dataloaders.pairs.shards.reading import ShardReader, read_shard_list
from cycleisp.dataloaders.results.summary import Summary
from cycleisp.utils.errors import UserError, reading
from cycleisp.utils.images import as_float
from cycleisp.utils.output.report.chart import COLOURS, Series
from cycleisp.utils.output.report.page import beside, heading, paragraph
from cycleisp.utils.output.report.pictures import gain_for_eyes, most_changed, of_planes, pixels, row, small_picture
from cycleisp.utils.output.report.runs import PICTURED, facts, file_table, skipped_files
from cycleisp.utils.output.report.statistics import histogram, variance_by_intensity, variance_chart
from cycleisp.utils.output.settings import FILE_NAME

_COUNTED = 100_000  # pairs of shards whose noise levels are read
_CURVES = 5  # pairs in a chart of variance
_ADVICE = "remove the file and run again, which makes the pair again"

Planes = Mapping[str, NDArray]  # `clean` and `noisy`, of RAW (4, H, W) or of sRGB (H, W, 3)


def report_parts(folder: Path, summary: Summary | None) -> list[str]:
    """Returns the parts of the page about a folder of pairs, unpacked or in shards.

    Args:
        folder: that of the pairs.
        summary: what this run has done; None if it has ended before it could be told.

    Returns:
        The parts; none where nothing is known.

    Raises:
        UserError: a file of a pair cannot be read.
    """
    shards = read_shard_list(str(folder)) if (folder / SHARD_LIST).is_file() else []
    records = _records_of(shards) if shards else listed(read_records(folder))
    count = sum(entry.pairs for entry in shards) if shards else len(records)
    if summary is None and not count:
        return []
    top: dict[str, object] = {"folder": folder, "pairs in it": count, "shards": len(shards) or None}
    if summary is not None:
        counts = f"{summary.made} made, {summary.kept} kept from before, {len(summary.skipped)} skipped"
        top["this process"] = counts
    parts = [facts({**top, **_settings(folder)})]
    shown = list(islice(_pairs_of_shards(shards) if shards else _pairs_of_folder(folder, records), PICTURED))
    if shown:
        about = "The cuts show every pixel of the place with the most noise. RAW is shown with a pixel for each 2x2 "
        about += "photosites, in the colours of the camera, balanced to grey and brightened."
        parts += [heading("Pairs"), paragraph(about), *(_pictures(*pair) for pair in shown)]
    charts = [*_noise_charts(records), *_variance_charts(shown)]
    if any(charts):
        parts += [heading("Noise"), beside(*(each for each in charts if each))]
    if records:
        heads = ("pair", "pixels", "shot noise", "read noise")
        rows = [(r["name"], f"{r.get('width')}x{r.get('height')}", *map(_in_words, _level(r))) for r in records]
        about = "Shot and read noise are variances on the scale from black, 0, to white, 1."
        parts += [heading("All pairs"), paragraph(about), file_table(heads, rows)]
    return parts + ([] if summary is None else skipped_files(summary.skipped))


# ---------------------------------------------------------------- reading


def _settings(folder: Path) -> dict[str, object]:
    """Returns what all pairs of a folder have in common; nothing where it cannot be read."""
    try:
        settings = json.loads((folder / FILE_NAME).read_bytes())
    except (OSError, ValueError):
        return {}
    return settings if isinstance(settings, dict) else {}


def _records_of(shards: Sequence[ShardEntry]) -> list[Record]:
    """Returns what the indexes of shards say about the first pairs."""
    return list(islice((about for entry in shards for _, about in ShardReader(entry.url).pairs()), _COUNTED))


def _pairs_of_folder(folder: Path, records: Sequence[Record]) -> Iterator[tuple[Record, Planes, Planes]]:
    """Yields the record, the RAW and the sRGB images of each pair, which may be empty."""
    for record in records:
        files = record["files"]
        raw = read_raw_planes(folder / files["raw"]) if "raw" in files else {}
        kinds = [kind for kind in ("clean", "noisy") if f"srgb_{kind}" in files]
        paths = {kind: folder / files[f"srgb_{kind}"] for kind in kinds}
        yield record, raw, {kind: _decode(_read(path), path) for kind, path in paths.items()}


def _pairs_of_shards(shards: Sequence[ShardEntry]) -> Iterator[tuple[Record, Planes, Planes]]:
    """Yields the same of the pairs in shards."""
    for entry in shards:
        reader = ShardReader(entry.url)
        for key, record in reader.pairs():
            members = record["members"]
            raw = decode_planes(reader.read(key, RAW), entry.url) if RAW in members else {}
            photos = {kind: member for kind, member in (("clean", CLEAN), ("noisy", NOISY)) if member in members}
            yield record, raw, {kind: _decode(reader.read(key, name), entry.url) for kind, name in photos.items()}


def _read(path: Path) -> bytes:
    with reading(path, advice=_ADVICE):
        return path.read_bytes()


def _decode(content: bytes, place: Path | str) -> NDArray:
    """Returns the photo (H, W, 3) in the bytes of a PNG. Raises UserError."""
    values = np.frombuffer(content, np.uint8)
    stored = cv2.imdecode(values, cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR) if values.size else None
    if stored is None:
        raise UserError(f"{place}: holds no readable PNG; {_ADVICE}")
    return cv2.cvtColor(stored, cv2.COLOR_BGR2RGB)


# ---------------------------------------------------------------- showing


def _pictures(record: Record, raw: Planes, photos: Planes) -> str:
    """Returns a row of pictures of one pair."""
    level = _level(record)
    noise = "real noise" if None in level else f"shot {_in_words(level[0])}, read {_in_words(level[1])}"
    figures, name = [], record["name"]
    if photos:
        clean, noisy = photos["clean"], photos["noisy"]
        place = most_changed(clean, noisy)
        figures = [small_picture(f"{name}: clean", clean), small_picture(f"noisy: {noise}", noisy)]
        figures += [pixels("clean", clean[place]), pixels("noisy", noisy[place])]
    elif raw:
        clean, noisy = (_rendered(raw, kind) for kind in ("clean", "noisy"))
        place = most_changed(clean, noisy)
        figures = [small_picture(f"{name}: clean RAW", clean), small_picture(f"noisy RAW: {noise}", noisy)]
        figures += [pixels("clean RAW", clean[place]), pixels("noisy RAW", noisy[place])]
    return row(figures)


def _rendered(raw: Planes, kind: str) -> NDArray[np.uint8]:
    """Renders one side of a RAW pair with the white balance that makes the clean side grey."""
    clean, planes = as_float(raw["clean"]), as_float(raw[kind])
    means = np.maximum([clean[0].mean(), clean[1:3].mean(), clean[3].mean()], 1e-6)
    return of_planes(planes, means[1] / means, gain=gain_for_eyes(clean))


def _noise_charts(records: Sequence[Record]) -> list[str]:
    levels = [level for record in records if None not in (level := _level(record))]
    shot, read = np.array(levels, dtype=np.float64).reshape(-1, 2).T
    grey = np.sqrt(0.18 * shot + read)
    return [
        histogram("shot noise, variance per unit of light", shot, "Shot noise of all pairs.", log=True),
        histogram("read noise, variance", read, "Read noise of all pairs.", log=True),
        histogram("standard deviation at a middle grey", grey, "Noise of a middle grey (0.18) of all pairs.", log=True),
    ]


def _variance_charts(shown: Sequence[tuple[Record, Planes, Planes]]) -> list[str]:
    """Returns the variance of the noise by intensity, of the first pairs: of RAW, and of sRGB."""
    raw_series, srgb_series = [], []
    for (record, raw, photos), colour in zip(shown[:_CURVES], COLOURS, strict=False):
        if raw:
            curve = variance_by_intensity(*(as_float(raw[kind]) for kind in ("clean", "noisy")))
            raw_series.append(curve.series(record["name"], colour))
            shot, read = _level(record)
            if shot is not None and read is not None and len(curve.intensity):
                x = np.linspace(0, float(curve.intensity.max()), 20)
                raw_series.append(Series("", x, shot * x + read, colour=colour))
        if photos:
            curve = variance_by_intensity(*(as_float(photos[kind]) for kind in ("clean", "noisy")))
            srgb_series.append(curve.series(record["name"], colour, line=True))
    by_light = "Variance of the noise in RAW, by the clean value; the lines are the levels that were drawn."
    by_value = "Variance of the noise in sRGB, by the clean value: the camera's curve and demosaicking shape it."
    return [
        variance_chart(raw_series, "clean RAW, 0 black to 1 white", "variance", by_light),
        variance_chart(srgb_series, "clean sRGB, display values", "variance", by_value),
    ]


def _level(record: Record) -> tuple[float | None, float | None]:
    """Returns shot and read noise of a pair, the means of its planes; None where unknown."""
    shot, read = (_mean(record.get(key)) for key in ("shot_noise", "read_noise"))
    return shot, read


def _mean(value: Any) -> float | None:
    values = value if isinstance(value, list | tuple) else [value]
    numbers = [float(one) for one in values if isinstance(one, int | float)]
    return sum(numbers) / len(numbers) if numbers and len(numbers) == len(values) else None


def _in_words(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
