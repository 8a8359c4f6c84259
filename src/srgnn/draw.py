"""Pictures of session graphs. Needs the extra `plots` (matplotlib and networkx)."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch
from matplotlib.transforms import Affine2D, ScaledTranslation

from srgnn.data.graphs import session_graph
from srgnn.data.sessions import Vocabulary

EDGE = "#5b7c88"


def draw_session(session: Sequence[int | str], axes: Axes | None = None) -> Axes:
    """Draws the directed graph of a session of raw item ids, oldest first.

    The numbers on an edge say which steps of the session went along it; the last click is filled.
    """
    axes = axes or plt.gca()
    vocabulary = Vocabulary(list(dict.fromkeys(session)))
    clicks = [vocabulary.index(raw) for raw in session]
    data = session_graph(torch.tensor(clicks))
    graph = nx.DiGraph()
    graph.add_nodes_from(data.x.tolist())
    for source, target in data.edge_index.t().tolist():
        steps = [i + 1 for i in range(len(clicks) - 1) if (clicks[i], clicks[i + 1]) == (source, target)]
        graph.add_edge(source, target, label=", ".join(map(str, steps)))
    position = nx.circular_layout(graph)
    size = max(1500, (6 * max(len(str(label)) for label in vocabulary.ids)) ** 2)  # points squared: a label fits
    colors = ["#1f6f8b" if node == clicks[-1] else "#ffffff" for node in graph]
    nx.draw_networkx_nodes(graph, position, ax=axes, node_size=size, node_color=colors, edgecolors="#1f6f8b")
    for node, label in enumerate(vocabulary.ids):
        color = "white" if node == clicks[-1] else "#12303b"
        x, y = position[node]
        axes.text(x, y, str(label), ha="center", va="center", color=color, fontsize=9)
    labels = nx.get_edge_attributes(graph, "label")
    for node in list(nx.nodes_with_selfloops(graph)):
        _draw_loop(axes, position[node], size, labels.pop((node, node)))
    options = {"ax": axes, "connectionstyle": "arc3,rad=0.15"}
    edges = {"edgelist": list(labels), "node_size": size, "arrowsize": 16, "edge_color": EDGE}
    nx.draw_networkx_edges(graph, position, **edges, **options)
    nx.draw_networkx_edge_labels(graph, position, edge_labels=labels, font_size=9, **options)
    axes.set_title(" → ".join(map(str, session)), fontsize=10)
    axes.margins(0.25)
    axes.set_axis_off()
    return axes


def _draw_loop(axes: Axes, center: np.ndarray, size: float, label: str) -> None:
    """An edge from a node to itself, on the side of the node that looks outward: networkx would hide it behind."""
    figure = axes.figure
    assert figure is not None
    points = Affine2D().scale(1 / 72) + figure.dpi_scale_trans
    # Points from the node, at any scale of the axes.
    around = points + ScaledTranslation(center[0], center[1], axes.transData)  # type: ignore[arg-type]
    radius, outward = np.sqrt(size) / 2, np.arctan2(center[1], center[0])

    def at(distance: float, turn: float) -> tuple[float, float]:
        return distance * np.cos(outward + turn), distance * np.sin(outward + turn)

    loop = FancyArrowPatch(
        at(radius, -0.5), at(radius, 0.5), arrowstyle="-|>", connectionstyle="arc3,rad=1.6", mutation_scale=16,
        shrinkA=0, shrinkB=0, color=EDGE, clip_on=False, transform=around,
    )  # fmt: skip
    axes.add_patch(loop)
    x, y = at(1.8 * radius + 8, 0)
    axes.text(x, y, label, fontsize=9, ha="center", va="center", transform=around)
