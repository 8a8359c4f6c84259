"""The graph of a session, as the page draws it."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from srgnn.inspection.session import can_inspect, inspect_session
from srgnn.recommender import Recommender


def explain(recommender: Recommender, session: Sequence[int | str]) -> dict[str, Any]:
    """The graph of the known clicks of a session: with the attention and the messages of SR-GNN, if it is the model.

    Args:
        recommender: Any model with its vocabulary.
        session: Raw item ids, oldest click first.

    Returns:
        `nodes`, `edges` and `skipped` of :class:`srgnn.serving.responses.Graph`
    """
    known, skipped = recommender.look_up(session)
    if known and can_inspect(recommender):
        inspected = inspect_session(recommender, session)
        nodes, edges = inspected.nodes.select("item", "clicks", "attention").rows(), inspected.edges.rows()
    else:
        clicks = Counter(known)  # in the order of the first clicks
        place = {index: number for number, index in enumerate(clicks)}
        nodes = [(recommender.vocabulary.ids[index], times, None) for index, times in clicks.items()]
        pairs = Counter(pairwise(known))
        edges = [(place[a], place[b], times, None, None) for (a, b), times in pairs.items()]
    return {
        "nodes": [
            {"id": raw, "title": _title(recommender, raw), "clicks": times, "attention": attention}
            for raw, times, attention in nodes
        ],
        "edges": [dict(zip(("source", "target", "times", "along", "against"), edge, strict=True)) for edge in edges],
        "skipped": skipped,
    }


def _title(recommender: Recommender, raw: int | str) -> str | None:
    index = recommender.vocabulary.index(raw)
    return None if index is None or recommender.titles is None else recommender.titles[index]
