from pathlib import Path

import pytest
from click_logs import DAY, START, load, raw


def test_visits_of_a_user_are_cut_by_inactivity(tmp_path: Path):
    visits = [("u", "a", 0), ("u", "b", 1800), ("v", "a", 10), ("u", "c", 3601), ("v", "b", 20), ("u", "a", 3700)]
    later = [("u", "a", 30 * DAY), ("u", "b", 30 * DAY + 1)]
    path = tmp_path / "log.csv"
    path.write_text("who,item,time\n" + "".join(f"{u},{i},{START + t}\n" for u, i, t in visits + later))
    options = ["dataset.columns.user=who", "dataset.session_gap=30m"]
    data = load(tmp_path, "clicks", path, *options)
    assert raw(data, "train") == [["a", "b"], ["a", "b"], ["c", "a"]]  # of v, then of u; 1800 s are no gap, 1801 are
    assert [step["sessions"] for step in data.manifest["steps"][:2]] == [None, 4]


@pytest.mark.parametrize("options", [["dataset.rules.order=file"], ["dataset.columns.order=place"]])
def test_visits_are_cut_by_time_whatever_orders_their_clicks(tmp_path: Path, options):
    path = tmp_path / "log.csv"
    rows = [("u", "a", 10 * DAY + 60), ("u", "b", 10 * DAY), ("u", "c", 0), ("u", "d", 30), ("v", "a", 40 * DAY)]
    rows += [("v", "b", 40 * DAY + 1)]
    lines = [f"{u},{i},{START + t},{place / 2}\n" for place, (u, i, t) in enumerate(rows)]
    path.write_text("user,item,time,place\n" + "".join(lines))
    data = load(tmp_path, "clicks", path, "dataset.session_gap=30m", *options)
    assert raw(data, "train") == [["c", "d"], ["a", "b"]]


def test_counts_are_of_clicks_without_duplicate_rows(tmp_path: Path, log: Path):
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join([*lines, *lines[1:]]))
    data = load(tmp_path, "clicks", log, "dataset.rules.duplicates=drop")
    assert [step["clicks"] for step in data.manifest["steps"][:2]] == [20, 10]
    assert data.vocabulary.about["count"].to_list() == [4, 3, 3]
