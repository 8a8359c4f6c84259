import pytest

pytest.importorskip("networkx")
matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402

from srgnn.draw import draw_session  # noqa: E402


def test_a_picture_names_the_items_and_the_steps():
    axes = draw_session(["A", "B", "A", "C"])
    texts = {text.get_text() for text in axes.texts}
    assert texts == {"A", "B", "C", "1", "2", "3"}
    assert axes.get_title() == "A → B → A → C"


def test_an_item_clicked_twice_in_a_row_has_an_edge_to_itself():
    axes = draw_session(["A", "A", "B", "B", "B"], plt.figure().gca())
    assert {text.get_text() for text in axes.texts} == {"A", "B", "1", "2", "3, 4"}
    assert len(axes.patches) == 3
