from collections.abc import Iterator
from itertools import combinations, pairwise

import numpy as np
import pytest

from srgnn.errors import ArgumentError

matplotlib = pytest.importorskip("matplotlib")
plt = pytest.importorskip("matplotlib.pyplot")
draw = pytest.importorskip("srgnn.draw")

LONG = [f"category-shirt-{number:06d}" for number in range(123, 173)]
SHORT = [f"i{number}" for number in range(50)]
RETURNS = [0, 1, 2, 3, 1, 4, 5, 6, 7, 5, 8, 9, 10, 4]
SESSIONS = {
    "one click": ["A"],
    "2 short": SHORT[:2],
    "2 long": LONG[:2],
    "6 short": ["shirt", "coat", "shirt", "bag", "shoes", "bag"],
    "6 long": [LONG[i] for i in (0, 1, 0, 2, 3, 2)],
    "14 short": [SHORT[i] for i in RETURNS],
    "14 long": [LONG[i] for i in RETURNS],
    "50 short": SHORT,
    "50 long": LONG,
    "50 on 3 items": [["red", "green", "blue"][i * i % 7 % 3] for i in range(50)],
    "30 loops": ["A"] * 31,
    "numbers": [214536502, 214536500, 214536506, 214577561, 214536500],
    "wide": ["W" * 90, "M" * 60, "W" * 91, "M" * 60],
    "very long": ["x" * 90, "https://shop.example/catalogue/shoes/running/000123?color=blue"],
}


@pytest.fixture(autouse=True)
def _agg() -> Iterator[None]:
    """Draws in memory, and closes the figures after a test."""
    plt.switch_backend("Agg")
    yield
    plt.close("all")


def nodes_of(axes) -> list:
    return [patch for patch in axes.patches if not isinstance(patch, matplotlib.patches.FancyArrowPatch)]


def edges_of(axes) -> list:
    return [patch for patch in axes.patches if isinstance(patch, matplotlib.patches.FancyArrowPatch)]


def layout_of(axes):
    """Draws the figure, and returns the boxes of nodes, labels, title and figure in pixels."""
    figure = axes.figure
    figure.canvas.draw()
    shapes = [node.get_window_extent() for node in nodes_of(axes)]
    assert shapes
    labels = [text.get_window_extent() for text in axes.texts[: len(shapes)]]
    return shapes, labels, axes.title.get_window_extent(), figure.bbox


def walk(clicks: int, items: int) -> list[str]:
    """A session that returns to earlier items more often the fewer items it has."""
    random, session, seen = np.random.default_rng(0), ["bag-0"], 1
    for _ in range(clicks - 1):
        new = seen < items and random.random() < items / clicks
        session.append(f"bag-{seen if new else random.integers(seen)}")
        seen += new
    return session


def contains(outer, inner, slack: float = 0.5) -> bool:
    return bool(np.all(outer.min - slack <= inner.min) and np.all(inner.max <= outer.max + slack))


def check(axes, frame=None) -> None:
    """Checks that no nodes overlap, every label is inside its node, and everything is in the frame below the title."""
    shapes, labels, title, figure = layout_of(axes)
    frame = frame or figure
    for one, other in combinations(shapes, 2):
        assert not one.overlaps(other)
    for shape, label in zip(shapes, labels, strict=True):
        assert contains(shape, label)
    assert contains(frame, title)
    for text in axes.texts:
        assert contains(frame, text.get_window_extent())
    for shape in shapes:
        assert contains(frame, shape)
        assert shape.y1 < title.y0


def test_a_picture_names_the_items_and_the_steps():
    axes = draw.draw_session(["A", "B", "A", "C"])
    texts = {text.get_text() for text in axes.texts}
    assert texts == {"A", "B", "C", "1", "2", "3"}
    assert axes.get_title() == "A → B → A → C"


def test_an_item_clicked_twice_in_a_row_has_an_edge_to_itself():
    axes = draw.draw_session(["A", "A", "B", "B", "B"], plt.figure().gca())
    assert {text.get_text() for text in axes.texts} == {"A", "B", "1", "2", "3, 4"}
    nodes, _, _, _ = layout_of(axes)
    loop, between, other_loop = (
        axes.transData.transform_path(edge.get_path()).get_extents() for edge in edges_of(axes)
    )
    assert nodes[0].x1 <= between.x0 < between.x1 <= nodes[1].x0
    for node, edge in zip(nodes, (loop, other_loop), strict=True):
        assert not contains(node, edge, slack=5)
        assert node.overlaps(edge)


@pytest.mark.parametrize("session", SESSIONS.values(), ids=SESSIONS)
def test_nothing_overlaps_or_leaves_a_new_figure(session):
    check(draw.draw_session(session))


