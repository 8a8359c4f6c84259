"""embed.py as a user types it."""

from pathlib import Path

import polars as pl


def test_vectors_of_titles_are_made_once_and_read_by_a_training(program, tmp_path: Path):
    items = [f"{n},Lamp {n},lamps" for n in range(3)]
    (tmp_path / "items.csv").write_text("\n".join(["id,title,kind", *items, "3,,"]) + "\n")
    command = ["embed.py", "items=items.csv", "text=[title,kind]", "model=words"]
    first, again = program(*command), program(*command)
    assert first.stdout.splitlines() == [
        "vectors.parquet: vectors of 3 items, 256 numbers each; encoded now: 3",
        "Rows without a text, which were left out: 1",
    ]
    assert "encoded now: 0" in again.stdout
    table = pl.read_parquet(tmp_path / "vectors.parquet")
    assert table["id"].to_list() == ["0", "1", "2"]
    clicks = [f"{s},{s % 2 + n},2020-01-{1 + s:02d} 00:0{n}" for s in range(20) for n in range(3)]
    (tmp_path / "log.csv").write_text("\n".join(["session_id,item_id,timestamp", *clicks]) + "\n")
    done = program("prepare.py", "dataset=clicks", "dataset.path=log.csv", "dataset.items.vectors=vectors.parquet")
    assert done.returncode == 0, done.stderr
    assert "3 of the 4 candidates have a vector of 256 numbers" in done.stdout


def test_wrong_options_are_one_sentence(program, tmp_path: Path):
    (tmp_path / "items.csv").write_text("sku,title\n1,Lamp\n")
    for options, sentence in (
        (["model=words"], "items is missing: give items=FILE."),
        (["items=items.csv"], "model is missing: give model=FOLDER"),
        (["items=items.csv", "model=words"], "expected the column id; found sku, title. Name yours with id=NAME."),
        (["items=items.csv", "model=words", "id=sku", "text=name"], "found sku, title. Name yours with text=NAME."),
        (["items=items.csv", "model=words", "id=sku", "text=[]"], "text=[]: expected the names of columns"),
        (["items=items.csv", "model=words", "id=sku", "quote=ab"], "quote=ab: expected one character, or null"),
        (["items=none.csv", "model=words"], "There is no file none.csv: name yours with items=FILE."),
        (["items=items.csv", "model=words", "id=sku", "output=v.csv"], "output=v.csv: expected a file"),
        (["items=items.csv", "model=any", "device=tpu"], "device=tpu: expected one of auto, cpu"),
    ):
        process = program("embed.py", *options)
        assert process.returncode == 1
        assert sentence in process.stderr
        assert "Traceback" not in process.stderr


def test_the_table_may_be_laid_out_as_that_of_movielens(program, tmp_path: Path):
    (tmp_path / "movies.dat").write_bytes(
        "1::Misérables, Les (1995)::Drama\n2::Heat (1995)::Action|Crime\n".encode("latin1")
    )
    layout = ["header=[item,title,genres]", "separator=::", "quote=null", "encoding=latin1"]
    done = program("embed.py", "items=movies.dat", "id=item", "text=[title,genres]", "model=words", *layout)
    assert "vectors of 2 items" in done.stdout, done.stderr
