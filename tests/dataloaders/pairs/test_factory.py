"""From photos to pairs: nothing is lost or mixed up, and bad files and full disks are survived.

The networks are fakes.
"""

import errno
import hashlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor

from cycleisp.dataloaders.pairs import factory as factory_module
from cycleisp.dataloaders.pairs.computing import Computing
from cycleisp.dataloaders.pairs.factory import Input, PairFactory, Summary, pair_seed, read_input
from cycleisp.dataloaders.pairs.store import PairFiles, PairStore, read_manifest, read_raw_pair
from cycleisp.dataloaders.photos import PhotoError, read_photo
from cycleisp.dataloaders.sources import Source, find_sources
from cycleisp.utils.errors import UserError
from cycleisp.utils.fingerprints import Fingerprint, stamp_of
from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.camera_files import read_raw, render_with_libraw
from tests.support.pictures import write_dng

SETTINGS = {"seed": 7, "weights_sha256": "abc", "version": "1"}


@dataclass(frozen=True)
class FakePair:
    clean_raw: Tensor
    noisy_raw: Tensor
    clean_srgb: Tensor | None
    noisy_srgb: Tensor | None
    shot_noise: float = 0.01
    read_noise: float = 0.0005
    noise_origin: dict[str, Any] = field(default_factory=dict)


class FakeSynthesizer:
    """Makes RAW by sampling the photo, and noise from one number that the seed decides.

    Remembers how it was called.
    """

    def __init__(self) -> None:
        self.batches: list[tuple[int, ...]] = []
        self.seeds: list[int] = []

    def __call__(self, photos: Tensor, seeds: Sequence[int], clean_raw: Tensor | None) -> list[FakePair]:
        self.batches.append(tuple(photos.shape))
        self.seeds += seeds
        pairs = []
        for index, seed in enumerate(seeds):
            photo = photos[index]
            even = photo[:, : photo.shape[1] // 2 * 2, : photo.shape[2] // 2 * 2]
            raw = bayer.pack(bayer.mosaic(even, "RGGB")) if clean_raw is None else clean_raw[index]
            noise = (seed % 1000) / 1000
            pairs.append(FakePair(raw, raw * noise, photo, photo * noise))
        return pairs


Synthesize = Callable[[Tensor, Sequence[int], Tensor | None], Sequence[Any]]


def factory(folder: Path, synthesize: Synthesize, **options: Any) -> PairFactory:
    kept = {name: options.pop(name) for name in ("keep_raw", "keep_srgb", "keep_variance") if name in options}
    compute, chosen = Computing(synthesize, **kept), {"batch_size": 1, "workers": 2, **options}
    return PairFactory(PairStore(folder, SETTINGS), compute, dict(SETTINGS), **chosen)


def run(
    folder: Path, sources: Sequence[Source], synthesize: Synthesize | None = None, **options: Any
) -> tuple[Summary, dict[str, bytes]]:
    """Fills a folder, and returns the summary and the bytes of all files of pairs."""
    maker = factory(folder, synthesize or FakeSynthesizer(), **options)
    summary = maker.run(sources, progress=False)
    maker.store.merge()
    return summary, contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.glob("[rs]*/**/*") if path.is_file()
    }


@pytest.fixture
def sources(photo_file: Callable[..., Path]) -> list[Source]:
    """Writes seven photos of three sizes, of 8 and 16 bit."""
    sizes = [(24, 32), (24, 32), (17, 21), (24, 32), (8, 8), (17, 21), (24, 32)]
    for number, (height, width) in enumerate(sizes):
        path = photo_file(f"photos/{number}.png", height, width, (np.uint8, np.uint16)[number % 2], seed=number)
    return find_sources([path.parent])


# ---------------------------------------------------------------- seeds


def test_the_seed_of_a_pair_is_a_function_of_run_seed_and_bytes() -> None:
    digest = hashlib.sha256(b"photo").hexdigest()
    assert pair_seed(0, digest) == pair_seed(0, digest)
    assert pair_seed(0, digest) != pair_seed(1, digest)
    assert pair_seed(0, digest) != pair_seed(0, hashlib.sha256(b"other").hexdigest())


