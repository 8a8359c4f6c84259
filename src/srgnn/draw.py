"""Pictures of session graphs. Needs matplotlib, which the extra `plots` installs.

Lengths are in points (1/72 inch). Positions and sizes are complex numbers: the real part is x or width, the imaginary
part is y (upwards) or height.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from numpy.typing import NDArray

from srgnn.errors import ArgumentError
from srgnn.lettering import LINE, MARGIN, shorten, step_ranges, text_size, wrap_name, wrap_title

Points = NDArray[np.complex128]
Pair = tuple[int, int]  # source and target of an edge
Arc = tuple[complex, complex, float, complex]  # start, end, bend (matplotlib's rad of an arc3), position of the text

NODE, INK, EDGE, PAPER = "#1f6f8b", "#12303b", "#4d6f7c", "#ffffff"
DARK = 0.5  # mean of red, green and blue: names on darker nodes are white
DASHES = (0, (3, 1.5))
NAME_FONT, STEP_FONT, TITLE_FONT = 9.0, 8.0, 10.0
GAP = 24 + 24j  # between nodes, in addition to the text of an edge
LABEL = 0.45  # position of the text along its edge; in the middle, the texts of crossing edges would meet
LOOP = 18.0  # height of an edge from a node to itself
PAGE = 648 + 432j  # size that a new figure aims for: a page, or a notebook cell
NARROWEST = 260.0  # width that leaves room for the title of a small graph
TITLE_LETTERS = 22  # per name: even that many Ws fit into the narrowest figure
TITLE_LINES = 4  # in given axes, also at most a fifth of their height
NAME_LIMITS = ((14, 3), (10, 2), (7, 2))  # letters per line and lines per name, from roomy to crowded
SMALLEST_SCALE, LARGEST_SCALE = 0.65, 1.4  # names lose letters before a graph shrinks further
LARGEST_CIRCLE = 56.0  # names that need more get a rounded box
LARGEST_ELLIPSE = 35  # nodes; more would need a poster


class Layout(NamedTuple):
    """A graph in the plane: nodes of one size, edges, and the lower left and upper right corners of the picture."""

    names: Sequence[str]
    box: complex
    centres: Points
    arcs: Mapping[Pair, Arc]
    low: complex
    high: complex


def draw_session(session: Sequence[int | str], axes: Axes | None = None) -> Axes:
    """Draws a session as its directed graph: a node for each item, an edge for each pair of consecutive clicks.

    The numbers on an edge are the steps that follow it (step 1 leads from the first click to the second). The last
    click is filled. Long names wrap, very long ones are shortened with an ellipsis.

    Args:
        session: Raw item ids, oldest click first. Up to 50 clicks stay readable.
        axes: Axes to draw into; the graph, its text and the title are fitted into their current size.
            By default, a new figure as large as the session needs.

    Returns:
        The axes, without frame and ticks. Their title is the session.

    Raises:
        ArgumentError: if the session has no clicks.
    """
    if not len(session):
        raise ArgumentError("session", session, "at least one click")
    node = {item: index for index, item in enumerate(dict.fromkeys(session))}
    names = [" ".join(str(item).split()) for item in node]
    clicks = [node[item] for item in session]
    steps: dict[Pair, list[int]] = defaultdict(list)
    for step, pair in enumerate(pairwise(clicks), start=1):
        steps[pair].append(step)
    texts = {pair: step_ranges(numbers) for pair, numbers in steps.items()}
    path = [shorten(names[click], TITLE_LETTERS) for click in clicks]
    fills = [NODE if index == clicks[-1] else PAPER for index in node.values()]
    return draw_graph(names, fills, texts, path, axes)


def draw_graph(
    names: Sequence[str], fills: Sequence[str], texts: Mapping[Pair, str], title: Sequence[str],
    axes: Axes | None = None, dashed: bool = False,
) -> Axes:  # fmt: skip
    """Draws a directed graph as :func:`draw_session` does.

    Args:
        names: The name of every node, on one line.
        fills: The colour of every node; its name is white if that is dark.
        texts: The text of every edge.
        title: Names, as in the path of a session.
        axes: Axes to draw into; by default, a new figure.
        dashed: Whether the edges are dashed.
    """
    if axes is None:
        (layout, _), font, scale = _fit(names, texts, PAGE), TITLE_FONT, 1.0
        size = layout.high - layout.low
        width = max(size.real, NARROWEST)
        heading, top = wrap_title(title, width, font, TITLE_LINES)
        height = size.imag + top
        axes = plt.figure(figsize=(width / 72, height / 72)).add_axes((0, 0, 1, 1))
    else:
        width, height = (float(pixels) * 72 / axes.figure.dpi for pixels in axes.bbox.size)
        font = min(TITLE_FONT, width / 30)
        lines = min(TITLE_LINES, max(1, int(height / 5 / font / LINE)))
        heading, top = wrap_title(title, width, font, lines)
        layout, scale = _fit(names, texts, complex(width, height - top))
    low = (layout.low + layout.high - complex(width, height - top) / scale) / 2
    axes.set(xlim=(low.real, low.real + width / scale), ylim=(low.imag, low.imag + height / scale))
    axes.set_aspect("equal", adjustable="box")  # circles stay circles where a figure's layout resizes the axes
    axes.set_title(heading, fontsize=font, y=1.0, pad=-MARGIN.imag / 2, va="top", color=INK, parse_math=False)
    axes.set_axis_off()
    _paint(axes, layout, texts, scale, fills, dashed)
    return axes


def _fit(names: Sequence[str], texts: Mapping[Pair, str], frame: complex) -> tuple[Layout, float]:
    """The roomiest layout that does not have to shrink much to fit into the frame, and its scale."""
    for limits in NAME_LIMITS:
        layout = _lay_out([wrap_name(name, *limits) for name in names], texts, frame)
        size = layout.high - layout.low
        scale = min(LARGEST_SCALE, frame.real / size.real, frame.imag / size.imag)
        if scale >= SMALLEST_SCALE:
            break
    return layout, scale


def _lay_out(names: Sequence[str], texts: Mapping[Pair, str], frame: complex) -> Layout:
    """Puts sessions with returns on an ellipse, clockwise from the left, and straight or very large ones in rows."""
    number = len(names)
    name = _largest(text_size(name, NAME_FONT) for name in names)
    diameter = max(28.0, abs(name) + 8)
    box = diameter * (1 + 1j) if diameter <= LARGEST_CIRCLE else name + (16 + 12j)
    sizes = {pair: text_size(text, STEP_FONT) + (4 + 2j) for pair, text in texts.items()}
    in_rows = not 3 < number <= LARGEST_ELLIPSE or all(abs(target - source) <= 1 for source, target in texts)
    gap = GAP + _largest(size for (a, b), size in sizes.items() if in_rows or abs(a - b) in (1, number - 1))
    if in_rows:
        centres = _rows(number, box + gap + LOOP * 1j * any(a == b for a, b in texts), frame)
    else:
        crowd = max(1.0 if box.real == box.imag else 1.7, len(texts) / number)  # many edges need more room
        centres = _ellipse(number, box + gap * crowd**0.5, frame)
    arcs = {
        (a, b): _loop(centres, a, box, size, in_rows) if a == b else _arc(centres, a, b, box, size, sizes.get((b, a)))
        for (a, b), size in sizes.items()
    }
    boxes = [(centre, box) for centre in centres] + [(arcs[pair][3], size) for pair, size in sizes.items()]
    ends = np.array([centre + sign * size / 2 for centre, size in boxes for sign in (-1, 1)])
    return Layout(names, box, centres, arcs, low=-_largest(-ends) - MARGIN, high=_largest(ends) + MARGIN)


def _largest(sizes: Iterable[complex]) -> complex:
    array = np.array(list(sizes) or [0j])
    return complex(array.real.max(), array.imag.max())


def _ellipse(number: int, cell: complex, frame: complex) -> Points:
    """Nodes evenly spaced on an ellipse around 0 of roughly the frame's proportions, neighbours one cell apart."""
    stretch = frame.real / frame.imag / (cell.real / cell.imag)
    turn = np.linspace(0, 2 * np.pi, 721)
    outline = -np.cos(turn) * np.clip(stretch, 1, 2) + 1j * np.sin(turn) * np.clip(1 / stretch, 1, 2)  # in cells
    distance = np.concatenate([[0], abs(np.diff(outline)).cumsum()])
    nodes = np.interp(np.arange(number) / number * distance[-1], distance, outline)
    nodes /= abs(np.diff(nodes, append=nodes[0])).min()
    return np.asarray(nodes.real * cell.real + 1j * nodes.imag * cell.imag)


