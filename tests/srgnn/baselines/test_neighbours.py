"""The session-based nearest neighbours, compared with loops that follow the formulas of the papers."""

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch

from srgnn.baselines import STANSettings, VMISSettings, VSKNNSettings, sparse
from srgnn.baselines.neighbours import NeighbourSettings, SessionNeighbours
from srgnn.data import Sessions
from srgnn.data.graphs import SessionGraphs
from srgnn.errors import ArgumentError

Log = list[list[int]]
ITEMS = 10  # of which the last two are never trained
F = np.float32  # the precision of the model: equal sums are equal in both

METHODS = {
    "V-SKNN": VSKNNSettings(k=3, sample_size=5),
    "V-SKNN, weights by other rules": VSKNNSettings(
        k=2, sample_size=4, weighting="div", weighting_score="quadratic", idf_weighting=0.0
    ),
    **{
        f"V-SKNN, {one} and {other}": VSKNNSettings(k=3, sample_size=5, weighting=one, weighting_score=other)
        for one, other in (("same", "linear"), ("linear", "log"), ("log", "same"))
    },
    "STAN": STANSettings(k=3, sample_size=5, click_decay=1.0, age_decay=0.3, item_decay=2.0),
    "VMIS-kNN": VMISSettings(k=3, sample_size=5, last_clicks=3),
}


def after(*prefixes: list[int]) -> Batch:
    graphs = SessionGraphs(Sessions.from_lists([[*clicks, 0] for clicks in prefixes]), ITEMS)
    first = [0, *np.cumsum([len(clicks) for clicks in prefixes])]
    return graphs[first[:-1]]


def trained(method: NeighbourSettings, log: Log) -> SessionNeighbours:
    model = method.build(ITEMS)
    model.observe(Sessions.from_lists(log))
    return model


def candidates(model: SessionNeighbours, *prefixes: list[int]) -> list[dict[int, float]]:
    found = model.candidates(after(*prefixes))
    scores: list[dict[int, float]] = [{} for _ in prefixes]
    for s, i, score in zip(found.session.tolist(), found.item.tolist(), found.score.tolist(), strict=True):
        assert i not in scores[s]
        scores[s][i] = score
    return scores


def chosen(log: Log, clicks: list[int], of: NeighbourSettings, similarity: Callable[[int], float]) -> list[int]:
    """The k most similar of the m most recent sessions that share an item; of equals, the most recent."""
    recent = [n for n in reversed(range(len(log))) if set(log[n]) & set(clicks)][: of.sample_size]
    return sorted(recent, key=lambda n: (-similarity(n), -n))[: of.k]


def last_place(clicks: list[int], item: int) -> int:
    return len(clicks) - 1 - clicks[::-1].index(item)


def shared(clicks: list[int], session: list[int]) -> list[int]:
    """The shared items in the order of their last clicks."""
    return sorted(set(clicks) & set(session), key=lambda i: last_place(clicks, i))


def idf(log: Log, item: int) -> float:
    return math.log(len(log) / sum(item in session for session in log))


OF_CLICK = {  # at position i of a session of n clicks, from 1
    "same": lambda i, n: F(1),
    "linear": lambda i, n: F(1) - F(0.1) * F(n - i),
    "div": lambda i, n: F(i) / F(n),
    "log": lambda i, n: F(1 / math.log10(n - i + 1.7)),
    "quadratic": lambda i, n: (F(i) / F(n)) ** 2,
}
OF_NEIGHBOUR = {  # whose most recent shared click is the i-th from the end
    "same": lambda i: 1,
    "linear": lambda i: 1 - 0.1 * i,
    "div": lambda i: 1 / i,
    "log": lambda i: 1 / math.log10(i + 1.7),
    "quadratic": lambda i: 1 / i**2,
}


def vsknn(log: Log, clicks: list[int], of: VSKNNSettings) -> dict[int, float]:
    length, scores = len(clicks), defaultdict(float)

    def similarity(n: int) -> float:
        total = F(0)
        for i in shared(clicks, log[n]):
            total += OF_CLICK[of.weighting](last_place(clicks, i) + 1, length)
        return total

    for n in chosen(log, clicks, of, similarity):
        step = length - max(last_place(clicks, i) for i in shared(clicks, log[n]))
        for item in set(log[n]):
            rarity = 1 + of.idf_weighting * idf(log, item)
            scores[item] += similarity(n) * OF_NEIGHBOUR[of.weighting_score](step) * rarity
    return scores


