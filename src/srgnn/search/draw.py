"""Pictures of a search: the values of its trials, and the importance of its parameters. Needs matplotlib."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from srgnn.draw import EDGE, INK, NODE, PAPER
from srgnn.figures import FONT, GRID, ORANGE, PALE, ROW, TITLE_FONT, new_figure
from srgnn.search.trials import TrialRecord, best_trial

HEIGHT = 4.0  # inches


def draw_history(records: Sequence[TrialRecord], name: str) -> Figure:
    """Draws the value of every trial in percent, and the best so far.

    Args:
        records: The trials by number.
        name: Name of the value.
    """
    figure, (axes,) = new_figure(HEIGHT)
    complete, pruned = (
        [(each.number, 100 * each.value) for each in records if each.state == state and each.value is not None]
        for state in ("complete", "pruned")
    )
    failed = [each.number for each in records if each.state == "failed"]
    if complete:
        numbers, values = zip(*complete, strict=True)
        steps = [*accumulate(values, max)]
        until = [*numbers, max(each.number for each in records)]
        if len(records) > 1:
            axes.step(until, [*steps, steps[-1]], where="post", color=ORANGE, linewidth=1.6, label="best so far")
        axes.plot(numbers, values, "o", color=NODE, markersize=6, markeredgecolor=PAPER, label="complete", zorder=3)
    if pruned:
        numbers, values = zip(*pruned, strict=True)
        style: dict[str, Any] = {"markerfacecolor": PAPER, "color": EDGE, "markersize": 5, "zorder": 2}
        axes.plot(numbers, values, "o", label="pruned, last epoch", **style)
    if failed:
        bottom = axes.get_xaxis_transform()
        axes.plot(failed, [0.03] * len(failed), "x", color=INK, markersize=6, transform=bottom, label="failed")
    if (best := best_trial(records)) and best.value is not None:
        axes.plot([best.number], [100 * best.value], "o", color=ORANGE, markersize=9, markeredgecolor=PAPER, zorder=4)
        title = f"{100 * best.value:.2f} % in trial {best.number}, the best of {len(records)}"
    else:
        title = f"{len(records)} trials, none of them complete"
    axes.set_title(title, loc="left", fontsize=TITLE_FONT, color=INK, pad=30)
    axes.set_xlabel("trial")
    axes.set_ylabel(f"{name}, %")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    if not complete and not pruned:
        axes.set_yticks([])
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.margins(x=0.03, y=0.12)
    if len(records) == 1:
        axes.set_xlim(-0.5, 0.5)
    if complete or pruned or failed:
        spaces: dict[str, Any] = {"borderaxespad": 0.2, "handletextpad": 0.4, "columnspacing": 1.4}
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False, fontsize=FONT, **spaces)
    return figure


def draw_importances(importances: Mapping[str, float]) -> Figure:
    """Draws the share of every parameter as a bar, the largest on top.

    Args:
        importances: Shares by the names of the parameters; empty if there are none yet.
    """
    figure, (axes,) = new_figure(1.3 + ROW * max(1, len(importances)))
    axes.set_title("Importance of the parameters", loc="left", fontsize=TITLE_FONT, color=INK)
    for side in ("bottom", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xticks([])
    if not importances:
        axes.set_yticks([])
        text = "needs two complete trials that differ"
        axes.text(0, 0.5, text, transform=axes.transAxes, fontsize=FONT, color=EDGE, va="center")
        return figure
    ordered = sorted(importances.items(), key=lambda item: item[1])
    names, shares = [name for name, _ in ordered], [100 * share for _, share in ordered]
    colors = [*[NODE] * (len(names) - 1), ORANGE]
    axes.barh(names, [100] * len(names), color=PALE, height=0.55)
    axes.barh(names, shares, color=colors, height=0.55)
    for place, share in enumerate(shares):
        axes.text(101, place, f"{share:.0f} %", va="center", fontsize=FONT, color=INK)
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.set_xlim(0, 108)
    axes.set_ylim(-0.6, len(names) - 0.4)
    return figure
