import os
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from srgnn.data import SessionData, Sessions, Vocabulary
from srgnn.errors import ArgumentError, UserError

LISTS = [[0, 1, 0], [2], [1, 2, 3, 4]]


@pytest.fixture
def data() -> SessionData:
    train, test = Sessions.from_lists(LISTS), Sessions.from_lists([[4, 0]])
    return SessionData(train, test, Vocabulary(["a", "b", "c", "d", "e"]), {"name": "toy"})


def test_sessions_are_packed_and_unpacked():
    sessions = Sessions.from_lists(LISTS)
    assert sessions.items.tolist() == [0, 1, 0, 2, 1, 2, 3, 4]
    assert sessions.ptr.tolist() == [0, 3, 4, 8]
    assert [sessions[s].tolist() for s in range(len(sessions))] == LISTS


def test_every_prefix_is_one_sample():
    assert Sessions.from_lists(LISTS).num_prefixes == 2 + 0 + 3


def test_the_latest_sessions_are_split_off():
    earlier, latest = Sessions.from_lists([[0, 1], [1, 2], [2, 3], [3, 4, 0]]).split_latest(0.25)
    assert [s.tolist() for s in earlier] == [[0, 1], [1, 2], [2, 3]]
    assert [s.tolist() for s in latest] == [[3, 4, 0]]


@pytest.mark.parametrize("fraction", [0, 1, -0.5, 0.99])
def test_a_split_that_leaves_nothing_is_refused(fraction):
    with pytest.raises(ArgumentError, match=r"^fraction="):
        Sessions.from_lists([[0, 1], [1, 2]]).split_latest(fraction)


def test_a_vocabulary_finds_ids_given_as_text():
    vocabulary = Vocabulary([17, 4])
    assert (vocabulary.index(4), vocabulary.index("17"), vocabulary.index("x")) == (1, 0, None)


def test_a_cache_loads_as_it_was_saved(data: SessionData, tmp_path: Path):
    data.save(tmp_path / "toy")
    loaded = SessionData.load(tmp_path / "toy")
    assert loaded.vocabulary == data.vocabulary
    assert loaded.manifest == data.manifest
    for ours, theirs in ((loaded.train, data.train), (loaded.test, data.test)):
        assert torch.equal(ours.items, theirs.items)
        assert torch.equal(ours.ptr, theirs.ptr)
    items, ptr = (np.load(tmp_path / "toy" / f"train.{name}.npy") for name in ("items", "ptr"))
    assert (items.dtype, items.tolist()) == (np.int32, [0, 1, 0, 2, 1, 2, 3, 4])
    assert (ptr.dtype, ptr.tolist()) == (np.int64, [0, 3, 4, 8])


def test_sessions_are_mapped_and_never_written_back(data: SessionData, tmp_path: Path, recwarn):
    saved = data.save(str(tmp_path / "toy"))
    assert saved.train.items.dtype == torch.int32
    assert saved.train.ptr.dtype == torch.int64
    maps = Path("/proc/self/maps")
    for name in ("train.items.npy", "train.ptr.npy"):
        assert not maps.exists() or name in maps.read_text()  # Linux alone has the list
    saved.train.items[0] = 3
    saved.train.ptr[1] = 2
    loaded = SessionData.load(str(tmp_path / "toy")).train
    assert (loaded.items.tolist(), loaded.ptr.tolist()) == (data.train.items.tolist(), data.train.ptr.tolist())
    assert not recwarn.list


def test_sessions_without_clicks_are_saved_too(tmp_path: Path):
    lists = [[], [3, 4], [], [1], []]
    Sessions.from_lists(lists).save(tmp_path / "a")
    loaded = Sessions.load(tmp_path / "a")
    assert [session.tolist() for session in loaded] == lists
    assert SessionData(loaded, loaded, Vocabulary(range(5))).facts()["unseen_test_targets"] == 0


def test_a_data_set_without_clicks_is_saved(tmp_path: Path):
    none = Sessions.from_lists([])
    loaded = SessionData(none, none, Vocabulary(["a"])).save(tmp_path / "none")
    assert (len(loaded.train), loaded.train.items.tolist(), loaded.train.ptr.tolist()) == (0, [], [0])


@pytest.mark.parametrize("ids", [None, ["a", "b, c"], [7, 2**62]])
def test_the_ids_of_the_test_sessions_are_kept(tmp_path: Path, ids):
    test = Sessions.from_lists([[0, 1], [1, 0]])
    given = None if ids is None else pl.Series(ids)
    loaded = SessionData(test, test, Vocabulary(["a", "b"]), test_ids=given).save(tmp_path / "toy")
    assert (None if loaded.test_ids is None else loaded.test_ids.to_list()) == ids


