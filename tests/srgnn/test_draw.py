import pytest

pytest.importorskip("networkx")
matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

from srgnn.draw import draw_session  # noqa: E402


def test_a_picture_names_the_items_and_the_steps():
    axes = draw_session(["A", "B", "A", "C"])
    texts = {text.get_text() for text in axes.texts}
    assert texts == {"A", "B", "C", "1", "2", "3"}
    assert axes.get_title() == "A → B → A → C"
