from dataclasses import replace

import numpy as np
import pytest

from srgnn.comparison.rows import Comparison, Row, Test, compare
from srgnn.errors import ArgumentError

GENERATOR = np.random.default_rng(0)
RANKS = GENERATOR.integers(1, 60, 500)
SESSION = np.repeat(np.arange(100), 5)


def row(name: str, *ranks: np.ndarray | None, **options) -> Row:
    tests = []
    for seed, each in enumerate(ranks):
        recall = 0.1 if each is None else float((each <= 20).mean())
        mrr = 0.1 if each is None else float(np.where(each <= 20, 1 / each, 0).mean())
        by_length = {"1": {"prefixes": 5, "mrr@20": mrr}}
        tests.append(Test({"recall@20": recall, "mrr@20": mrr}, by_length, each, seed))
    return Row(name, tests, **options)


BETTER = np.maximum(1, RANKS - 3)
ROWS = [
    row("good", BETTER, np.maximum(1, BETTER - 1)),
    row("plain", RANKS),
    row("same", RANKS.copy()),
    row("best baseline", np.ones_like(RANKS), is_baseline=True),
    row("old", None),
]


def test_rows_are_compared_with_the_best_trained_model():
    found = compare(Comparison("toy", ROWS, session=SESSION))
    assert found.reference == "good"  # not a baseline
    assert {name for name, _ in found.differences} == {"plain", "same", "best baseline"}
    assert {name for name, _ in found.intervals} == {"good", "plain", "same", "best baseline"}
    worse = found.differences["plain", "mrr@20"]
    assert worse.high < 0
    assert worse.mean == pytest.approx(ROWS[1].mean("mrr@20") - ROWS[0].mean("mrr@20"))
    assert worse.corrected >= worse.p


def test_equal_ranks_do_not_differ():
    found = compare(Comparison("toy", ROWS, session=SESSION), "plain")
    equal = found.differences["same", "recall@20"]
    assert (equal.mean, equal.p, equal.corrected) == (0, 1, 1)


def test_whole_sessions_give_wider_intervals_where_their_prefixes_are_alike():
    alike = row("alike", RANKS[SESSION])
    widths = []
    for resample in ("prefix", "session"):
        each = compare(Comparison("toy", [alike], session=SESSION), resample=resample).intervals["alike", "recall@20"]
        widths.append(each.high - each.low)
    assert widths[1] > 1.8 * widths[0]


def test_means_and_deviations_are_over_the_seeds():
    good = ROWS[0]
    values = [test.metrics["mrr@20"] for test in good.tests]
    assert good.mean("mrr@20") == pytest.approx(sum(values) / 2)
    assert good.deviation("mrr@20") == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
    assert good.at_length("1", "mrr@20") == pytest.approx(sum(values) / 2)
    assert (ROWS[1].deviation("mrr@20"), ROWS[1].mean("ndcg@20"), good.at_length("2", "mrr@20")) == (None, None, None)


def test_a_reference_needs_ranks():
    for reference in ("old", "nothing"):
        with pytest.raises(ArgumentError, match=r"the name of a row with ranks"):
            compare(Comparison("toy", ROWS, session=SESSION), reference)
    with pytest.raises(ArgumentError, match=r"resample=click: expected one of prefix, session"):
        compare(Comparison("toy", ROWS, session=SESSION), resample="click")
    assert compare(Comparison("toy", [ROWS[4]])).intervals == {}


def test_classes_of_clicks_are_tested_on_their_own_prefixes():
    clicks = np.where(np.arange(500) < 100, 0, np.where(np.arange(500) < 490, 7, 25))
    ranks = np.where(clicks == 0, np.minimum(RANKS, 20), RANKS)  # better for targets without a click alone
    rows = [row("plain", RANKS), row("text", ranks), row("old", None)]
    groups = {name: {"prefixes": 1.0, "mrr@20": 0.1} for name in ("0", "5-19", "20+")}
    rows = [replace(each, tests=[replace(test, by_clicks=groups) for test in each.tests]) for each in rows]
    comparison = Comparison("toy", rows, session=SESSION, target_clicks=clicks)
    found = compare(comparison, "plain")
    assert {(of, name) for _, of, name in found.by_clicks} == {
        (metric, name)
        for metric in ("recall@20", "mrr@20")
        for name in ("0", "5-19")  # ten prefixes of 20+ are too few
    }
    cold, warm = (found.by_clicks["text", "recall@20", name] for name in ("0", "5-19"))
    assert cold.mean == pytest.approx((RANKS[:100] > 20).mean())
    assert cold.corrected < 0.01
    assert (warm.mean, warm.corrected) == (0, 1)
    whole = found.differences["text", "recall@20"].mean  # of all prefixes
    assert whole == pytest.approx(cold.mean * 100 / 500)
    assert set(compare(comparison, "plain", "session").by_clicks) == {
        ("text", metric, name) for metric in ("recall@20", "mrr@20") for name in ("0", "5-19")
    }


def test_classes_are_not_tested_where_their_clicks_are_unknown_or_all_alike():
    assert compare(Comparison("toy", ROWS, session=SESSION), "plain").by_clicks == {}
    assert compare(Comparison("toy", ROWS, session=SESSION, target_clicks=np.full(500, 30)), "plain").by_clicks == {}
