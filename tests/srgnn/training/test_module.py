import pytest
import torch
import torch_geometric.typing

from srgnn.data import SessionData
from srgnn.data.graphs import SessionGraphs
from srgnn.nn import (
    EncoderSettings,
    NISERSettings,
    Sampling,
    SGNNHNSettings,
    SRGNNSettings,
    build_loss,
)

MODELS = {
    "SR-GNN": SRGNNSettings(8),
    "fast": SRGNNSettings(8, scale=12, reversed_positions=5, dropout=0.1),
    "NISER+": NISERSettings(8),
    "SGNN-HN": SGNNHNSettings(8),
}  # not TAGNN: meta has no autocast; GCE-GNN and full connections read how many edges of a kind a batch has


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy", "sampled_softmax"])
@pytest.mark.parametrize("settings", MODELS.values(), ids=MODELS)
def test_no_value_is_read_within_a_step(small: SessionData, loss: str, settings: EncoderSettings, monkeypatch):
    """Runs a step on the meta device, which has shapes but no values: code that would wait for a GPU raises here."""
    monkeypatch.setattr(torch_geometric.typing, "WITH_TORCH_SCATTER", False)  # its kernels need values
    graphs = SessionGraphs(small.train, small.num_items, "meta")
    with torch.device("meta"):
        clicks = torch.ones(small.num_items)
        network, loss_function = (
            settings.build(small.num_items),
            build_loss(loss, clicks, Sampling(10)),
        )
    batch = graphs[torch.arange(50)]
    loss_function(network, batch).backward()
    assert network.item_embedding.weight.grad.shape == (small.num_items, 8)
    plain = SessionGraphs(small.train, small.num_items)[:50]
    assert {key: batch[key].shape for key in batch.keys()} == {key: plain[key].shape for key in plain.keys()}  # noqa: SIM118