def test_seeds_of_pairs_suit_a_generator() -> None:
    seeds = [pair_seed(number, hashlib.sha256(bytes([number])).hexdigest()) for number in range(200)]
    assert len(set(seeds)) == 200
    assert 0 <= min(seeds) <= max(seeds) < 2**63
    assert max(seeds) > 2**60  # all bits are in use
    torch.Generator().manual_seed(max(seeds))


# ---------------------------------------------------------------- reading


def test_a_photo_is_read_with_its_size_and_hash(photo_file: Callable[..., Path]) -> None:
    path = photo_file("a.png", 9, 11, np.uint16)
    read = read_input(Source(path, "a"))
    np.testing.assert_array_equal(read.photo, read_photo(path))
    assert read.packed_raw is None
    assert read.source_bytes == path.stat().st_size
    assert read.fingerprint.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("pattern", bayer.PATTERNS)
def test_a_camera_file_is_read_as_its_own_raw_and_its_rendering(tmp_path: Path, pattern: str) -> None:
    values = np.random.default_rng(0).integers(64, 1024, (35, 47)).astype(np.uint16)
    path = write_dng(tmp_path / "a.dng", values, pattern)
    read = read_input(Source(path, "a"))
    top, left = {"RGGB": (0, 0), "GRBG": (0, 1), "GBRG": (1, 0), "BGGR": (1, 1)}[pattern]
    window = np.s_[top : top + (35 - top) // 2 * 2, left : left + (47 - left) // 2 * 2]
    mosaic = read_raw(path).mosaic[window]
    assert read.packed_raw is not None
    np.testing.assert_array_equal(
        read.packed_raw, np.stack([mosaic[0::2, 0::2], mosaic[0::2, 1::2], mosaic[1::2, 0::2], mosaic[1::2, 1::2]])
    )
    np.testing.assert_array_equal(read.photo, render_with_libraw(path)[window])


def test_a_vanished_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match=r"gone\.png: cannot be read"):
        read_input(Source(tmp_path / "gone.png", "gone"))


def test_photos_and_camera_files_of_one_size_share_no_batch() -> None:
    photo = np.zeros((4, 6, 3), np.uint8)
    source = Source(Path("a"), "a")
    plain = Input(source, photo, None, Fingerprint(""), 1)
    camera = Input(source, photo, np.zeros((4, 2, 3), np.float32), Fingerprint(""), 1)
    assert plain.batch_key != camera.batch_key


# ---------------------------------------------------------------- making