def stan(log: Log, clicks: list[int], of: STANSettings) -> dict[int, float]:
    scores = defaultdict(float)
    latest = max((n for n, session in enumerate(log) if set(session) & set(clicks)), default=0)

    def similarity(n: int) -> float:
        total = 0.0
        for i in shared(clicks, log[n]):
            total += math.exp(-(len(clicks) - 1 - last_place(clicks, i)) / of.click_decay)
        age = (latest - n) / len(log)
        return total / math.sqrt(len(set(log[n]))) * math.exp(-age / of.age_decay)

    for n in chosen(log, clicks, of, similarity):
        anchor = max(last_place(log[n], i) for i in shared(clicks, log[n]))
        for item in set(log[n]):
            scores[item] += similarity(n) * math.exp(-abs(last_place(log[n], item) - anchor) / of.item_decay)
    return scores


def vmis(log: Log, clicks: list[int], of: VMISSettings) -> dict[int, float]:
    clicks, scores = clicks[-of.last_clicks :], defaultdict(float)

    def similarity(n: int) -> float:
        total = F(0)
        for i in shared(clicks, log[n]):
            total += F(last_place(clicks, i) + 1) / F(len(clicks))
        return total

    for n in chosen(log, clicks, of, similarity):
        step = len(clicks) - max(last_place(clicks, i) for i in shared(clicks, log[n]))
        for item in set(log[n]):
            scores[item] += similarity(n) * (1 - 0.1 * step) * (idf(log, item) or 1)
    return scores


PLAIN = {VSKNNSettings: vsknn, STANSettings: stan, VMISSettings: vmis}


