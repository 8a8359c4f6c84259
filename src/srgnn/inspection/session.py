"""One session in a trained model: attention, messages, the effect of propagation, and clicks left out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import polars as pl
import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Batch

from srgnn.data.graphs import session_graph
from srgnn.errors import ArgumentError, UserError
from srgnn.metrics import check_finite, target_ranks
from srgnn.nn import SRGNN
from srgnn.nn.readout import ATTENTIVE
from srgnn.recommender import Recommender


@dataclass(frozen=True)
class Inspection:
    """A session as SR-GNN sees it, by raw ids.

    Args:
        clicks: One row per click: `step` from 1, `item`, and `attention`, its weight in the sum over the clicks (null
            if the readout has none).
        nodes: One row per item, in the order of the first clicks: `item`, number of `clicks`, the sum of their
            `attention`, `cosine` of the item's states before and after propagation, and `moved`, the length of their
            difference divided by that of the state before.
        edges: One row per pair of consecutive clicks, in the order of the first ones: `source` and `target` as rows of
            `nodes`, `times` clicked, and the weights of the messages `along` the edge (they sum to one over the edges
            into a target) and `against` it (they sum to one over the edges out of a source). The edges that
            `connections="full"` appends are not among them.
    """

    clicks: pl.DataFrame
    nodes: pl.DataFrame
    edges: pl.DataFrame


def can_inspect(recommender: Recommender) -> bool:
    """Whether the model is SR-GNN, in which attention and propagation are inspected."""
    return isinstance(recommender.model, SRGNN)


@torch.inference_mode()
def inspect_session(recommender: Recommender, session: Sequence[int | str]) -> Inspection:
    """Computes attention, message weights and the effect of propagation for one session; unknown ids are left out.

    Raises:
        UserError: if the model is not SR-GNN, or no id of the session is known.
    """
    model, (known, _) = _srgnn(recommender), recommender.look_up(session)
    if not known:
        raise ArgumentError("session", session, "at least one known id")
    batch = Batch.from_data_list([session_graph(torch.tensor(known))])
    before = model.item_embedding(batch.x)  # [n, d]
    after = model.node_states(before, batch)  # [n, d]
    attention = None
    if model.readout.readout in ATTENTIVE:
        attention = model.readout.attention(after, batch.alias_index, batch.batch, 1).tolist()
    ids = [recommender.vocabulary.ids[i] for i in batch.x.tolist()]
    node = batch.alias_index.tolist()
    clicks = pl.DataFrame(
        {
            "step": range(1, len(node) + 1),
            "item": [ids[i] for i in node],
            "attention": pl.Series(attention or [None] * len(node), dtype=pl.Float64),
        }
    )
    moved = torch.linalg.vector_norm(after - before, dim=1) / torch.linalg.vector_norm(before, dim=1)
    states = pl.DataFrame({"item": ids, "cosine": F.cosine_similarity(before, after).tolist(), "moved": moved.tolist()})
    nodes = clicks.group_by("item", maintain_order=True).agg(
        clicks=pl.len(), attention=pl.when(pl.col("attention").count() > 0).then(pl.col("attention").sum())
    )
    nodes = nodes.join(states, on="item", how="left", maintain_order="left")

    row = {item: index for index, item in enumerate(nodes["item"])}
    along, against = model.conv.directions(batch.edge_index, model.edge_weights(batch), batch.num_nodes)
    along_weight, against_weight = _weights(*along[:2]), _weights(*against[:2])
    edges = pl.DataFrame(
        [
            (row[ids[a]], row[ids[b]], times, along_weight[a, b], against_weight[b, a])
            for (a, b), times in Counter(pairwise(node)).items()
        ],
        schema={"source": pl.Int64, "target": pl.Int64, "times": pl.Int64, "along": pl.Float64, "against": pl.Float64},
        orient="row",
    )
    return Inspection(clicks, nodes, edges)


def without_propagation(recommender: Recommender) -> Recommender:
    """A recommender with the same weights whose item states stay as they are before propagation.

    Its recommendations show what this model owes to propagation. A model trained with `propagation_steps=0` is
    another one: its weights make the best of that.

    Raises:
        UserError: if the model is not SR-GNN.
    """
    model = _srgnn(recommender)
    with torch.device("meta"):  # neither memory nor random numbers for weights that are replaced
        bare = replace(model.settings, propagation_steps=0).build(model.num_items)
    bare.load_state_dict(model.state_dict(), assign=True)
    return Recommender(bare, recommender.vocabulary, recommender.clicks)


@torch.inference_mode()
def leave_one_out(recommender: Recommender, session: Sequence[int | str], target: int | str) -> pl.DataFrame:
    """Ranks a target after the whole session, and after the session without each one of its clicks.

    Unknown ids are left out. A removed click makes its neighbours consecutive.

    Args:
        recommender: Any model with its vocabulary.
        session: Raw item ids, oldest click first.
        target: The raw id of the item to rank.

    Returns:
        The columns `step` and `item` of the removed click, null in the first row, which is that of the whole session;
        the target's `rank`, `score` and `probability`; and the changes `rank_change` and `probability_change` from the
        first row.

    Raises:
        UserError: if fewer than two ids of the session are known, or the target is not.
    """
    known, _ = recommender.look_up(session)
    if len(known) < 2:
        raise ArgumentError("session", session, "at least two known ids")
    index = recommender.vocabulary.index(target)
    if index is None:
        raise ArgumentError("target", target, f"an id of the vocabulary, such as {recommender.vocabulary.ids[0]}")
    shorter = [known[:step] + known[step + 1 :] for step in range(len(known))]
    batch = Batch.from_data_list([session_graph(torch.tensor(clicks)) for clicks in (known, *shorter)])
    scores = check_finite(recommender.retrieval.scores(batch))  # [1 + l, V]
    table = pl.DataFrame(
        {
            "step": [None, *range(1, len(known) + 1)],
            "item": [None, *(recommender.vocabulary.ids[i] for i in known)],
            "rank": target_ranks(scores, torch.full((len(scores),), index)).tolist(),
            "score": scores[:, index].tolist(),
            "probability": recommender.model.probabilities(scores)[:, index].tolist(),
        }
    )
    change = {f"{name}_change": pl.col(name) - pl.col(name).first() for name in ("rank", "probability")}
    return table.with_columns(**change)


def _srgnn(recommender: Recommender) -> SRGNN:
    if not isinstance(recommender.model, SRGNN):
        name = type(recommender.model).__name__
        raise UserError(f"The model is {name}: attention and propagation are inspected in SRGNN only.")
    return recommender.model


def _weights(edge_index: Tensor, weight: Tensor) -> dict[tuple[int, int], float]:
    """The weights of edges by their source and target."""
    return {
        (source, target): value for source, target, value in zip(*edge_index.tolist(), weight.tolist(), strict=True)
    }
