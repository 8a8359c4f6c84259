import pytest
import torch

from srgnn.data import SyntheticLog
from srgnn.errors import ArgumentError


@pytest.fixture(scope="module")
def log():
    return SyntheticLog().load()


def test_the_same_seed_gives_the_same_log(log):
    again, other = SyntheticLog().load(), SyntheticLog(seed=1).load()
    assert torch.equal(log.train.items, again.train.items)
    assert log.train.items.tolist() != other.train.items.tolist()


def test_popularity_has_a_long_tail(log):
    clicks = torch.bincount(log.train.items, minlength=log.num_items).sort(descending=True).values
    assert clicks[: log.num_items // 5].sum() > 0.3 * clicks.sum()


def test_visitors_go_back_to_earlier_items(log):
    repeats = sum(len(s.unique()) < len(s) for s in log.train)
    assert 0.1 < repeats / len(log.train) < 0.6


def test_categories_drift_over_time(log):
    width = SyntheticLog().items_per_category
    category = log.train.items // width
    third = category.numel() // 3
    early = torch.bincount(category[:third], minlength=20) / third
    late = torch.bincount(category[-third:], minlength=20) / third
    assert (early - late).abs().sum() > 0.3


def test_a_session_stays_in_its_category_except_for_offers(log):
    width = SyntheticLog().items_per_category
    categories = [(s // width).unique() for s in log.test]
    assert all((c > 0).sum() == 1 for c in categories)
    assert any((c == 0).any() for c in categories)


def test_titles_tell_items_apart_and_change_nothing_else(log):
    titles, plain = log.vocabulary.titles, SyntheticLog(titles=False).load()
    assert titles[:2] == ["Alada classic offers 1", "Alada classic offers 2"]
    assert len(set(titles)) == log.num_items
    assert plain.vocabulary.ids == log.vocabulary.ids
    assert torch.equal(plain.train.items, log.train.items)
    assert (plain.vocabulary.titles, plain.vectors) == (None, None)


def test_neighbours_on_a_shelf_are_alike_in_words(log):
    shelves = log.vectors.view(20, 50, -1)
    cosines = shelves @ shelves.transpose(1, 2)  # [20, 50, 50]
    near, far = (cosines.diagonal(step, 1, 2).mean() for step in (1, 13))
    other = (log.vectors @ log.vectors.T).mean()
    assert near > far + 0.3 > other + 0.3


@pytest.mark.parametrize(
    "option", [{"sessions": 5}, {"items_per_category": 0}, {"back": -1}, {"seed": -1}, {"titles": "no"}]
)
def test_wrong_options_are_reported(option):
    with pytest.raises(ArgumentError, match=next(iter(option))):
        SyntheticLog(**option)
