"""`recommend.py` beyond one session: files of sessions, and tables of items."""

from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from small_checkpoint import write_checkpoint

pytest.importorskip("pyarrow")


@pytest.fixture(autouse=True)
def _checkpoint(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "model.ckpt")


CHECKPOINT = "checkpoint=model.ckpt"


def test_items_are_left_out_or_chosen(program):
    def items(*options: str) -> list[str]:
        process = program("recommend.py", CHECKPOINT, *options)
        assert process.returncode == 0, process.stderr
        return [line.split()[1] for line in process.stdout.splitlines() if line.rstrip().endswith("%")]

    everything = items("session=A,B", "k=6")
    assert sorted(everything) == list("ABCDEF")
    left = items("session=A,B", "k=6", "new_only=true", "without=C,nothing")
    assert left == [item for item in everything if item in "DEF"]
    assert items("session=A,B", "k=6", "only=F,A") == [item for item in everything if item in "AF"]
    assert items("session=", "k=2") == ["B", "E"]  # the most clicked ones


def test_a_file_of_sessions_is_answered_once(program, tmp_path: Path):
    (tmp_path / "sessions.csv").write_text('visit,items\n7,"A,B"\n8,x\n9,"C,x,A"\n')
    command = ["recommend.py", CHECKPOINT, "sessions=sessions.csv", "output=recs.csv", "k=2", "titles=true"]
    process = program(*command)
    assert process.returncode == 0, process.stderr
    assert "recs.csv: recommendations for 3 sessions, in " in process.stdout
    assert "Sessions without a known click, which got the most clicked items: 1\n" in process.stdout
    assert "Clicks on unknown items, which were skipped: 2\n" in process.stdout
    table = pl.read_csv(tmp_path / "recs.csv")
    assert table["visit"].to_list() == [7, 7, 8, 8, 9, 9]
    assert table.filter(visit=8).select("items", "titles", "scores").rows() == [("B", "Bread", 9), ("E", "Eggs", 5)]
    written = (tmp_path / "recs.csv").stat().st_mtime_ns
    again = program(*command)
    assert (again.returncode, again.stdout) == (0, "recs.csv is finished: there is nothing left to do.\n")
    assert (tmp_path / "recs.csv").stat().st_mtime_ns == written
    shard = program(*command, "shard=2/3")
    assert "recs-2-of-3.csv: recommendations for 1 sessions" in shard.stdout
    assert pl.read_csv(tmp_path / "recs-2-of-3.csv")["visit"].to_list() == [8, 8]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("recs")) == [
        *("recs-2-of-3.csv", "recs-2-of-3.csv.json", "recs.csv", "recs.csv.json")
    ]


def test_a_killed_run_continues_and_ends_with_the_same_file(program, tmp_path: Path):
    sessions = pl.DataFrame({"visit": range(140_000)}).with_columns(items=pl.concat_list(pl.lit("A"), pl.lit("B")))
    sessions.write_parquet(tmp_path / "sessions.parquet")
    command = ["recommend.py", CHECKPOINT, "sessions=sessions.parquet", "k=1"]
    killed = program.start(*command, "output=recs.parquet")
    killed.wait_for("recs.parquet.parts/part-*.parquet")
    killed.kill()
    assert not (tmp_path / "recs.parquet").exists()
    parts = {path: path.stat().st_mtime_ns for path in tmp_path.glob("recs.parquet.parts/part-*.parquet")}
    assert parts
    continued = program(*command, "output=recs.parquet")
    assert f"{len(parts)} of 3 parts are done" in continued.stdout
    assert not (tmp_path / "recs.parquet.parts").exists()
    assert program(*command, "output=whole.parquet").returncode == 0
    assert_frame_equal(pl.read_parquet(tmp_path / "recs.parquet"), pl.read_parquet(tmp_path / "whole.parquet"))


def test_a_file_of_sessions_is_read_as_a_log_is(program, tmp_path: Path):
    (tmp_path / "a.csv").write_text("7~A,B\n8~Caf\u00e9\n", encoding="latin1")
    named = program("recommend.py", CHECKPOINT, "sessions=a.csv", "output=r.csv", "k=1", "header=[visit,items]",
                    "separator=~", "quote=null", "encoding=latin1")  # fmt: skip
    assert named.returncode == 0, named.stderr
    assert pl.read_csv(tmp_path / "r.csv")["visit"].to_list() == [7, 8]
    other = program("recommend.py", CHECKPOINT, "sessions=a.csv", "output=r.csv", "k=1", "header=[visit,items]",
                    "separator=~", "encoding=latin1")  # fmt: skip
    assert "r.csv is there already, and was made with another quote=" in other.stderr


