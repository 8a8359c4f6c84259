"""Pictures of one session in a model, and of metrics by groups of prefixes. Needs matplotlib."""

from collections.abc import Iterable, Sequence

import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from srgnn.comparison.draw import COLORS, MARKERS
from srgnn.draw import EDGE, INK, NODE, PAPER, draw_graph
from srgnn.errors import ArgumentError
from srgnn.figures import FONT, GRID, ORANGE, ROW, TITLE_FONT, new_figure
from srgnn.inspection.session import Inspection
from srgnn.lettering import shorten

LETTERS = 26  # of an item's name beside a bar
NUMBER_FONT = 8.0
SIGNED = LinearSegmentedColormap.from_list("signed", [ORANGE, PAPER, NODE], N=257)  # below, at and above zero
LINES = (NODE, ORANGE, *COLORS[2:])


def draw_attention(inspection: Inspection) -> Figure:
    """Draws the attention weight of every click, the first one on top; weights below zero are orange.

    Args:
        inspection: A session in a model.

    Raises:
        ArgumentError: if the readout of the model has no attention.
    """
    weights = inspection.clicks["attention"].to_list()
    if None in weights:
        raise ArgumentError("inspection", "a session without attention", "one in a model whose readout has attention")
    figure, (axes,) = new_figure(0.9 + 0.8 * ROW * len(weights))
    _bars(axes, inspection.clicks, weights, 0.0, [weight >= 0 for weight in weights])
    axes.set_xlabel("attention weight")
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    for place, weight in enumerate(weights):
        _number(axes, weight, place, f"{weight:.2f}".replace("-", "\N{MINUS SIGN}"), weight >= 0)
    axes.margins(x=0.1)
    _title(figure, "Weight of every click in the session's global interest")
    return figure


def draw_messages(inspection: Inspection) -> Figure:
    """Draws the session graph twice, with the weights of the messages along the clicks and against them.

    The darker a node, the larger the attention weights of its clicks, added up; orange is below zero. Without
    attention, all nodes are white.

    Args:
        inspection: A session in a model.
    """
    nodes, edges = inspection.nodes, inspection.edges
    names = [" ".join(str(item).split()) for item in nodes["item"]]
    weights = nodes["attention"].fill_null(0).to_list()
    largest = max(map(abs, weights)) or 1.0
    fills = [to_hex(SIGNED(0.5 + 0.5 * weight / largest)) for weight in weights]
    figure, (left, right) = new_figure(min(7.0, 2.4 + 0.2 * len(nodes)), columns=2)
    for axes in (left, right):
        axes.set_axis_off()
    _title(figure, "Message weights on the edges; attention as colour, orange below zero")
    figure.draw_without_rendering()  # the graphs are fitted into the axes' final size
    for axes, column, ends, dashed in (
        (left, "along", ("source", "target"), False),
        (right, "against", ("target", "source"), True),
    ):
        texts = {(row[ends[0]], row[ends[1]]): f"{row[column]:.2g}" for row in edges.iter_rows(named=True)}
        draw_graph(names, fills, texts, [f"messages {column} the clicks"], axes, dashed)
    return figure


def draw_left_out(table: pl.DataFrame, target: int | str) -> Figure:
    """Draws the target's rank and probability without each click, as bars from those of the whole session.

    Blue bars are clicks that help: without them, the target ranks lower or is less probable. Orange ones mislead.

    Args:
        table: What :func:`~srgnn.inspection.session.leave_one_out` returns.
        target: The raw id of the target, for the title.
    """
    rank, *ranks = table["rank"].to_list()
    percent, *percents = (100 * table["probability"]).to_list()
    figure, (left, right) = new_figure(1.2 + 0.8 * ROW * len(ranks), columns=2, share_y=True)
    _bars(left, table[1:], ranks, rank, [each > rank for each in ranks])
    left.set_xscale("log")  # from 2 to 4 is as much as from 20 to 40
    left.set_xlabel("rank without the click")
    left.set_xlim(max(2.0, 1.6 * max(rank, *ranks)), 0.7 * min(rank, *ranks))  # better ranks to the right
    left.xaxis.set_major_locator(LogLocator(10, (1, 2, 5)))
    left.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    left.xaxis.set_minor_locator(NullLocator())
    _bars(right, table[1:], percents, percent, [each < percent for each in percents])
    right.set_xlabel("probability without the click, percent")
    right.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    right.margins(x=0.18)
    right.tick_params(axis="y", labelleft=False)
    for place, (of_rank, of_percent) in enumerate(zip(ranks, percents, strict=True)):
        _number(left, of_rank, place, f"{of_rank:,}", of_rank <= rank)
        _number(right, of_percent, place, f"{of_percent:.1f}", of_percent >= percent)
    name = shorten(" ".join(str(target).split()), LETTERS)
    _title(figure, f"{name}: rank {rank:,}, probability {percent:.1f} % with all clicks")
    return figure