@pytest.mark.parametrize("session", SESSIONS.values(), ids=SESSIONS)
@pytest.mark.parametrize("size", [(4, 3), (7, 4), (9, 7)], ids=str)
def test_nothing_overlaps_or_leaves_given_axes(session, size):
    axes = plt.figure(figsize=size).add_subplot()
    frame = axes.bbox.frozen()
    check(draw.draw_session(session, axes), frame)
    assert np.allclose(axes.bbox.bounds, frame.bounds)


@pytest.mark.parametrize(
    "session", [SESSIONS["14 short"], SESSIONS["14 long"], LONG], ids=["14 short", "14 long", "50"]
)
def test_text_in_a_new_figure_is_readable_and_the_figure_fits_a_screen(session):
    axes = draw.draw_session(session)
    assert min(text.get_fontsize() for text in axes.texts) >= 8
    assert axes.figure.get_size_inches().max() < 13


def test_the_last_click_is_filled():
    axes = draw.draw_session(["A", "B", "C", "B"])
    a, b, c = (node.get_facecolor() for node in nodes_of(axes))
    assert a == c
    assert a != b


def test_a_graph_has_colours_and_texts_of_its_own_and_names_stay_readable():
    fills, texts = ["#1f6f8b", "#ffffff", "#d9822b"], {(0, 1): "0.5", (1, 2): "1"}
    axes = draw.draw_graph(["A", "B", "C"], fills, texts, ["messages"], dashed=True)
    check(axes)
    assert [matplotlib.colors.to_hex(node.get_facecolor()) for node in nodes_of(axes)] == fills
    assert [text.get_color() for text in axes.texts[:3]] == [draw.PAPER, draw.INK, draw.INK]
    assert [text.get_text() for text in axes.texts[3:]] == ["0.5", "1"]
    assert axes.get_title() == "messages"
    assert all(edge.get_linestyle() != "solid" for edge in edges_of(axes))


def test_ids_are_not_parsed_as_formulas():
    session = ["$x_1$", "a_b^c", "50% off $", "\\alpha", "red shoes"]
    axes = draw.draw_session(session)
    assert not any(text.get_parse_math() for text in [*axes.texts, axes.title])
    assert {text.get_text().replace("\n", " ") for text in axes.texts} >= set(session)
    check(axes)


def test_ids_that_differ_in_type_are_different_items():
    assert len(nodes_of(draw.draw_session([17, "17"]))) == 2


def test_a_session_is_drawn_the_same_way_every_time():
    first, second = (draw.draw_session(SESSIONS["14 long"]) for _ in range(2))
    assert [text.get_position() for text in first.texts] == [text.get_position() for text in second.texts]


def test_a_session_without_clicks_is_refused():
    with pytest.raises(ArgumentError, match=r"session=.*at least one click"):
        draw.draw_session([])


def test_a_title_wraps_and_leaves_out_the_middle_of_a_long_session():
    title = draw.draw_session(LONG).get_title()
    assert len(title.split("\n")) <= 4
    assert title.startswith(LONG[0])
    assert title.endswith(f"… → {LONG[-1]}")
    assert draw.draw_session(LONG[:3]).get_title().replace("\n", " ") == " → ".join(LONG[:3])


def test_consecutive_items_of_a_straight_session_are_neighbours():
    shapes, _, _, _ = layout_of(draw.draw_session(SHORT))
    centres = np.array([(box.min + box.max) / 2 for box in shapes])
    distances = np.linalg.norm(centres[:, None] - centres, axis=2)
    nearest = np.where(distances > 0, distances, np.inf).min()
    assert max(distances[i, j] for i, j in pairwise(range(50))) < 2 * nearest


@pytest.mark.parametrize("items", [3, 8, 12, 20, 35])
def test_with_fifty_clicks_no_edge_and_no_step_meets_a_third_node(items):
    axes = draw.draw_session(walk(50, items))
    shapes, _, _, figure = layout_of(axes)
    for text in axes.texts[len(shapes) :]:
        assert contains(figure, text.get_window_extent())
        assert not any(text.get_window_extent().overlaps(shape) for shape in shapes)
    centres = np.array([(box.min + box.max) / 2 for box in shapes])
    for edge in edges_of(axes):
        line = np.vstack(axes.transData.transform_path(edge.get_path()).to_polygons(closed_only=False))
        distances = np.linalg.norm(line[:, None] - centres, axis=2).min(axis=0)
        assert (distances < shapes[0].width / 2 - 1).sum() == 0
        assert (distances < shapes[0].width / 2 + 4).sum() <= 2


def test_opposite_edges_bend_apart_and_keep_their_steps_on_their_own_sides():
    axes = draw.draw_session(["A", "B", "A"])
    axes.figure.canvas.draw()
    there, back = (axes.transData.transform_path(edge.get_path()).get_extents() for edge in edges_of(axes))
    one, two = (text.get_window_extent() for text in axes.texts[2:])
    assert (one.y0 + one.y1) / 2 > (there.y0 + there.y1) / 2 - 3
    assert there.y1 > back.y1
    assert one.y0 > two.y1
