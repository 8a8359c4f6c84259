import polars as pl
import pytest
import torch

from srgnn.baselines import MarkovChain
from srgnn.data import SessionData, Sessions, Vocabulary
from srgnn.data.graphs import SessionGraphs
from srgnn.evaluation import measure
from srgnn.inspection.failures import in_ranges, metrics_by, metrics_by_length, prefix_table, with_ids
from srgnn.metrics import rank_metrics

TRAIN = Sessions.from_lists([[0, 1], [0, 1, 2], [2, 1]])
DATA = SessionData(TRAIN, Sessions.from_lists([[0, 1, 0], [2, 3]]), Vocabulary(["a", "b", "c", "d"]))


def test_a_prefix_knows_what_training_says_of_its_target():
    table = prefix_table(DATA, {"model": torch.tensor([3, 1, 9])})
    assert table.select("session", "clicks", "target", "model", "last").rows() == [
        (0, 2, 0, 3, 1),
        (0, 1, 1, 1, 0),
        (1, 1, 3, 9, 2),
    ]
    assert table["popularity"].to_list() == [2, 3, 0]
    assert table["followed"].to_list() == [0, 2, 0]
    assert table["repeat"].to_list() == [True, False, False]


def test_training_sessions_of_one_click_give_no_steps():
    data = SessionData(Sessions.from_lists([[0], [1]]), DATA.test, DATA.vocabulary)
    assert prefix_table(data, {})["followed"].to_list() == [0, 0, 0]


def test_raw_ids_replace_indices():
    table = with_ids(prefix_table(DATA, {"model": torch.tensor([3, 1, 9])}).sort("model", descending=True), DATA)
    assert table.columns == ["prefix", "target", "model", "popularity", "followed", "repeat"]
    assert table.select("prefix", "target", "model").rows() == [("c", "d", 9), ("a → b", "a", 3), ("a", "b", 1)]


def test_ranges_are_ordered_and_equal_numbers_stay_together():
    found = in_ranges(pl.Series("n", [12, 0, 3, 1, 2, 4]), [0, 1, 3])
    assert found.name == "n"
    assert found.to_list() == ["4+", "0", "2-3", "1", "2-3", "4+"]
    assert found.sort().to_list() == ["0", "1", "2-3", "2-3", "4+", "4+"]
    assert in_ranges(pl.Series([1, 2, 3, 4, 5, 6, 7, 8])).value_counts()["count"].to_list() == [2, 2, 2, 2]
    assert in_ranges(pl.Series([0, 0, 0, 0, 0, 7])).to_list() == ["0"] * 5 + ["1+"]
    assert in_ranges(pl.Series([5, 5])).to_list() == ["0+", "0+"]


def test_metrics_by_a_column_are_those_of_each_part():
    ranks = torch.tensor([1, 2, 30, 20, 21, 4])
    table = pl.DataFrame({"group": list("babaab"), "M": ranks.int().numpy(), "N": [1] * 6})
    found = metrics_by(table, "group", ["M", "N"], k=20)
    assert found["group"].to_list() == ["a", "b"]
    assert found["prefixes"].to_list() == [3, 3]
    for row, chosen in enumerate(([1, 3, 4], [0, 2, 5])):
        expected = rank_metrics(ranks[chosen], [20])
        assert found["recall@20 M"][row] == pytest.approx(expected["recall@20"])
        assert found["mrr@20 M"][row] == pytest.approx(expected["mrr@20"])
    assert found["mrr@20 N"].to_list() == [1, 1]


def test_metrics_by_length_are_those_of_the_measurements_without_overlaps(small: SessionData):
    chain = MarkovChain(small.num_items)
    chain.observe(small.train)
    test = measure(chain, SessionGraphs(small.test, small.num_items), small.train_clicks, [5, 20])
    by_length = metrics_by_length({"A": test, "B": test})
    assert by_length.columns == ["clicks", "prefixes", "recall@20 A", "recall@20 B", "mrr@20 A", "mrr@20 B"]
    assert by_length["prefixes"].sum() == len(test.ranks)
    assert by_length["mrr@20 B"][0] == test.by_length["1"]["mrr@20"]
    upper = [1, 2, 3, 4, 5, 10]
    table = prefix_table(small, {"A": test.ranks})
    table = table.with_columns(in_ranges(table["clicks"], upper).alias("length"))
    assert metrics_by(table, "length", ["A"])["recall@20 A"].to_list() == pytest.approx(
        by_length["recall@20 A"].to_list()
    )
