"""The look of the project's charts, and their files. Needs matplotlib, which the extra `plots` installs."""

from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from srgnn.draw import EDGE, INK, PAPER
from srgnn.saving import whole_file

ORANGE, PALE, GRID = "#d9822b", "#dcebf0", "#e3eaed"
FONT, TITLE_FONT = 9.0, 11.0
WIDTH = 7.2  # inches: a page, or a notebook cell
ROW = 0.38  # inches of a row of a chart
FORMATS = ("png", "svg")


def new_figure(height: float, columns: int = 1, share_y: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure as wide as a page, with axes side by side that have no frame.

    Args:
        height: Height in inches.
        columns: Number of axes.
        share_y: Whether they share their y axis.
    """
    figure = Figure(figsize=(WIDTH, height), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1), facecolor=PAPER)
    parts = list(figure.subplots(1, columns, squeeze=False, sharey=share_y)[0])
    for axes in parts:
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        for side in ("bottom", "left"):
            axes.spines[side].set_color(EDGE)
        axes.tick_params(colors=EDGE, labelsize=FONT)
        axes.xaxis.label.set(color=INK, fontsize=FONT)
        axes.yaxis.label.set(color=INK, fontsize=FONT)
    return figure, parts


def save(figure: Figure, path: Path) -> None:
    """Writes a figure as `path.png` and `path.svg`.

    Raises:
        UserError: if the system refuses to write.
    """
    for kind in FORMATS:
        with (
            whole_file(path.with_suffix(f".{kind}"), "the picture", "folder") as temporary,
            matplotlib.rc_context({"svg.hashsalt": "srgnn", "svg.fonttype": "none"}),
        ):
            metadata = {"Software": None} if kind == "png" else {"Date": None}
            figure.savefig(temporary, format=kind, dpi=160, metadata=metadata)