def test_every_source_becomes_the_pair_of_its_own_photo(tmp_path: Path, sources: list[Source]) -> None:
    summary, _ = run(tmp_path / "out", sources, batch_size=3)
    assert (summary.made, summary.kept, summary.skipped) == (7, 0, [])
    assert [record["name"] for record in read_manifest(tmp_path / "out")] == [source.name for source in sources]
    for record in read_manifest(tmp_path / "out"):
        photo = read_photo(Path(record["source"]))
        stored = read_photo(tmp_path / "out" / record["files"]["srgb_clean"])
        assert stored.dtype == photo.dtype  # 16 bit stay 16 bit
        np.testing.assert_array_equal(stored, photo)
        clean, noisy, attributes = read_raw_pair(tmp_path / "out" / record["files"]["raw"])
        expected_red = photo[: photo.shape[0] // 2 * 2 : 2, : photo.shape[1] // 2 * 2 : 2, 0].astype(float)
        assert np.abs(clean[0] - expected_red / np.iinfo(photo.dtype).max * 65535).max() <= 0.51
        noise = (record["pair_seed"] % 1000) / 1000
        assert np.abs(noisy - clean * noise).max() <= 1.01
        assert attributes["shot_noise"] == record["shot_noise"] == 0.01


def test_a_record_says_everything_that_made_the_pair(tmp_path: Path, sources: list[Source]) -> None:
    run(tmp_path / "out", sources[:3])
    record = read_manifest(tmp_path / "out")[2]
    content = sources[2].path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    assert record == {
        **SETTINGS,
        "name": "2",
        "files": {"raw": "raw/2.h5", "srgb_clean": "srgb/clean/2.png", "srgb_noisy": "srgb/noisy/2.png"},
        "source": str(sources[2].path),
        "source_bytes": len(content),
        "source_path": str(sources[2].path.resolve()),
        "source_relative": "2.png",
        "source_sha256": sha256,
        "source_stamp": list(stamp_of(sources[2].path)),
        "from_camera_raw": False,
        "height": 17,
        "width": 21,
        "bits": 8,
        "pair_seed": pair_seed(7, sha256),
        "shot_noise": 0.01,
        "read_noise": 0.0005,
    }


@pytest.mark.parametrize(
    "options", [{"batch_size": 2}, {"batch_size": 9}, {"workers": 1}, {"batch_size": 3, "workers": 5}]
)
def test_batches_threads_and_order_change_no_byte(
    tmp_path: Path, sources: list[Source], options: dict[str, int]
) -> None:
    _, plain = run(tmp_path / "plain", sources)
    summary, other = run(tmp_path / "other", sources[::-1], **options)
    assert summary.made == 7
    assert len(plain) == 21
    assert other == plain


def test_only_photos_of_one_size_share_a_batch(tmp_path: Path, sources: list[Source]) -> None:
    synthesize = FakeSynthesizer()
    run(tmp_path / "out", sources, synthesize, batch_size=2)
    assert sorted(synthesize.batches) == [(1, 3, 8, 8), (2, 3, 17, 21), (2, 3, 24, 32), (2, 3, 24, 32)]


def test_rare_sizes_do_not_wait_in_memory_for_ever(tmp_path: Path, photo_file: Callable[..., Path]) -> None:
    paths = [photo_file(f"photos/{number}.png", 8 + number, 8) for number in range(9)]
    synthesize, seen = FakeSynthesizer(), []

    def watch(photos: Tensor, seeds: Sequence[int], clean_raw: Tensor | None) -> list[FakePair]:
        seen.append(photos.shape[2])
        return synthesize(photos, seeds, clean_raw)

    summary, _ = run(tmp_path / "out", find_sources([paths[0].parent]), watch, batch_size=3)
    assert summary.made == 9
    assert seen == list(range(8, 17))  # first come, first served


@pytest.mark.parametrize(("raw", "srgb"), [(True, False), (False, True)])
def test_only_the_part_asked_for_is_written(tmp_path: Path, sources: list[Source], raw: bool, srgb: bool) -> None:
    _, files = run(tmp_path / "out", sources, keep_raw=raw, keep_srgb=srgb)
    assert {name.split("/")[0] for name in files} == ({"raw"} if raw else {"srgb"})


def test_the_variance_map_belongs_to_the_noisy_raw(tmp_path: Path, sources: list[Source]) -> None:
    run(tmp_path / "out", sources[:1], keep_variance=True)
    with h5py.File(tmp_path / "out" / "raw" / "0.h5") as file:
        variance, noisy = file["variance"][()], file["noisy"][()] / 65535
    assert variance.dtype == np.float32
    np.testing.assert_allclose(variance, 0.01 * noisy + 0.0005, atol=0.01 * 0.51 / 65535 + 1e-9)


# ---------------------------------------------------------------- going on


def test_finished_pairs_are_kept(tmp_path: Path, sources: list[Source]) -> None:
    run(tmp_path / "out", sources[:3])
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("[rs]*/**/*") if path.is_file()}
    synthesize = FakeSynthesizer()
    summary, _ = run(tmp_path / "out", sources, synthesize)
    assert (summary.made, summary.kept) == (4, 3)
    assert len(synthesize.seeds) == 4
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_photo_of_another_size_is_made_again(
    tmp_path: Path, sources: list[Source], photo_file: Callable[..., Path]
) -> None:
    run(tmp_path / "out", sources)
    photo_file("photos/3.png", 10, 10, seed=50)
    summary, _ = run(tmp_path / "out", sources)
    assert (summary.made, summary.kept) == (1, 6)
    assert read_manifest(tmp_path / "out")[3]["height"] == 10


