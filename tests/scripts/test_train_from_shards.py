"""train_denoiser.py --pairs with shards: the weights of the same pairs unpacked, at any stop."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cycleisp.dataloaders.pairs import __main__ as pairs_command
from cycleisp.dataloaders.pairs.shards.conversion import pack
from tests.support.pairs import store_srgb
from tests.support.paths import ROOT
from tests.support.pictures import random_picture
from tests.support.scripts import Outcome, call_script, error_line
from tests.support.tar_shards import pack_by_tarfile
from tests.support.training import assert_bit_equal
from train_denoiser import main

SMOKE = str(ROOT / "configs" / "denoiser_smoke.yaml")
SHORT = ("train.steps=3", "train.log_every=1", "train.checkpoint_every=2", "train.validate_every=3")
TWO_STEPS = ("train.steps=2", "train.validate_every=2")


def train(*options: object, changes: tuple[str, ...] = SHORT) -> Outcome:
    return call_script(main, "--space", "srgb", "--config", SMOKE, "--device", "cpu", *options, "--set", *changes)


def store_three(place: Path) -> None:
    """Stores three pairs in a folder of pairs, and the same ones in shards."""
    for seed in range(3):
        store_srgb(place / "pairs", str(seed), *(random_picture(40, 48, seed=seed + extra) for extra in (0, 9)))
    pack_by_tarfile(place / "pairs", place / "shards")


def test_a_stopped_run_on_shards_ends_as_a_whole_run_on_the_folder(tmp_path: Path) -> None:
    store_three(tmp_path)
    whole = train("--pairs", tmp_path / "pairs", "--run-dir", tmp_path / "whole")
    assert whole.returncode == 0 and "of the time waiting for data" in whole.stderr
    options = ("--pairs", tmp_path / "shards", "--run-dir", tmp_path / "parts", "--cache", tmp_path / "cache")
    assert train(*options, "--stop-after", 0).returncode == 3
    assert train(*options).returncode == 0
    assert_bit_equal(tmp_path / "whole", tmp_path / "parts")
    assert not (tmp_path / "cache").exists()  # which is for remote shards


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ("memory://nowhere", "memory://nowhere/shards.jsonl: "),
        ("nosuch://bucket/shards", "nosuch://bucket/shards/shards.jsonl: "),
        ("LIST", "line 1 is no"),
    ],
)
def test_shards_that_are_not_there_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pairs: str, message: str
) -> None:
    pytest.importorskip("fsspec", reason="URLs of shards need fsspec")
    monkeypatch.setattr("cycleisp.dataloaders.pairs.shards.anywhere.PAUSES", ())
    (tmp_path / "LIST").write_text("words\n")
    place = tmp_path / pairs if pairs == "LIST" else pairs
    assert message in error_line(train("--pairs", place, "--run-dir", tmp_path / "run"))


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty bucket of an S3 server, which moto plays on this machine."""
    s3fs = pytest.importorskip("s3fs", reason="s3:// needs s3fs, which the extra cloud installs")
    server = pytest.importorskip("moto.server", reason="the S3 server needs moto[s3], flask and flask-cors")
    playing = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    playing.start()
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_S3")
    port = playing.get_host_and_port()[1]
    for name, value in zip(names, ("key", "secret", "us-east-1", f"http://127.0.0.1:{port}"), strict=True):
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdir("bucket")
    yield "s3://bucket"
    s3fs.S3FileSystem().rm("bucket", recursive=True)  # moto keeps buckets when its server stops
    s3fs.S3FileSystem.clear_instance_cache()
    playing.stop()


def test_shards_in_s3_train_as_those_of_a_folder(bucket: str, tmp_path: Path) -> None:
    """Through copies and without them; a loader process, which is a fork, reads them as well."""
    s3fs = pytest.importorskip("s3fs")
    store_three(tmp_path)
    s3fs.S3FileSystem().put(str(tmp_path / "shards"), f"{bucket}/shards", recursive=True)
    places = {"here": tmp_path / "shards", "there": f"{bucket}/shards", "loaded": f"{bucket}/shards/shards.jsonl"}
    options: dict[str, tuple[object, ...]] = {
        "here": (), "there": ("--cache", tmp_path / "cache"), "loaded": ("--cache-size", 0)
    }  # fmt: skip
    for name, place in places.items():
        changes = (*TWO_STEPS, f"train.workers={int(name == 'loaded')}")
        outcome = train("--pairs", place, "--run-dir", tmp_path / name, *options[name], changes=changes)
        assert outcome.returncode == 0, outcome.stderr
        assert_bit_equal(tmp_path / "here", tmp_path / name)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_shards_in_s3_are_verified(bucket: str, tmp_path: Path) -> None:
    s3fs = pytest.importorskip("s3fs")
    store_three(tmp_path)
    pack(tmp_path / "pairs", tmp_path / "packed", size=1)
    system = s3fs.S3FileSystem()
    system.put(str(tmp_path / "packed"), f"{bucket}/shards", recursive=True)
    whole = call_script(pairs_command.main, "verify", f"{bucket}/shards")
    assert (whole.returncode, whole.stdout) == (0, f"0 of the shards are damaged; {bucket}/shards\n")
    content = bytearray((tmp_path / "packed" / "pairs-000000.tar").read_bytes())
    content[600] ^= 1
    system.pipe_file(f"{bucket}/shards/pairs-000000.tar", bytes(content))
    damaged = call_script(pairs_command.main, "verify", f"{bucket}/shards")
    assert damaged.returncode == 1
    assert f"{bucket}/shards/pairs-000000.tar" in damaged.stdout and "1 of the shards are damaged" in damaged.stdout
    assert "bucket/none/shards.jsonl" in error_line(call_script(pairs_command.main, "verify", f"{bucket}/none"))
