"""From the unpacked layout to shards and back, without loss; other programs read the shards."""

import tarfile
from pathlib import Path

import numpy as np
import pytest

from cycleisp.dataloaders.pairs import __main__ as command
from cycleisp.dataloaders.pairs.manifest import read_manifest
from cycleisp.dataloaders.pairs.shards.conversion import pack, unpack, verify
from cycleisp.dataloaders.pairs.shards.reading import ShardReader, read_shard_list
from cycleisp.dataloaders.pairs.store import PairStore
from cycleisp.dataloaders.photos import read_photo
from cycleisp.dataloaders.sources import Source
from cycleisp.utils.errors import UserError
from tests.support.scripts import call_script, error_line
from tests.support.shards import SETTINGS, contents, factory_for, make_one, write_photos


@pytest.fixture
def sources(tmp_path: Path) -> list[Source]:
    return write_photos(tmp_path / "photos")


@pytest.fixture
def pairs(tmp_path: Path, sources: list[Source]) -> Path:
    """An unpacked folder."""
    factory = factory_for(store := PairStore(tmp_path / "pairs", SETTINGS))
    factory.run(sources, progress=False)
    store.merge()
    return tmp_path / "pairs"


def files(folder: Path) -> dict[str, bytes]:
    """Returns the files of an unpacked folder, by their places."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_packing_and_unpacking_lose_nothing(tmp_path: Path, pairs: Path) -> None:
    assert len(pack(pairs, tmp_path / "shards", size=1)) == 1
    unpack(str(tmp_path / "shards"), tmp_path / "again")
    assert files(tmp_path / "again") == files(pairs)
    pack(tmp_path / "again", tmp_path / "shards again", size=1)
    assert contents(tmp_path / "shards again") == contents(tmp_path / "shards")


def test_unpacking_and_packing_lose_nothing(tmp_path: Path, sources: list[Source], pairs: Path) -> None:
    make_one(tmp_path / "shards", sources)
    unpack(str(tmp_path / "shards" / "shards.jsonl"), tmp_path / "unpacked")
    for kind in ("clean", "noisy"):
        assert files(tmp_path / "unpacked" / "srgb" / kind) == files(pairs / "srgb" / kind)
    pack(tmp_path / "unpacked", tmp_path / "again", size=1)
    assert contents(tmp_path / "again") == contents(tmp_path / "shards")
    store = PairStore(tmp_path / "unpacked", SETTINGS)
    assert all(store.is_finished(source) for source in store.named(sources))  # generate_data.py goes on there


def test_shards_have_about_the_size_that_was_asked_for(tmp_path: Path, pairs: Path) -> None:
    from cycleisp.dataloaders.pairs.shards import conversion

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conversion, "MEGABYTE", 3000)
        entries = pack(pairs, tmp_path / "shards", size=1)
    assert [entry.name for entry in entries] == [f"pairs-{number:06d}.tar" for number in range(len(entries))]
    assert len(entries) > 1 and sum(entry.pairs for entry in entries) == 5
    keys = [key for entry in entries for key, _ in ShardReader(entry.url).pairs()]
    assert keys == [f"{number:09d}" for number in range(5)]


def test_what_is_packed_already_is_kept(tmp_path: Path, pairs: Path) -> None:
    pack(pairs, tmp_path / "shards", size=1)
    before = (tmp_path / "shards" / "pairs-000000.tar").stat().st_ino
    pack(pairs, tmp_path / "shards", size=1)
    assert (tmp_path / "shards" / "pairs-000000.tar").stat().st_ino == before
    with pytest.raises(UserError, match=r"holds pairs made with shard_size=1"):
        pack(pairs, tmp_path / "shards", size=2)


def test_what_is_unpacked_already_is_kept(tmp_path: Path, pairs: Path) -> None:
    pack(pairs, tmp_path / "shards", size=1)
    unpack(str(tmp_path / "shards"), tmp_path / "again")
    name = read_manifest(tmp_path / "again")[0]["name"]
    lost, kept = (tmp_path / "again" / "srgb" / kind / f"{name}.png" for kind in ("clean", "noisy"))
    other = next(path for path in kept.parent.iterdir() if path != kept)
    lost.unlink()
    number = other.stat().st_ino
    unpack(str(tmp_path / "shards"), tmp_path / "again")
    assert lost.is_file() and other.stat().st_ino == number


def test_damage_is_found(tmp_path: Path, sources: list[Source]) -> None:
    make_one(tmp_path / "shards", sources)
    assert verify(str(tmp_path / "shards")) == []
    tar = tmp_path / "shards" / "pairs-000000.tar"
    content = bytearray(tar.read_bytes())
    content[1000] ^= 1
    tar.write_bytes(content)
    (problem,) = verify(str(tmp_path / "shards"))
    assert problem.startswith(f"{tar}: ") and "another content" in problem
    tar.unlink()
    (problem,) = verify(str(tmp_path / "shards"))
    assert problem.startswith(f"{tar}: cannot be read")


def test_the_command_line(tmp_path: Path, pairs: Path) -> None:
    shards, again = tmp_path / "shards", tmp_path / "again"
    assert "5 pairs in 1 shards" in call_script(command.main, "pack", pairs, shards, "--shard-size", 1).stdout
    (shards / "shards.jsonl").unlink()
    asked = call_script(command.main, "unpack", shards, again)
    assert f"{shards}/shards.jsonl" in error_line(asked) and "merge" in error_line(asked)
    assert call_script(command.main, "merge", shards).returncode == 0
    assert "5 pairs" in call_script(command.main, "unpack", shards, again).stdout
    assert call_script(command.main, "verify", shards).returncode == 0
    (shards / "pairs-000000.index.json").write_text("{}")
    result = call_script(command.main, "verify", shards)
    assert result.returncode == 1 and "pairs-000000.index.json: is no index of a shard" in result.stdout
    assert "holds no manifest.jsonl" in error_line(call_script(command.main, "pack", tmp_path / "none", shards))


# ---------------------------------------------------------------- other programs


def test_plain_tar_extracts_them(tmp_path: Path, sources: list[Source]) -> None:
    make_one(tmp_path / "shards", sources)
    with tarfile.open(tmp_path / "shards" / "pairs-000000.tar") as tar:
        tar.extractall(tmp_path / "extracted", filter="data")
    np.testing.assert_array_equal(
        read_photo(tmp_path / "extracted" / "000000002.clean.png"), read_photo(sources[2].path)
    )
    assert len(list((tmp_path / "extracted").iterdir())) == 20


def test_webdataset_reads_them(tmp_path: Path, sources: list[Source]) -> None:
    webdataset = pytest.importorskip("webdataset", reason="webdataset is not installed")
    make_one(tmp_path / "shards", sources)
    (entry,) = read_shard_list(str(tmp_path / "shards"))
    found = list(webdataset.WebDataset(entry.url, shardshuffle=False).decode("rgb8"))
    assert [sample["__key__"] for sample in found] == [f"{number:09d}" for number in range(5)]
    np.testing.assert_array_equal(found[0]["clean.png"], read_photo(sources[0].path))
    assert found[3]["json"]["name"] == sources[3].name
    assert found[3]["raw.npz"]["noisy"].shape == (4, 6, 8)