def test_a_run_that_goes_on_gives_what_one_run_gives(tmp_path: Path, sources: list[Source]) -> None:
    _, whole = run(tmp_path / "whole", sources)
    run(tmp_path / "pieces", sources[4:])
    run(tmp_path / "pieces", sources[1:5])
    _, pieces = run(tmp_path / "pieces", sources)
    assert pieces == whole
    manifests = [(tmp_path / folder / "manifest.jsonl").read_bytes() for folder in ("whole", "pieces")]
    assert manifests[0] == manifests[1]


# ---------------------------------------------------------------- things that go wrong


def test_bad_sources_are_reported_and_the_rest_is_made(tmp_path: Path, sources: list[Source]) -> None:
    _, whole = run(tmp_path / "whole", sources)
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    raw = tmp_path / "bad.dng"
    raw.write_bytes(b"no camera file")
    mixed = [*sources[:2], Source(bad, "b1"), Source(tmp_path / "gone.png", "b2"), *sources[2:], Source(raw, "b3")]
    summary, files = run(tmp_path / "mixed", mixed, batch_size=2)
    assert files == whole
    assert summary.made == 7
    assert {path.name for path, _ in summary.skipped} == {"bad.jpg", "gone.png", "bad.dng"}
    for path, reason in summary.skipped:
        assert str(path) in reason


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("can't allocate memory")]
)
def test_photos_too_large_for_memory_are_reported_and_the_rest_is_made(
    tmp_path: Path, sources: list[Source], error: Exception
) -> None:
    whole = FakeSynthesizer()

    def synthesize(photos: Tensor, seeds: Sequence[int], clean_raw: Tensor | None) -> list[FakePair]:
        if photos.shape[2] == 17:
            raise error
        return whole(photos, seeds, clean_raw)

    summary, _ = run(tmp_path / "out", sources, synthesize, batch_size=2)
    assert summary.made == 5
    assert [path.name for path, _ in summary.skipped] == ["2.png", "5.png"]
    for path, reason in summary.skipped:
        assert reason == f"{path}: 21x17 pixels do not fit into memory; make it smaller"


def test_photos_for_which_too_little_memory_is_free_are_left_out_before_it_is_taken(
    tmp_path: Path, sources: list[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(factory_module, "available_memory", lambda: 24 * 32 * 10**9 - 1)
    summary, _ = run(tmp_path / "out", sources, memory=lambda pixels: pixels * 10**9)
    assert [path.name for path, _ in summary.skipped] == ["0.png", "1.png", "3.png", "6.png"]
    for path, reason in summary.skipped:
        words = "32x24 pixels: its pair takes about 768 GB of memory, 768 GB are free; cut it into parts"
        assert reason == f"{path}: {words}"
    monkeypatch.setattr(factory_module, "available_memory", lambda: 24 * 32 * 10**9)
    assert run(tmp_path / "out", sources, memory=lambda pixels: pixels * 10**9)[0].made == 4


def test_a_mistake_in_the_code_is_not_taken_for_a_bad_photo(tmp_path: Path, sources: list[Source]) -> None:
    def synthesize(photos: Tensor, seeds: Sequence[int], clean_raw: Tensor | None) -> list[FakePair]:
        raise RuntimeError("sizes of tensors must match")

    with pytest.raises(RuntimeError, match="sizes of tensors"):
        run(tmp_path / "out", sources, synthesize)


FATAL = [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES]


@pytest.mark.parametrize("code", FATAL, ids=[errno.errorcode[code] for code in FATAL])
def test_a_full_or_locked_output_stops_the_run_and_keeps_what_is_finished(
    tmp_path: Path, sources: list[Source], monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    _, whole = run(tmp_path / "whole", sources)
    maker = factory(tmp_path / "out", FakeSynthesizer())
    write, turns, written = maker.store.write, itertools.count(), []

    def write_some(name: str, files: PairFiles, record: dict[str, Any]) -> None:
        if next(turns) >= 3:
            raise OSError(code, "No space left on device")
        write(name, files, record)
        written.append(name)

    monkeypatch.setattr(maker.store, "write", write_some)
    with pytest.raises(UserError, match=r"out: cannot be written \(No space left on device\); make room"):
        maker.run(sources, progress=False)
    assert [record["name"] for record in maker.store.merge()] == sorted(written)
    summary, files = run(tmp_path / "out", sources)
    assert (summary.made, summary.kept) == (4, 3)
    assert files == whole
