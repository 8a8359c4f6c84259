import math
from collections import Counter, defaultdict

import numpy as np
import pytest
import torch

from srgnn.baselines import AssociationRulesSettings, ItemKNNSettings, sparse
from srgnn.baselines.co_occurrence import ItemToItem
from srgnn.contracts import ModelSettings
from srgnn.data import Sessions
from srgnn.data.graphs import SessionGraphs
from srgnn.errors import ArgumentError


def trained(settings: ModelSettings, log: list[list[int]], num_items: int) -> ItemToItem:
    model = settings.build(num_items)
    model.observe(Sessions.from_lists(log))
    return model


def rules(model: ItemToItem, item: int) -> dict[int, float]:
    found = model.candidates(SessionGraphs(Sessions.from_lists([[item, 0]]), model.num_items)[:1])
    assert found.session.tolist() == [0] * len(found.item)
    return dict(zip(found.item.tolist(), found.score.tolist(), strict=True))


def random_log() -> list[list[int]]:
    generator = np.random.default_rng(1)
    return [generator.integers(0, 8, generator.integers(1, 7)).tolist() for _ in range(60)]


@pytest.mark.parametrize("entries", [sparse.ENTRIES, 7])
def test_rules_are_the_pairs_of_clicks_of_a_session(entries: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sparse, "ENTRIES", entries)
    log, pairs = random_log(), defaultdict(Counter)
    for session in log:
        for x, one in enumerate(session):
            for y, other in enumerate(session):
                if x != y:
                    pairs[one][other] += 1
    model = trained(AssociationRulesSettings(), log, 9)
    for item in range(9):
        plain = {other: clicks + float(model.popularity[other]) for other, clicks in pairs[item].items()}
        assert rules(model, item) == pytest.approx(plain)


def test_rules_count_in_both_directions_and_break_ties_by_popularity():
    model = trained(AssociationRulesSettings(), [[0, 1, 1], [2, 0], [3, 0, 1], [2], [4]], 5)
    scores = model(SessionGraphs(Sessions.from_lists([[0, 0]]), 5)[:1])
    assert scores[0].argsort(descending=True).tolist() == [1, 2, 3, 0, 4]  # 2 and 3 once each; 2 has more clicks
    assert rules(model, 1).keys() == {0, 1, 3}  # 1 is repeated after itself
    assert rules(model, 4) == {}


@pytest.mark.parametrize("entries", [sparse.ENTRIES, 7])
@pytest.mark.parametrize("regularization", [0.0, 20.0])
def test_the_nearest_items_are_those_of_the_regularised_cosine(
    regularization: float, entries: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sparse, "ENTRIES", entries)
    log = random_log()
    of = [{s for s, session in enumerate(log) if item in session} for item in range(9)]
    model = trained(ItemKNNSettings(k=4, regularization=regularization), log, 9)
    for item in range(9):
        cosine = {
            other: len(of[item] & of[other])
            / math.sqrt((len(of[item]) + regularization) * (len(of[other]) + regularization))
            for other in range(9)
            if other != item and of[item] & of[other]
        }
        found = rules(model, item)
        assert len(found) == min(4, len(cosine))
        assert all(score == pytest.approx(cosine[other]) for other, score in found.items())
        assert sorted(found.values()) == pytest.approx(sorted(cosine.values())[-4:])


@pytest.mark.parametrize("settings", [AssociationRulesSettings(), ItemKNNSettings()])
def test_items_of_one_group_recommend_that_group(settings: ModelSettings):
    generator = np.random.default_rng(0)
    log = [(4 * (s % 3) + generator.permutation(4)[:2]).tolist() for s in range(90)]
    model = trained(settings, log, 12)
    for item in range(12):
        assert rules(model, item).keys() == {4 * (item // 4) + i for i in range(4)} - {item}


@pytest.mark.parametrize("settings", [AssociationRulesSettings(), ItemKNNSettings(k=1000)])
def test_the_pairs_of_a_long_session_are_those_of_its_latest_clicks(settings: ModelSettings):
    generator = np.random.default_rng(0)
    log = [[3, 5], generator.integers(0, 700, 3000).tolist(), [5, 9, 5]]
    long, cut = (trained(settings, [log[0], session, log[2]], 700) for session in (log[1], log[1][-sparse.LATEST :]))
    assert torch.equal(long.ptr, cut.ptr)
    assert torch.equal(long.other, cut.other)
    assert len(long.other) <= sparse.LATEST**2 + 4


def test_regularisation_holds_against_chance():
    log = [[0, 1]] * 20 + [[2]] * 10 + [[0, 2]] * 10 + [[0, 3]]
    model = trained(ItemKNNSettings(regularization=0.0), log, 4)
    strict = trained(ItemKNNSettings(regularization=20.0), log, 4)
    assert rules(strict, 0)[3] / rules(strict, 0)[2] < rules(model, 0)[3] / rules(model, 0)[2]


@pytest.mark.parametrize("arguments", [{"k": 0}, {"regularization": -1.0}])
def test_arguments_are_checked(arguments: dict):
    with pytest.raises(ArgumentError, match=next(iter(arguments))):
        ItemKNNSettings(**arguments)


def test_a_session_of_unknown_items_is_scored_by_popularity():
    model = trained(ItemKNNSettings(), [[0, 1], [1]], 3)
    scores = model(SessionGraphs(Sessions.from_lists([[2, 0]]), 3)[:1])
    assert torch.equal(scores[0], model.popularity)