def draw_groups(table: pl.DataFrame, title: str, xlabel: str) -> Figure:
    """Draws recall and mrr by groups of prefixes, a line per model; below each group, its share of the prefixes.

    Args:
        table: What :func:`~srgnn.inspection.failures.metrics_by` returns.
        title: What the prefixes are grouped by, in a few words.
        xlabel: What the groups are, in a few words.
    """
    groups, counts = table.columns[0], table["prefixes"]
    ticks = [f"{group}\n{100 * share:.0f} %" for group, share in zip(table[groups], counts / counts.sum(), strict=True)]
    metrics = list(dict.fromkeys(name.split(" ", 1)[0] for name in table.columns[2:]))
    figure, parts = new_figure(3.4, len(metrics))
    for axes, metric in zip(parts, metrics, strict=True):
        columns = [name for name in table.columns[2:] if name.startswith(f"{metric} ")]
        for number, column in enumerate(columns):
            axes.plot(
                100 * table[column],
                color=LINES[number % len(LINES)],
                marker=MARKERS[number % len(MARKERS)],
                markersize=5,
                markeredgecolor=PAPER,
                linewidth=1.4,
                label=column.split(" ", 1)[1],
            )
        axes.set_xticks(range(len(ticks)), ticks)
        axes.set_title(f"{metric}, percent", loc="left", fontsize=FONT, color=INK)
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.set_ylim(bottom=0)
        axes.set_xlabel(xlabel)
    handles, labels = parts[0].get_legend_handles_labels()
    legend = figure.legend(handles, labels, loc="outside lower left", ncols=4, frameon=False, fontsize=FONT)
    for text in legend.get_texts():
        text.set(color=INK, parse_math=False)
    _title(figure, f"{title}; below each group, its share of the prefixes")
    return figure


def _bars(axes: Axes, clicks: pl.DataFrame, values: Iterable[float], start: float, is_blue: Iterable[bool]) -> None:
    """A bar per click from `start` to its value, the first click on top; those that are not blue are orange."""
    lengths = [value - start for value in values]
    colors = [NODE if blue else ORANGE for blue in is_blue]
    axes.barh(range(len(lengths)), lengths, left=start, height=0.62, color=colors)
    axes.axvline(start, color=EDGE, linewidth=0.8)
    axes.set_yticks(range(len(lengths)), _labels(clicks))
    axes.set_ylim(len(lengths) - 0.4, -0.6)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for label in axes.get_yticklabels():
        label.set(color=INK, parse_math=False)


def _labels(clicks: pl.DataFrame) -> Sequence[str]:
    names = (shorten(" ".join(str(item).split()), LETTERS) for item in clicks["item"])
    return [f"{step}. {name}" for name, step in zip(names, clicks["step"], strict=True)]


def _number(axes: Axes, x: float, y: float, text: str, to_the_right: bool) -> None:
    offset, align = (4, "left") if to_the_right else (-4, "right")
    axes.annotate(
        text, (x, y), (offset, 0), textcoords="offset points", fontsize=NUMBER_FONT, color=INK, ha=align, va="center"
    )


def _title(figure: Figure, text: str) -> None:
    figure.suptitle(text, x=0.02, ha="left", fontsize=TITLE_FONT, color=INK, parse_math=False)