@pytest.mark.parametrize("name", METHODS)
@given(
    log=st.lists(st.lists(st.integers(0, 7), min_size=1, max_size=6), min_size=1, max_size=30),
    prefixes=st.lists(st.lists(st.integers(0, ITEMS - 1), min_size=1, max_size=8), min_size=1, max_size=4),
)
@settings(max_examples=40, deadline=None)
def test_the_scores_are_those_of_a_loop_over_the_sessions(name: str, log: Log, prefixes: Log):
    method = METHODS[name]
    scores = candidates(trained(method, log), *prefixes)
    for clicks, found in zip(prefixes, scores, strict=True):
        plain = {i: score for i, score in PLAIN[type(method)](log, clicks, method).items() if score > 0}
        assert found == pytest.approx(plain, rel=1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_a_batch_in_parts_has_the_same_scores(name: str, monkeypatch: pytest.MonkeyPatch):
    generator = np.random.default_rng(0)
    log = [generator.integers(0, 8, generator.integers(1, 7)).tolist() for _ in range(40)]
    prefixes = [generator.integers(0, ITEMS, generator.integers(1, 7)).tolist() for _ in range(20)]
    model = trained(METHODS[name], log)
    whole = candidates(model, *prefixes)
    monkeypatch.setattr(sparse, "ENTRIES", 12)
    assert candidates(model, *prefixes) == whole
    monkeypatch.setattr(sparse, "KEYS", 3 * len(log))
    assert candidates(model, *prefixes) == whole


@pytest.mark.parametrize("name", METHODS)
def test_sessions_of_one_group_of_items_recommend_that_group(name: str):
    generator = np.random.default_rng(0)
    groups = [[0, 1, 2, 3], [4, 5, 6, 7]]
    log = [generator.permutation(groups[s % 2])[:3].tolist() for s in range(60)]
    model = trained(replace(METHODS[name], k=20, sample_size=20), log)
    for group in groups:
        (found,) = candidates(model, group[:2])
        assert found.keys() == set(group)


def test_of_sessions_beyond_the_sample_and_beyond_k_the_older_ones_are_left_out():
    log = [[0, 1], [0, 2], [0, 3], [4]]  # all are equally similar to a session of item 0
    method = VSKNNSettings(k=3, sample_size=3, idf_weighting=0.0)
    assert candidates(trained(method, log), [0]) == [{0: 3.0, 1: 1.0, 2: 1.0, 3: 1.0}]
    for fewer in (VSKNNSettings(k=2, sample_size=3, idf_weighting=0.0), VSKNNSettings(3, 2, idf_weighting=0.0)):
        assert candidates(trained(fewer, log), [0]) == [{0: 2.0, 2: 1.0, 3: 1.0}]


def test_each_weight_of_stan_matters():
    log = [[0, 5], [1, 6], [1, 2, 3, 4, 5, 7]]
    base = {"k": 3, "sample_size": 3, "click_decay": 1e9, "age_decay": 1e9, "item_decay": 1e9}
    (flat,) = candidates(trained(STANSettings(**base), log), [0, 1])
    assert flat[6] == pytest.approx(1 / math.sqrt(2))
    assert flat[7] == pytest.approx(1 / math.sqrt(6))
    (last,) = candidates(trained(STANSettings(**{**base, "click_decay": 0.1}), log), [0, 1])
    assert last[6] == pytest.approx(flat[6])  # the last click counts
    assert last[0] < 1e-3  # the one before does not
    (young,) = candidates(trained(STANSettings(**{**base, "age_decay": 0.01}), log), [0, 1])
    assert young[7] == pytest.approx(flat[7])  # the latest session counts
    assert young.get(6, 0) < 1e-3
    (near,) = candidates(trained(STANSettings(**{**base, "item_decay": 1.0}), log), [0, 1])
    assert near[2] > near[3] > near[4] > near[7]  # by the distance from item 1
    (tiny,) = candidates(trained(STANSettings(**{**base, "age_decay": 1e-9}), log), [0, 1])
    assert tiny[7] == pytest.approx(flat[7])  # without being lost to rounding


def test_an_item_of_all_sessions_has_the_weight_one_in_vmis():
    (found,) = candidates(trained(VMISSettings(last_clicks=1), [[0, 1, 2], [0, 1, 2]]), [0])
    assert found == pytest.approx({0: 1.8, 1: 1.8, 2: 1.8})


def test_vmis_looks_at_the_last_clicks_only():
    log = [[0, 1, 2], [3, 4, 5], [6]]
    model = trained(VMISSettings(last_clicks=2), log)
    assert candidates(model, [0, 3, 4]) == candidates(model, [3, 4])
    assert candidates(model, [3, 4])[0].keys() == {3, 4, 5}


def test_linear_weights_of_vsknn_end_ten_clicks_from_the_end():
    model = trained(VSKNNSettings(weighting="linear", weighting_score="same"), [[0, 1]])
    assert candidates(model, [0, *[9] * 9])[0].keys() == {0, 1}
    assert candidates(model, [0, *[9] * 10]) == [{}]
    model = trained(VSKNNSettings(weighting="same", weighting_score="linear"), [[0, 1]])
    assert candidates(model, [0, *[9] * 8])[0].keys() == {0, 1}
    assert candidates(model, [0, *[9] * 9]) == [{}]


@pytest.mark.parametrize("method", [VSKNNSettings(weighting="log"), STANSettings(click_decay=1e3)])
def test_a_long_session_counts_by_its_latest_clicks(method: NeighbourSettings):
    log = [[0, 1], [2, 3], [4, 5, *[6] * sparse.LATEST, 7]]
    model = trained(method, log)
    assert candidates(model, [4])[0] == {}  # the click is too far from the end of its training session
    assert candidates(model, [6])[0].keys() == {6, 7}
    late = [2, *[9] * (sparse.LATEST - 1)]
    assert candidates(model, [0, 9, *late]) == candidates(model, late)
    assert candidates(model, late)[0].keys() == {2, 3}


@pytest.mark.parametrize("name", METHODS)
def test_a_session_without_a_known_item_has_no_candidate(name: str):
    model = trained(METHODS[name], [[0, 1], [2, 2, 1]])
    assert candidates(model, [8, 9], [0], [9])[::2] == [{}, {}]
    assert torch.equal(model(after([9])), model.popularity.view(1, -1))
    assert candidates(model, [9]) == [{}]


@pytest.mark.parametrize(
    "arguments", [{"k": 0}, {"sample_size": 0}, {"weighting": "cubic"}, {"weighting_score": 1}, {"idf_weighting": -1}]
)
def test_arguments_of_vsknn_are_checked(arguments: dict):
    with pytest.raises(ArgumentError, match=next(iter(arguments))):
        VSKNNSettings(**arguments)


def test_arguments_of_the_others_are_checked():
    for arguments in ({"click_decay": 0.0}, {"age_decay": -1.0}, {"item_decay": float("nan")}):
        with pytest.raises(ArgumentError, match=next(iter(arguments))):
            STANSettings(**arguments)
    for clicks in (0, 10):  # the tenth click from the end has no weight
        with pytest.raises(ArgumentError, match="last_clicks"):
            VMISSettings(last_clicks=clicks)
