import numpy as np
import pytest

from srgnn.comparison.rows import Comparison, Row, Test, compare

pytest.importorskip("matplotlib")

from srgnn.comparison.draw import draw_clicks, draw_lengths, draw_metrics

LONG = "SR-GNN recipe=srgnn_fast dropout=0.3 lr=0.003 loss=sampled_softmax negatives=64 $x_1"


def comparison(number: int) -> Comparison:
    """Rows that get worse, each with two lengths; the first has a long name."""
    rows = []
    for place in range(number):
        metrics = {"recall@20": 0.9 - place / 100, "mrr@20": 0.5 - place / 100}
        by_length = {"1": {"prefixes": 30, **metrics}, "2": {"prefixes": 70, **metrics}}
        test = Test(metrics, by_length, np.arange(100) // 2 + 1 + place, by_clicks={"0": by_length["1"]})
        rows.append(Row(f"row {place}" if place else LONG, [test]))
    return compare(Comparison("toy_log", rows, session=np.arange(100)))


def test_a_long_name_is_whole_and_breaks_between_options():
    axes = draw_metrics(comparison(3)).axes[0]
    lines = [label.get_text() for label in axes.get_yticklabels()][-1].split("\n")  # the best row is on top
    assert " ".join(lines) == LONG
    assert len(lines) > 1


def test_the_picture_by_length_says_how_many_rows_it_leaves_out():
    assert draw_lengths(comparison(3)).get_suptitle() == "toy_log"
    many = draw_lengths(comparison(12))
    assert many.get_suptitle() == "toy_log: the best 8 of 12 rows"
    assert [line.get_label() for line in many.axes[1].lines][1:] == [f"row {place}" for place in range(1, 8)]
    assert [tick.get_text() for tick in many.axes[0].get_xticklabels()] == ["1\n30 %", "2\n70 %"]


def test_the_picture_by_clicks_names_the_classes():
    picture = draw_clicks(comparison(2))
    assert [tick.get_text() for tick in picture.axes[0].get_xticklabels()] == ["0\n100 %"]
    assert picture.axes[0].get_xlabel().startswith("target's clicks")
