"""Pictures of a comparison: the metrics of its rows, overall and by groups of prefixes. Needs matplotlib."""

import textwrap
from collections.abc import Callable, Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from srgnn.comparison.rows import Comparison, Row
from srgnn.draw import EDGE, INK, NODE, PAPER
from srgnn.figures import FONT, GRID, ORANGE, ROW, TITLE_FONT, new_figure

COLORS = (ORANGE, NODE, "#7a9e3b", "#8a5a9e", "#c0504d", "#3f9c8f", "#b08d2f", "#5a6fb0")
MARKERS = "os^DvPXp"
LETTERS, LINES = 40, 4  # of a name: letters per line, and lines
LINE = 0.13  # inches of a line of a name
HEIGHT = 3.4  # inches of the lines


def draw_metrics(comparison: Comparison) -> Figure:
    """Draws recall and mrr at the largest cut-off: a dot per row with its 95 % interval, the best row on top.

    The line marks the reference that the rows are compared with.

    Args:
        comparison: A comparison with intervals.
    """
    metrics = comparison.tested[-2:]
    rows = [row for row in comparison.rows if (row.name, metrics[-1]) in comparison.intervals]
    rows.sort(key=lambda row: comparison.intervals[row.name, metrics[-1]].mean)
    names = [_wrapped(row.name) for row in rows]
    height = max(ROW, 0.06 + LINE * max(name.count("\n") + 1 for name in names))
    figure, parts = new_figure(1.3 + height * len(rows), len(metrics), share_y=True)
    for axes, metric in zip(parts, metrics, strict=True):
        for place, row in enumerate(rows):
            each = comparison.intervals[row.name, metric]
            color = ORANGE if row.name == comparison.reference else EDGE if row.is_baseline else NODE
            axes.plot([100 * each.low, 100 * each.high], [place, place], color=color, linewidth=2, zorder=2)
            axes.plot([100 * each.mean], [place], "o", color=color, markersize=4.5, zorder=3)
            axes.annotate(
                f"{100 * each.mean:.2f}",
                (100 * each.mean, place),
                (0, 6),
                textcoords="offset points",
                fontsize=7.5,
                ha="center",
                color=INK,
                bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.6},
            )
        if comparison.reference is not None:
            mean = comparison.intervals[comparison.reference, metric].mean
            axes.axvline(100 * mean, color=ORANGE, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
        axes.set_xlabel(f"{metric}, percent")
        axes.grid(axis="x", color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.margins(x=0.12)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.set_ylim(-0.6, len(rows) - 0.3)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
    parts[0].set_yticks(range(len(rows)), names)
    for label in parts[0].get_yticklabels():
        label.set(color=INK, parse_math=False)
    _title(figure, f"{comparison.title}: means with 95 % intervals")
    return figure


def draw_lengths(comparison: Comparison) -> Figure:
    """Draws recall and mrr at the largest cut-off by the number of clicks so far, a line per row.

    Below the clicks stands the share of the prefixes that have them. More lines than colours could not be told apart:
    of more rows, those with the best mrr are drawn, and the title says so.

    Args:
        comparison: A comparison whose rows know their metrics by length.
    """
    counts = {length: count for length, count in comparison.lengths.items() if length not in ("1-5", "6+")}
    known = [row for row in comparison.rows if row.tests[0].by_length]
    return _draw_groups(comparison, counts, known, Row.at_length, "clicks so far")


def draw_clicks(comparison: Comparison) -> Figure:
    """Draws recall and mrr at the largest cut-off by the training clicks of the target, as :func:`draw_lengths` does.

    Args:
        comparison: A comparison whose rows know their metrics by clicks.
    """
    known = [row for row in comparison.rows if row.tests[0].by_clicks]
    return _draw_groups(comparison, comparison.classes, known, Row.at_clicks, "target's clicks")


def _draw_groups(
    comparison: Comparison,
    counts: Mapping[str, int],
    known: Sequence[Row],
    value: Callable[[Row, str, str], float | None],
    label: str,
) -> Figure:
    metrics = comparison.tested[-2:]
    total = sum(counts.values())
    ticks = [f"{group}\n{100 * count / total:.0f} %" for group, count in counts.items()]
    rows = sorted(known, key=lambda row: -(row.mean(metrics[-1]) or 0.0))[: len(COLORS)]
    names = [_wrapped(row.name) for row in rows]
    figure, parts = new_figure(HEIGHT + 0.09 * sum(name.count("\n") + 2 for name in names), len(metrics))
    for axes, metric in zip(parts, metrics, strict=True):
        for number, (row, name) in enumerate(zip(rows, names, strict=True)):
            values = [value(row, group, metric) for group in counts]
            points = [(place, 100 * each) for place, each in enumerate(values) if each is not None]
            axes.plot(
                *zip(*points, strict=True),
                color=COLORS[number % len(COLORS)],
                marker=MARKERS[number % len(MARKERS)],
                linestyle="--" if row.is_baseline else "-",
                markersize=5,
                markeredgecolor=PAPER,
                linewidth=1.4,
                label=name,
            )
        axes.set_xticks(range(len(counts)), ticks)
        axes.set_title(f"{metric}, percent", loc="left", fontsize=FONT, color=INK)
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.set_xlabel(f"{label}, and the share of the prefixes")
    handles, labels = parts[0].get_legend_handles_labels()
    legend = figure.legend(handles, labels, loc="outside lower left", ncols=2, frameon=False, fontsize=FONT)
    for text in legend.get_texts():
        text.set(color=INK, parse_math=False)
    of_all = f": the best {len(rows)} of {len(known)} rows" if len(rows) < len(known) else ""
    _title(figure, f"{comparison.title}{of_all}")
    return figure


def _wrapped(name: str) -> str:
    """The name in lines that end between two options."""
    lines = textwrap.wrap(name, LETTERS, max_lines=LINES, placeholder=" …", break_on_hyphens=False)
    return "\n".join(lines)


def _title(figure: Figure, text: str) -> None:
    figure.suptitle(text, x=0.02, ha="left", fontsize=TITLE_FONT, color=INK, parse_math=False)
