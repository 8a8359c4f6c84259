"""Pictures of session graphs. Needs the extra `plots` (matplotlib and networkx)."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import networkx as nx
import torch
from matplotlib.axes import Axes

from srgnn.data.graphs import session_graph
from srgnn.data.sessions import Vocabulary


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
    options = {"ax": axes, "connectionstyle": "arc3,rad=0.15"}
    nx.draw_networkx_edges(graph, position, node_size=size, arrowsize=16, edge_color="#5b7c88", **options)
    labels = nx.get_edge_attributes(graph, "label")
    nx.draw_networkx_edge_labels(graph, position, edge_labels=labels, font_size=9, **options)
    axes.set_title(" → ".join(map(str, session)), fontsize=10)
    axes.margins(0.25)
    axes.set_axis_off()
    return axes