def test_mapped_sessions_are_saved_as_they_are_now(data: SessionData, tmp_path: Path):
    first = data.save(tmp_path / "one")
    first.train.items[0] = 3
    shutil.rmtree(tmp_path / "one")
    second = first.save(tmp_path / "two")
    assert second.train.items.tolist() == [3, *data.train.items.tolist()[1:]]
    assert torch.equal(second.train.ptr, data.train.ptr)


def test_the_facts_of_a_data_set():
    train = Sessions.from_lists([[0, 1], [1, 2, 0], [0, 1, 0, 1, 2, 2]])
    test = Sessions.from_lists([[3, 3, 0], [1, 4]])
    assert SessionData(train, test, Vocabulary(list("abcdef"))).facts() == {
        "counts": {"train_sessions": 3, "train_prefixes": 8, "test_prefixes": 3, "items": 6, "trained_items": 3},
        "sets": {
            "train": {"clicks": 11, "sessions": 3, "items": 3},
            "test": {"clicks": 5, "sessions": 2, "items": 4},
        },
        "lengths": {
            "train": {"2": 1, "3": 1, "4": 0, "5": 0, "6-10": 1, "11-20": 0, "21-50": 0, "51-100": 0, "101+": 0},
            "test": {"2": 1, "3": 1, "4": 0, "5": 0, "6-10": 0, "11-20": 0, "21-50": 0, "51-100": 0, "101+": 0},
        },
        "unseen_test_targets": 2,  # the second 3 and the 4
    }


def test_a_killed_save_leaves_nothing_that_is_trusted(data: SessionData, tmp_path: Path, monkeypatch):
    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("srgnn.data.sessions.json.dumps", killed)
    with pytest.raises(KeyboardInterrupt):
        data.save(tmp_path / "toy")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_gives_one_sentence_and_leaves_nothing(tmp_path: Path):
    resource = pytest.importorskip("resource")
    items = torch.arange(50_000)
    sessions = Sessions(items, torch.arange(0, 50_001, 2))
    data = SessionData(sessions, sessions, Vocabulary(items.tolist()), {"name": "large"})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(UserError, match=r"Cannot write the prepared data .*File too large.* cache=FOLDER"):
            data.save(tmp_path / "large")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_of_two_saves_at_the_same_time_the_first_one_wins(data: SessionData, tmp_path: Path, monkeypatch):
    rename = os.rename

    def overtaken(source, target):
        monkeypatch.setattr(os, "rename", rename)
        data.save(Path(target))
        rename(source, target)

    monkeypatch.setattr(os, "rename", overtaken)
    data.save(tmp_path / "toy")
    assert [path.name for path in tmp_path.iterdir()] == ["toy"]
    assert SessionData.load(tmp_path / "toy").vocabulary == data.vocabulary


ARRAYS = [f"{part}.{name}.npy" for part in ("train", "test") for name in ("items", "ptr")]
FILES = [*ARRAYS, "vocabulary.parquet", "test_ids.parquet", "manifest.json", "checksums.txt"]


@pytest.mark.parametrize("name", FILES)
def test_every_flipped_bit_is_found(data: SessionData, tmp_path: Path, name: str):
    data.save(tmp_path / "toy")
    path = tmp_path / "toy" / name
    content = path.read_bytes()
    for position in range(len(content)):
        flipped = bytearray(content)
        flipped[position] ^= 1 << position % 8
        path.write_bytes(flipped)
        with pytest.raises(UserError, match=r"toy is damaged \([\w.]+\): delete that folder\.$"):
            SessionData.load(tmp_path / "toy")
    path.write_bytes(content)
    assert SessionData.load(tmp_path / "toy").vocabulary == data.vocabulary


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_cut_or_missing_is_reported(data: SessionData, tmp_path: Path, name: str):
    data.save(tmp_path / "toy")
    path = tmp_path / "toy" / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"is damaged .*: delete that folder"):
        SessionData.load(tmp_path / "toy")
    path.unlink()
    with pytest.raises(UserError, match=r"toy .*: delete that folder"):
        SessionData.load(tmp_path / "toy")


def test_a_folder_of_an_older_version_is_named_as_such(data: SessionData, tmp_path: Path):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "manifest.json").write_text("{}")
    with pytest.raises(UserError, match=r"older version of this program .*: delete that folder\.$"):
        SessionData.load(tmp_path / "toy")


def test_loading_removes_what_killed_preparations_left(data: SessionData, tmp_path: Path):
    data.save(tmp_path / "toy")
    (tmp_path / ".srgnn-left").mkdir()
    (tmp_path / ".srgnn-left" / "rows.parquet").write_bytes(b"1")
    SessionData.load(tmp_path / "toy")
    assert [path.name for path in tmp_path.iterdir()] == ["toy"]