def _rows(number: int, cell: complex, frame: complex) -> Points:
    """Nodes in rows of the frame's width, or wider to keep its proportions; every other row runs backwards."""
    columns = math.sqrt(number * frame.real / frame.imag * cell.imag / cell.real)
    columns = max(3, round(columns), int(frame.real / cell.real))
    row, column = np.divmod(np.arange(number), columns)
    column = np.where(row % 2, columns - 1 - column, column)
    return np.asarray(column * cell.real - 1j * row * cell.imag)


def _arc(centres: Points, source: int, target: int, box: complex, size: complex, opposite: complex | None) -> Arc:
    """An edge that bends just enough to clear the nodes in its way and the text of an opposite edge."""
    start, along = complex(centres[source]), complex(centres[target] - centres[source])

    def across(size: complex) -> float:
        """Half the extent of a box across the edge, in lengths of the edge."""
        return (abs(along.imag) * size.real + abs(along.real) * size.imag) / 2 / abs(along) ** 2

    half = 0.0 if opposite is None else min(0.6, max(0.12, across(size + opposite) + 4 / abs(along)))
    reach = across(box + size) + 3 / abs(along) + half / 2
    z = (centres - start) / along  # the edge leads from 0 to 1
    z = z[(abs(z.imag) < reach) & (z.real > 0.02) & (z.real < 0.98)]  # the nodes in its way
    # At t, an arc lies 2 t (1 - t) bend to the right of the straight line.
    right, left = (float(((reach + s * z.imag) / (2 * z.real * (1 - z.real))).max(initial=0)) for s in (-1, 1))
    below = 0.01 * float(np.sign(along.real))  # prefers to pass below a row: the loops are above it
    bend = right if right <= left + below else -left
    bend += half * (float(np.sign(bend)) - 1)  # each of two opposite edges keeps to its own left
    return start, start + along, bend, start + along * (LABEL - 2j * bend * LABEL * (1 - LABEL))


