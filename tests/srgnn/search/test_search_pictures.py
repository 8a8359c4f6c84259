from pathlib import Path

import pytest

pytest.importorskip("optuna")
pytest.importorskip("matplotlib")
pictures = pytest.importorskip("srgnn.search.draw")
save = pytest.importorskip("srgnn.figures").save
TrialRecord = pytest.importorskip("srgnn.search.trials").TrialRecord


def records(states: str) -> list:
    """Trials by their first letters: complete, pruned, failed, running; each value is its place in percent."""
    names = {"c": "complete", "p": "pruned", "f": "failed", "r": "running"}
    return [
        TrialRecord(number, names[state], None if state in "fr" else (number + 1) / 100, {}, {})
        for number, state in enumerate(states)
    ]


def texts_in(figure) -> list:
    figure.draw_without_rendering()
    (axes,) = figure.axes
    legend = axes.get_legend()
    ticks = [
        label
        for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim()))
        for place, label in zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True)
        if low <= place <= high
    ]
    found = [axes.xaxis.label, axes.yaxis.label, *axes.texts, *ticks, *(legend.get_texts() if legend else [])]
    return [text for text in found if text.get_text()]


def test_the_history_shows_every_trial_by_its_state_and_the_best_so_far():
    axes = pictures.draw_history(records("cpcfrc"), "mrr@20").axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    assert lines["complete"].get_xdata().tolist() == [0, 2, 5]
    assert lines["pruned, last epoch"].get_xdata().tolist() == [1]
    assert list(lines["failed"].get_xdata()) == [3]
    assert lines["best so far"].get_ydata().tolist() == pytest.approx([1, 3, 6, 6])
    assert axes.get_title("left") == "6.00 % in trial 5, the best of 6"


@pytest.mark.parametrize("states", ["c", "p", "f", "ppp", "fff", "r", "cpf" * 70])
def test_the_history_is_drawn_whatever_the_trials_are(states: str):
    figure = pictures.draw_history(records(states), "mrr@20 on validation")
    for text in texts_in(figure):
        box, frame = text.get_window_extent(), figure.bbox
        assert frame.x0 <= box.x0 <= box.x1 <= frame.x1
        assert frame.y0 <= box.y0 <= box.y1 <= frame.y1


@pytest.mark.parametrize(
    "importances", [{}, {"lr": 1.0}, {f"model.a_long_name_of_an_option_{n}": 1 / 12 for n in range(12)}, {"a$_$b": 1.0}]
)
def test_importances_are_drawn_whatever_their_number(importances: dict):
    figure = pictures.draw_importances(importances)
    labels = [text.get_text() for text in texts_in(figure)]
    assert set(importances) <= set(labels)
    for text in texts_in(figure):
        box = text.get_window_extent()
        assert figure.bbox.x0 <= box.x0 <= box.x1 <= figure.bbox.x1


def test_the_most_important_parameter_is_on_top():
    axes = pictures.draw_importances({"a": 0.2, "b": 0.7, "c": 0.1}).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["c", "a", "b"]
    assert [text.get_text() for text in axes.texts] == ["10 %", "20 %", "70 %"]


def test_a_picture_is_written_as_png_and_svg_with_the_same_bytes_every_time(tmp_path: Path):
    for name in ("a", "b"):
        save(pictures.draw_history(records("cc"), "mrr@20"), tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "a.svg", "b.png", "b.svg"]
    for kind in ("png", "svg"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()
