"""The whole pipeline against the reference's outputs, and the cache."""

import logging
import sys
from pathlib import Path

import pytest
from click_logs import START, load, load_as_configured

from srgnn.data import ClickLog, ItemTable, Rules
from srgnn.data.graphs import SessionGraphs
from srgnn.data.log import click_log
from srgnn.data.published import read_pickle
from srgnn.errors import UserError


def prefixes(part) -> tuple[list, list]:
    graphs = SessionGraphs(part, 1)
    pairs = list(zip(graphs.start.tolist(), graphs.length.tolist(), strict=True))
    items = (part.items + 1).tolist()  # the authors count items from 1
    return [items[start : start + length] for start, length in pairs], [
        items[start + length] for start, length in pairs
    ]


def test_the_reference_preset_gives_the_authors_files_to_the_last_id(shared: Path, tmp_path: Path):
    path = shared / "data" / "raw" / "diginetica-sample-train-item-views.csv"
    data = load_as_configured(tmp_path, "diginetica_log", path, "preset=reference")
    golden = shared / "golden" / "diginetica-sample"
    assert [(s + 1).tolist() for s in data.train] == read_pickle(golden / "all_train_seq.txt")
    assert prefixes(data.train) == read_pickle(golden / "train.txt")
    assert prefixes(data.test) == read_pickle(golden / "test.txt")
    assert data.counts == {"train_sessions": 469, "train_prefixes": 1205, "test_prefixes": 99, "items": 309}


def test_the_default_keeps_the_day_that_the_reference_loses(shared: Path, tmp_path: Path):
    path = shared / "data" / "raw" / "diginetica-sample-train-item-views.csv"
    ours, theirs = (
        load_as_configured(tmp_path, "diginetica_log", path, f"preset={name}") for name in ("default", "reference")
    )
    lost = theirs.manifest["steps"][-2]
    assert lost["rule"] == "without the sessions exactly on the split"
    assert len(ours.train) == len(theirs.train) + 9
    assert ours.manifest["split"]["train"][1] == ours.manifest["split"]["test_after"] == "2016-05-25 00:00:00"


@pytest.mark.parametrize(
    ("name", "train"), [("yoochoose_log", 52_098), ("yoochoose1_4_log", 13_024), ("yoochoose1_64_log", 814)]
)
def test_the_real_yoochoose_clicks_give_the_counts_of_the_reference(
    shared: Path, tmp_path: Path, name: str, train: int
):
    path = shared / "data" / "raw" / "yoochoose-clicks-100k.dat"
    data = load_as_configured(tmp_path, name, path, "preset=reference")
    assert (data.train.num_prefixes, data.test.num_prefixes, data.num_items) == (train, 10_102, 2_808)


def test_a_log_is_prepared_again_only_when_it_or_a_rule_changes(tmp_path: Path, log: Path, caplog):
    caplog.set_level(logging.INFO, logger="srgnn")

    def prepared(*options: str) -> bool:
        caplog.clear()
        load(tmp_path, "clicks", log, *options)
        return "Reading" in caplog.text

    assert prepared()
    assert not prepared()
    assert prepared("dataset.rules.repeats=drop")
    log.write_text(log.read_text().replace("12", "13"))
    assert prepared()
    log.rename(tmp_path / "other.csv")
    log = tmp_path / "other.csv"
    assert not prepared()  # the same content and rules
    items = tmp_path / "items.csv"
    items.write_text("id,title\n10,Rug\n")
    assert prepared(f"dataset.items.path={items}")
    items = items.rename(tmp_path / "same.csv")
    assert not prepared(f"dataset.items.path={items}")
    items.write_text("id,title\n10,Tea\n")
    assert prepared(f"dataset.items.path={items}")
    assert all((folder / "manifest.json").is_file() for folder in (tmp_path / "cache").iterdir())


def test_a_file_given_twice_is_refused(tmp_path: Path, log: Path):
    with pytest.raises(UserError, match=r"dataset\.path=.*expected each file once"):
        load(tmp_path, "clicks", None, f"dataset.path=['{log}','{log.parent}/*.csv']")


def test_a_file_of_another_kind_is_another_log(tmp_path: Path, log: Path):
    once = load(tmp_path, "clicks", log).folder
    other = log.rename(tmp_path / "log.txt")
    assert load(tmp_path, "clicks", other).folder != once


def test_warnings_from_the_cache_name_the_files_of_today(tmp_path: Path, log: Path):
    log.write_text("# exported\n" + log.read_text())
    (first,) = load(tmp_path, "clicks", log).manifest["notices"]
    moved = log.rename(tmp_path / "moved (1).csv")
    (second,) = load(tmp_path, "clicks", moved).manifest["notices"]
    assert second["text"] == first["text"].replace(str(log), str(moved)) != first["text"]


def test_warnings_from_the_cache_tell_files_of_one_name_apart(tmp_path: Path, log: Path):
    paths = [tmp_path / folder / "log.csv" for folder in "ab"]
    for path, above in zip(paths, ("", "# exported\n"), strict=True):
        path.parent.mkdir()
        path.write_text(above + log.read_text())
    first, *_ = ClickLog(paths, rules=Rules(min_item_support=1), cache=tmp_path).load().manifest["notices"]
    moved = paths[0].rename(tmp_path / "first.csv")
    second, *_ = ClickLog([moved, paths[1]], rules=Rules(min_item_support=1), cache=tmp_path).load().manifest["notices"]
    assert second["text"] == first["text"]
    assert str(paths[1]) in first["text"]


def test_a_new_recipe_prepares_again(tmp_path: Path, log: Path, monkeypatch):
    first = load(tmp_path, "clicks", log).folder
    monkeypatch.setattr(click_log, "RECIPE", click_log.RECIPE + 1)
    assert load(tmp_path, "clicks", log).folder != first


def test_path_objects_give_the_same_cache_as_their_text(tmp_path: Path, log: Path):
    items = tmp_path / "items.csv"
    items.write_text("id,title\n10,Rug\n")
    rules = Rules(min_item_support=1)
    texts = ClickLog(str(log), items=ItemTable(str(items)), rules=rules, cache=str(tmp_path / "cache"))
    paths = ClickLog([log], items=ItemTable(items), rules=rules, cache=tmp_path / "cache")
    assert texts.load().folder == paths.load().folder


def test_a_closed_pipe_is_no_fault_of_the_log(tmp_path: Path, log: Path, monkeypatch):
    def closed(*args: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("logging.Logger.info", closed)
    with pytest.raises(BrokenPipeError):
        ClickLog(log, cache=tmp_path / "cache").load()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a limit that only Linux has")
def test_a_full_disk_leaves_nothing_that_is_trusted(tmp_path: Path, log: Path):
    import resource

    log.write_text("session,item,time\n" + "".join(f"{i // 2},{i * 7919},{START + i}\n" for i in range(50_000)))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(UserError, match=r"Cannot write the prepared data .*File too large.*paths\.cache=FOLDER"):
            load(tmp_path, "clicks", log)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list((tmp_path / "cache").iterdir()) == []
