"""Draws the pictures of the README and the site: `python docs/pictures.py` writes docs/images/*.png.

`method.png` is drawn, not computed: the attention weights and scores only illustrate what the model does.
"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # before a figure exists: the pictures are the same on every machine, with or without a screen

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Rectangle

from srgnn.draw import draw_session

IMAGES = Path(__file__).parent / "images"
SESSION = ["shirt", "coat", "shirt", "bag", "shoes", "bag"]
ATTENTION = {"shirt": 0.35, "coat": 0.12, "bag": 0.85, "shoes": 0.55}
SCORES = {"hat": 0.46, "shoes": 0.22, "scarf": 0.14, "coat": 0.1, "shirt": 0.05, "bag": 0.03}

BLUE, INK, GREY, PALE, ORANGE = "#1f6f8b", "#12303b", "#4d6f7c", "#dcebf0", "#d9822b"
PLACES = {"shirt": (0.0, 0.0), "coat": (0.75, 0.72), "bag": (1.5, 0.0), "shoes": (0.75, -0.72)}
EDGES = [("shirt", "coat"), ("coat", "shirt"), ("shirt", "bag"), ("bag", "shoes"), ("shoes", "bag")]
RADIUS = 0.27


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    draw_session(SESSION)
    save(plt.gcf(), "session_graph.png")
    save(draw_method(), "method.png")


def save(figure: Figure, name: str) -> None:
    figure.savefig(IMAGES / name, dpi=160, metadata={"Software": None})
    plt.close(figure)


def draw_method() -> Figure:
    """The path from a session to its scores, 12 x 3.2 inches."""
    figure = plt.figure(figsize=(12, 3.2))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 12), ylim=(0, 3.2))
    axes.set_axis_off()
    draw_clicks(axes, 0.75)
    draw_graph(axes, 1.98, 1.58)
    draw_propagation(axes, 4.62, 1.58)
    draw_attention(axes, 7.42)
    draw_scores(axes, 9.72)
    panels = [
        (0.75, "Session", "clicks,\noldest first"),
        (2.73, "Session graph", "items as nodes,\nclicks as edges"),
        (5.37, "Gated propagation", "messages along and against\nthe clicks, then a GRU"),
        (8.1, "Attention", "weighted sum of the clicks,\nand the last click"),
        (10.85, "Scores", "softmax over\nall items"),
    ]
    for number, (x, title, caption) in enumerate(panels, start=1):
        axes.text(x, 2.94, f"{number}  {title}", fontsize=13, weight="bold", color=INK, ha="center", va="center")
        axes.text(x, 0.25, caption, fontsize=10.5, color=GREY, ha="center", va="center", linespacing=1.15)
    for x in (1.28, 3.94, 6.56, 9.38):
        arrow(axes, (x, 1.58), (x + 0.3, 1.58), color=BLUE, width=2.6, head=17)
    return figure


def draw_clicks(axes: Axes, x: float) -> None:
    """The session as a column of clicks, the last one filled."""
    for step, item in enumerate(SESSION):
        y, last = 2.53 - 0.38 * step, step == len(SESSION) - 1
        pill(axes, x, y, item, filled=last)
        if not last:
            arrow(axes, (x, y - 0.13), (x, y - 0.25), head=7)


def draw_graph(axes: Axes, x: float, y: float) -> None:
    """Items as nodes; an arrow for every pair of consecutive clicks."""
    for source, target in EDGES:
        bend = -0.22 if (target, source) in EDGES else 0
        arrow(axes, at(source, x, y), at(target, x, y), bend, between_nodes=True)
    for item in PLACES:
        node(axes, at(item, x, y), item, filled=item == SESSION[-1])


def draw_propagation(axes: Axes, x: float, y: float) -> None:
    """Messages in both directions of every edge, and a state of four numbers in every node."""
    for source, target in [("shirt", "coat"), ("shirt", "bag"), ("bag", "shoes")]:
        start, end = at(source, x, y), at(target, x, y)
        arrow(axes, start, end, -0.22, color=BLUE, between_nodes=True)
        arrow(axes, end, start, -0.22, color=ORANGE, dashed=True, between_nodes=True)
    for number, item in enumerate(PLACES):
        centre = at(item, x, y)
        axes.add_patch(Circle(centre, RADIUS, facecolor="white", edgecolor=BLUE, linewidth=1.4))
        draw_state(axes, (centre[0] - 0.15, centre[1] - 0.05), [(number * 5 + cell * 3) % 7 / 7 for cell in range(4)])
    axes.text(x + 1.17, y + 0.82, "along", fontsize=10.5, color=BLUE, ha="left", va="center")
    axes.text(x + 1.17, y + 0.62, "against", fontsize=10.5, color=ORANGE, ha="left", va="center")


def draw_attention(axes: Axes, x: float) -> None:
    """One bar for each item's weight; the weighted sum and the last click together are the session."""
    for row, (item, weight) in enumerate(ATTENTION.items()):
        y = 2.46 - 0.32 * row
        axes.text(x + 0.12, y, item, fontsize=11, color=INK, ha="right", va="center")
        bar = Rectangle((x + 0.2, y - 0.09), 0.72 * weight, 0.18, facecolor=BLUE, alpha=0.25 + 0.7 * weight)
        axes.add_patch(bar)
    pill(axes, x + 0.24, 0.86, SESSION[-1], filled=True)
    for y, start, label, cells in (
        (1.98, 0.9, "global", (0.6, 0.2, 0.8, 0.4)),
        (0.86, 0.64, "last click", (0.9, 0.5, 0.1, 0.7)),
    ):
        arrow(axes, (x + start, y), (x + 1.14, y))
        draw_state(axes, (x + 1.2, y - 0.08), cells, size=0.16)
        axes.text(x + 1.52, y + 0.21, label, fontsize=10.5, color=GREY, ha="center", va="center")


