"""Item tables whose rows are sharded over processes, against the same computation in one process."""

import math
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh

from srgnn.data import SyntheticLog
from srgnn.data.graphs import SessionGraphs
from srgnn.errors import UserError
from srgnn.evaluation import rank
from srgnn.metrics import target_ranks
from srgnn.nn import SRGNNSettings
from srgnn.nn.losses import BPRLoss, FullSoftmax, SampledSoftmax, ScoreLoss, binary_cross_entropy
from srgnn.nn.ranking import rank_block, rank_tiles
from srgnn.nn.sharding import RowShard
from srgnn.nn.softmax import has_bfloat16
from srgnn.training.optimizer import LazyAdam

LOSSES = {
    "tiled": lambda clicks: FullSoftmax("tiled"),
    "chunked": lambda clicks: FullSoftmax("chunked"),
    "sampled": lambda clicks: SampledSoftmax(clicks, negatives=64),
    "bpr": lambda clicks: BPRLoss(clicks, negatives=64),
}


def train(loss_name: str, scale: float | None, precision: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Trains for 15 steps, in one process or in all that are there."""
    data = SyntheticLog(sessions=300, items_per_category=5).load()
    torch.manual_seed(0)
    model = SRGNNSettings(16, scale=scale, dropout=0.1).build(data.num_items)
    embedding = model.item_embedding
    if dist.is_initialized():
        embedding.shard_over(init_device_mesh("cpu", (dist.get_world_size(),)))
    loss = LOSSES[loss_name](torch.bincount(data.train.items, minlength=data.num_items))
    embedding.sparse = loss.sparse
    optimizer = LazyAdam(model.parameters(), lr=1e-2, fused=True)
    graphs, losses = SessionGraphs(data.train, data.num_items), []
    for step in range(15):
        torch.manual_seed(step)
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            value = loss(model, graphs[20 * step : 20 * step + 20])
        optimizer.zero_grad()
        value.backward()
        assert embedding.weight.grad is not None
        assert embedding.weight.grad.is_sparse == loss.sparse
        optimizer.step()
        losses.append(value.item())
    model.eval()
    ranking = rank(model, SessionGraphs(data.test, data.num_items))
    return {
        "losses": torch.tensor(losses),
        "table": whole(embedding.weight.detach(), embedding.shard),
        "query": model.readout.query.weight.detach(),
        "ranks": ranking.ranks,
    }


def whole(block: Tensor, shard: RowShard | None) -> Tensor:
    if shard is None:
        return block
    padded = block.new_zeros(shard.size, block.size(1))
    padded[: len(block)] = block
    return torch.cat(shard.gather(padded))[: shard.num_rows]


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("scale", [None, 12.0, 300.0])  # the last one needs a shift of the logits
def test_losses_weights_and_ranks_are_those_of_one_process(processes: Any, count: int, loss: str, scale: float | None):
    alone, together = train(loss, scale), processes(count, train, loss, scale)
    for result in together:
        torch.testing.assert_close(result["losses"], alone["losses"], rtol=2e-6, atol=2e-6)
        torch.testing.assert_close(result["table"], alone["table"], rtol=0, atol=1e-5)
        torch.testing.assert_close(result["query"], alone["query"], rtol=0, atol=1e-5)
        assert result["ranks"].equal(alone["ranks"])


@pytest.mark.skipif(not has_bfloat16(), reason="needs a CPU with products in bfloat16")
def test_in_bfloat16_they_are_as_near_as_products_in_16_bits_allow(processes: Any):
    alone = train("tiled", 12.0)
    (result, _), exact = processes(2, train, "tiled", 12.0, torch.bfloat16), train("tiled", 12.0, torch.bfloat16)
    assert not result["losses"].equal(alone["losses"])
    torch.testing.assert_close(result["losses"], exact["losses"], rtol=1e-3, atol=0)
    torch.testing.assert_close(result["losses"], alone["losses"], rtol=1e-2, atol=0)


def ranked(items: Tensor, session: Tensor, target: Tensor, normalized: bool, top: int) -> tuple[Any, Any]:
    """The two ways of ranking, by tiles and by the scores of a block."""
    shard = RowShard(len(items), init_device_mesh("cpu", (dist.get_world_size(),)))
    block = items[shard.first : shard.last]
    norm = block.norm(dim=1) if normalized else None
    scores = session @ block.T if norm is None else session @ block.T / norm
    return rank_tiles(session, block, norm, target, top, shard), rank_block(scores, target, top, shard)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("top", [0, 3, 17])  # 17: more than a block has
def test_ranks_and_best_items_are_exact_with_ties_across_blocks(processes: Any, count: int, normalized: bool, top: int):
    items = torch.randint(-3, 4, (40, 8)).float()  # whole numbers, whose products have no roundings
    items[:, 0] = 1  # no row without a direction
    items[30:] = items[:10]
    session, target = torch.randint(-3, 4, (13, 8)).float(), torch.randint(0, 40, (13,))
    scores = session @ items.T / (items.norm(dim=1) if normalized else 1)
    for both in processes(count, ranked, items, session, target, normalized, top):
        for ranks, best, values in both:
            assert ranks.equal(target_ranks(scores, target))
            assert values.equal(scores.topk(top).values)
            assert scores.gather(1, best).equal(values)
            assert all(len(set(row)) == top for row in best.tolist())


def too_few() -> str:
    try:
        RowShard(5, init_device_mesh("cpu", (4,)))
    except UserError as error:
        return str(error)
    return ""


def test_a_process_without_items_is_refused(processes: Any):
    assert processes(4, too_few) == ["5 items are too few to be sharded over 4 processes: use fewer."] * 4


def with_all_scores() -> str:
    model = SRGNNSettings(4).build(10)
    model.item_embedding.shard_over(init_device_mesh("cpu", (2,)))
    try:
        ScoreLoss(binary_cross_entropy)(model, None)  # type: ignore[arg-type]
    except UserError as error:
        return str(error)
    return ""


def test_a_loss_that_needs_all_scores_is_refused(processes: Any):
    assert all("use loss=cross_entropy" in sentence for sentence in processes(2, with_all_scores))


def diverged(value: float) -> float:
    data = SyntheticLog(sessions=300, items_per_category=5).load()
    model = SRGNNSettings(4).build(data.num_items)
    model.item_embedding.shard_over(init_device_mesh("cpu", (2,)))
    if dist.get_rank() == 1:
        model.item_embedding.weight.data[3] = value
    loss: Tensor = FullSoftmax("tiled")(model, SessionGraphs(data.train, data.num_items)[:20])
    return loss.item()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_all_processes_see_a_weight_that_is_not_finite_in_one(processes: Any, value: float):
    assert all(not math.isfinite(loss) for loss in processes(2, diverged, value))