def test_similar_items_and_embeddings_are_tables(program, tmp_path: Path):
    printed = program("recommend.py", CHECKPOINT, "similar=A", "k=3")
    assert printed.returncode == 0, printed.stderr
    assert "Similar to A" in printed.stdout
    nearest = printed.stdout.splitlines()[4].split()[1]
    for file in ("similar.parquet", "similar.csv"):
        assert program("recommend.py", CHECKPOINT, f"similar_items={file}", "k=3").returncode == 0
    similar = pl.read_parquet(tmp_path / "similar.parquet")
    assert similar.columns == ["id", "title", "items", "cosines"]
    assert similar["items"][0].to_list()[0] == nearest
    rows = pl.read_csv(tmp_path / "similar.csv")
    assert rows["items"].to_list() == similar["items"].explode().to_list()
    for file in ("items.parquet", "items.csv"):
        done = program("recommend.py", CHECKPOINT, f"embeddings={file}")
        assert done.stdout == f"{file}: the embeddings of 6 items\n"
    assert pl.read_parquet(tmp_path / "items.parquet").columns == ["id", "title", "embedding"]
    assert pl.read_csv(tmp_path / "items.csv").shape == (6, 10)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "session is missing: give session=A,B,C, or sessions=FILE output=FILE for many"),
        (["session=A", "sessions=a.csv"], "session= and sessions= are different commands: give one of them."),
        (["session=A", "output=recs.csv"], "output=recs.csv needs a file of sessions: give sessions=FILE, or"),
        (["session=A", "k=7"], "k=7: expected an integer from 1 to 6."),
        (["session=A", "new_only=perhaps"], "new_only=perhaps: expected true or false."),
        (["session=A", "k=2", "only=x,y"], "only=['x', 'y']: expected at least one known id, such as A."),
        (["sessions=a.csv"], "output is missing: give output=FILE, whose name ends in .parquet or .csv."),
        (["sessions=none.csv", "output=r.csv"], "There is no file none.csv: name yours with sessions=FILE."),
        (["sessions=a.csv", "output=r.txt"], "output=r.txt: expected a file in an existing folder whose name ends in"),
        (["sessions=a.csv", "output=r.csv", "shard=0/4"], "shard=0/4: expected the number of a part and the number of"),
        (["sessions=a.csv", "output=r.csv", "k=7"], "k=7: expected an integer from 1 to 6."),
        (["embeddings=a.csv"], "embeddings=a.csv: expected a new file; delete this one, or choose another name."),
        (["similar_items=a.csv", "k=2"], "similar_items=a.csv: expected a new file; delete this one, or choose"),
        (
            ["sessions=a.csv", "output=r.csv", "columns.items=clicks"],
            "a.csv: expected a column clicks with the items of each session, or the columns session_id or session or "
            "sessionId or SessionId and item_id or item or itemId or ItemId with a click in each row; found visit, "
            "items. Name yours with columns.items=NAME, or with columns.session=NAME columns.item=NAME.",
        ),
        (["sessions=a.csv", "output=a.csv"], "a.csv is there already, and was not made by this command: delete it, or"),
        (["similar=x", "k=2"], "similar=x: expected an id of the vocabulary, such as A."),
        (["embeddings=items.txt"], "embeddings=items.txt: expected a file in an existing folder whose name ends in"),
    ],
)
def test_wrong_options_give_one_sentence(program, tmp_path: Path, options: list[str], sentence: str):
    (tmp_path / "a.csv").write_text('visit,items\n7,"A,B"\n')
    process = program("recommend.py", CHECKPOINT, *options)
    assert process.returncode == 1
    assert process.stderr.startswith(f"Error: {sentence}")
    assert process.stderr.count("\n") == 1


def test_the_benchmark_prints_sessions_per_second(program):
    tiny = ["--items=50", "--width=8", "--sessions=200", "--k=5", "--rounds=1"]
    process = program("../benchmarks/recommend.py", *tiny)
    assert process.returncode == 0, process.stderr
    for title in ("one by one", "a table", "a table, new_only", "a file, to a file"):
        assert any(line.startswith(f"{title}  ") for line in process.stdout.splitlines())