def draw_scores(axes: Axes, x: float) -> None:
    """The items with the highest scores, best first."""
    for row, (item, score) in enumerate(SCORES.items()):
        y = 2.48 - 0.35 * row
        color = BLUE if row == 0 else PALE
        axes.text(
            x + 0.52, y, item, fontsize=11, color=INK, ha="right", va="center", weight="bold" if row == 0 else None
        )
        axes.add_patch(
            Rectangle((x + 0.6, y - 0.11), 2.45 * score, 0.22, facecolor=color, edgecolor=BLUE, linewidth=0.8)
        )
        axes.text(x + 0.67 + 2.45 * score, y, f"{score:.0%}", fontsize=10, color=GREY, ha="left", va="center")


def draw_state(axes: Axes, corner: tuple[float, float], values: Sequence[float], size: float = 0.075) -> None:
    """A vector as a row of cells, darker for larger values."""
    for index, value in enumerate(values):
        cell = Rectangle((corner[0] + index * size, corner[1]), size, size if size > 0.1 else 0.1, linewidth=0)
        cell.set(facecolor=BLUE, alpha=0.15 + 0.8 * value)
        axes.add_patch(cell)


def pill(axes: Axes, x: float, y: float, item: str, filled: bool) -> None:
    """A click."""
    style, color = "round,pad=0,rounding_size=0.12", BLUE if filled else "white"
    box = FancyBboxPatch((x - 0.36, y - 0.13), 0.72, 0.26, boxstyle=style, facecolor=color, edgecolor=BLUE)
    box.set_linewidth(1.4)
    axes.add_patch(box)
    axes.text(x, y - 0.01, item, fontsize=11, color="white" if filled else INK, ha="center", va="center")


def node(axes: Axes, centre: tuple[float, float], item: str, filled: bool) -> None:
    axes.add_patch(Circle(centre, RADIUS, facecolor=BLUE if filled else "white", edgecolor=BLUE, linewidth=1.4))
    color = "white" if filled else INK
    axes.text(centre[0], centre[1] - 0.01, item, fontsize=11, color=color, ha="center", va="center")


def arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], bend: float = 0.0, color: str = GREY,
    width: float = 1.4, head: float = 12, dashed: bool = False, between_nodes: bool = False,
) -> None:  # fmt: skip
    shrink = 72 * (RADIUS + 0.03) if between_nodes else 0  # from the centres to the borders, in points
    axes.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", connectionstyle=f"arc3,rad={bend}", mutation_scale=head, color=color,
            linewidth=width, linestyle=(0, (3, 1.5)) if dashed else "solid", shrinkA=shrink, shrinkB=shrink,
        )
    )  # fmt: skip


def at(item: str, x: float, y: float) -> tuple[float, float]:
    return PLACES[item][0] + x, PLACES[item][1] + y


if __name__ == "__main__":
    main()
