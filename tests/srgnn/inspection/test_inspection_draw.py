from itertools import combinations

import polars as pl
import pytest

from srgnn.data import Vocabulary
from srgnn.errors import ArgumentError
from srgnn.inspection.session import inspect_session, leave_one_out
from srgnn.nn import SRGNNSettings
from srgnn.recommender import Recommender

pytest.importorskip("matplotlib")
draw = pytest.importorskip("srgnn.inspection.draw")

IDS = [f"category-shirt-{number:06d}" for number in range(30)]
SESSIONS = {
    "two": [0, 1],
    "returns": [0, 1, 2, 1, 3, 1, 4],
    "one item": [5, 5, 5],
    "long": [i * i % 23 for i in range(25)],
}


@pytest.fixture
def recommender() -> Recommender:
    return Recommender(SRGNNSettings(hidden_size=8).build(len(IDS)), Vocabulary(IDS))


def texts_of(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def check(figure) -> None:
    """Checks that all text is inside the figure, and that no texts overlap."""
    figure.draw_without_rendering()
    texts = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    for axes in figure.axes:
        texts += [*axes.texts, axes.title]
        if axes.axison:
            low, high = sorted(axes.get_xlim())
            ticks = zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
            texts += [label for place, label in ticks if low <= place <= high]
            texts += [*axes.get_yticklabels(), axes.xaxis.label]
    boxes = [text.get_window_extent() for text in texts if text.get_text() and text.get_visible()]
    for box in boxes:
        assert box.x0 >= -1
        assert box.x1 <= figure.bbox.x1 + 1
        assert box.y0 >= -1
        assert box.y1 <= figure.bbox.y1 + 1
    for one, other in combinations(boxes, 2):
        assert not one.overlaps(other)


@pytest.mark.parametrize("session", SESSIONS.values(), ids=SESSIONS)
def test_a_session_is_drawn_within_the_figures(recommender: Recommender, session: list[int]):
    clicks = [IDS[i] for i in session]
    inspection = inspect_session(recommender, clicks)
    figures = draw.draw_attention(inspection), draw.draw_messages(inspection)
    for figure in (*figures, draw.draw_left_out(leave_one_out(recommender, clicks, IDS[7]), IDS[7])):
        check(figure)


def test_every_click_has_a_bar_with_its_weight_and_weights_below_zero_are_orange(recommender: Recommender):
    inspection = inspect_session(recommender, [IDS[i] for i in SESSIONS["returns"]])
    (axes,) = draw.draw_attention(inspection).axes
    assert [bar.get_width() for bar in axes.patches] == pytest.approx(inspection.clicks["attention"].to_list())
    colors = [draw.to_hex(bar.get_facecolor()) for bar in axes.patches]
    assert colors == [draw.NODE if weight >= 0 else draw.ORANGE for weight in inspection.clicks["attention"]]
    assert [label.get_text().split(". ")[0] for label in axes.get_yticklabels()] == list("1234567")


def test_without_attention_there_are_no_bars_and_the_nodes_are_white():
    local = Recommender(SRGNNSettings(hidden_size=8, readout="local").build(len(IDS)), Vocabulary(IDS))
    inspection = inspect_session(local, IDS[:3])
    with pytest.raises(ArgumentError, match="a session without attention"):
        draw.draw_attention(inspection)
    left, _ = draw.draw_messages(inspection).axes
    assert {draw.to_hex(node.get_facecolor()) for node in left.patches[:3]} == {draw.PAPER}


def test_messages_against_the_clicks_have_the_opposite_edges(recommender: Recommender):
    left, right = draw.draw_messages(inspect_session(recommender, ["a"] + [IDS[i] for i in (0, 1, 0, 2)])).axes
    assert left.get_title() == "messages along the clicks"
    assert right.get_title() == "messages against the clicks"
    assert sorted(texts_of(left)[3:]) == ["1", "1", "1"]
    assert sorted(texts_of(right)[3:]) == ["0.5", "0.5", "1"]  # item 0 averages over 1 and 2


def test_bars_without_a_click_start_at_the_whole_session_and_blue_clicks_help():
    columns = {"step": [None, 1, 2], "item": [None, "a", "b"], "rank": [4, 9, 2], "probability": [0.2, 0.1, 0.5]}
    table = pl.DataFrame(columns).with_columns(
        rank_change=pl.col("rank") - 4, probability_change=pl.col("probability") - 0.2
    )
    left, right = draw.draw_left_out(table, "c").axes
    for axes, start, ends in ((left, 4, (9, 2)), (right, 20, (10, 50))):
        assert [bar.get_x() for bar in axes.patches] == pytest.approx([start, start])
        assert [bar.get_x() + bar.get_width() for bar in axes.patches] == pytest.approx(ends)
        assert [draw.to_hex(bar.get_facecolor()) for bar in axes.patches] == [draw.NODE, draw.ORANGE]
    assert texts_of(left) == ["9", "2"]
    assert left.xaxis_inverted()  # better ranks to the right, as larger probabilities are


def test_groups_have_a_line_per_model():
    table = pl.DataFrame(
        {"length": ["1", "2"], "prefixes": [3, 1], "recall@20 A b": [0.5, 0.25], "mrr@20 A b": [0.1, 0]}
    )
    figure = draw.draw_groups(table, "The popularity of the target", "training clicks of the target")
    check(figure)
    left, right = figure.axes
    assert left.lines[0].get_ydata().tolist() == [50, 25]
    assert right.lines[0].get_ydata().tolist() == [10, 0]
    assert [label.get_text() for label in left.get_xticklabels()] == ["1\n75 %", "2\n25 %"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["A b"]
