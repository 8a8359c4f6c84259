from pathlib import Path

import pytest
import torch
from small_checkpoint import write_checkpoint

from srgnn import item_tables
from srgnn.baselines import Popularity
from srgnn.data import SessionData
from srgnn.errors import ArgumentError, UserError
from srgnn.item_tables import embedding_table, similar_table
from srgnn.recommender import Recommender


@pytest.fixture
def recommender(tmp_path: Path) -> Recommender:
    return Recommender.load(write_checkpoint(tmp_path / "model.ckpt"))


def test_every_item_has_its_embedding_and_title(recommender: Recommender):
    table = embedding_table(recommender)
    assert table.columns == ["id", "title", "embedding"]
    assert table["id"].to_list() == list("ABCDEF")
    assert table["title"].to_list()[4:] == ["Eggs", None]
    embeddings = recommender.item_embeddings
    assert torch.equal(torch.tensor(table["embedding"].to_numpy()), embeddings)
    in_columns = embedding_table(recommender, in_columns=True)
    assert in_columns.columns[2:] == [f"embedding_{number}" for number in range(1, 9)]
    assert torch.equal(in_columns.drop("id", "title").to_torch(), embeddings)


@pytest.mark.parametrize("cells", [item_tables.CELLS, 13])
def test_every_item_has_the_items_that_are_similar_to_it(recommender: Recommender, cells: int, monkeypatch):
    monkeypatch.setattr(item_tables, "CELLS", cells)  # also two items at a time
    recommender.model.item_embedding.weight.data[3] = 0
    table = similar_table(recommender, k=4)
    for row in table.iter_rows(named=True):
        similar = recommender.similar_items(row["id"], k=4)
        assert row["cosines"] == pytest.approx(similar.cosines, abs=1e-6)
        assert row["items"] == similar.items or row["id"] == "D"  # whose cosines are all 0


def test_embeddings_are_needed_and_more_items_than_are_listed(recommender: Recommender, small: SessionData):
    with pytest.raises(ArgumentError, match="k=6: expected an integer from 1 to 5"):
        similar_table(recommender, k=6)
    counted = Recommender(Popularity(small.num_items), small.vocabulary)
    for table in (embedding_table, similar_table):
        with pytest.raises(UserError, match="The model has no item embeddings"):
            table(counted)