def _loop(centres: Points, node: int, box: complex, size: complex, in_rows: bool) -> Arc:
    """An edge from a node to itself on its free side: outside the ellipse, or above or at the end of a row."""
    centre, left, right = complex(centres[node]), centres.real.min(), centres.real.max()
    at_end = left < right and centre.real in (left, right)
    sideways = at_end if in_rows else abs(centre.real) > abs(centre.imag)
    upwards = 1j if in_rows or centre.imag > 0 else -1j
    outward = complex(np.sign(centre.real - (left + right) / 2)) if sideways else upwards
    depth, text = (box.real, size.real) if sideways else (box.imag, size.imag)
    foot, half = centre + 0.45 * depth * outward, 0.22 * min(box.real, box.imag) * 1j * outward
    place = centre + (depth / 2 + LOOP + 2 + text / 2) * outward
    return foot - half, foot + half, (LOOP + 0.05 * depth) / abs(half), place


def _paint(
    axes: Axes, layout: Layout, texts: Mapping[Pair, str], scale: float, fills: Sequence[str], dashed: bool
) -> None:
    """Adds the artists. `scale` applies to text and lines; the limits of the axes scale the positions."""
    box, nodes = layout.box, []
    style: dict[str, Any] = {"ha": "center", "va": "center", "parse_math": False}
    shape = "circle,pad=0" if box.real == box.imag else "round,pad=0,rounding_size=11"
    for centre, name, fill in zip(layout.centres, layout.names, fills, strict=True):
        ink = PAPER if np.mean(to_rgb(fill)) < DARK else INK
        corner = centre - box / 2
        node = FancyBboxPatch((corner.real, corner.imag), box.real, box.imag, shape, zorder=3)
        node.set(facecolor=fill, edgecolor=NODE, linewidth=1.2 * scale)
        nodes.append(axes.add_patch(node))
        axes.text(centre.real, centre.imag, name, fontsize=NAME_FONT * scale, color=ink, zorder=4, **style)
    style |= {"bbox": {"boxstyle": "square,pad=0.1", "facecolor": PAPER, "edgecolor": "none"}}
    for (source, target), (start, end, bend, place) in layout.arcs.items():
        arrow = FancyArrowPatch(
            (start.real, start.imag), (end.real, end.imag), connectionstyle=f"arc3,rad={bend}", arrowstyle="-|>",
            mutation_scale=11 * scale, linewidth=1.1 * scale, shrinkA=0, shrinkB=1.5 * scale, color=EDGE,
            linestyle=DASHES if dashed else "solid", zorder=1,
        )  # fmt: skip
        if source != target:  # the arc between two centres shows from border to border
            arrow.set_patchA(nodes[source])
            arrow.set_patchB(nodes[target])
        axes.add_patch(arrow)
        text = texts[source, target]
        axes.text(place.real, place.imag, text, fontsize=STEP_FONT * scale, color=EDGE, zorder=2, **style)
