import os
from pathlib import Path

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
    clicks = pl.read_parquet(tmp_path / "toy" / "train.parquet")
    assert clicks.group_by("session", maintain_order=True).agg("item")["item"].to_list() == LISTS


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


def test_a_damaged_cache_is_reported(data: SessionData, tmp_path: Path):
    data.save(tmp_path / "toy")
    (tmp_path / "toy" / "train.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match="delete that folder"):
        SessionData.load(tmp_path / "toy")
