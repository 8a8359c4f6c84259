from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Module
from torch_geometric.data import Batch

from srgnn.errors import OptionError, UserError, check_float, check_int
from srgnn.nn.conv import SessionGraphConv
from srgnn.nn.embedding import ItemEmbedding
from srgnn.nn.readout import SessionReadout


class SRGNN(Module):
    """Session-based recommendation with graph neural networks (Wu et al., AAAI 2019).

    Args:
        num_items: Number of candidates :math:`V`.
        hidden_size: Width :math:`d` of item embeddings and states.
        propagation_steps: Message passing steps on the session graph; 0 uses no graph.
        readout: `hybrid`, `global`, `local` or `average`, see :class:`~srgnn.nn.readout.SessionReadout`.
        edge_weight: `binary` or `occurrence`, see :class:`~srgnn.nn.conv.SessionGraphConv`.
        scale: Scores are this times the cosine of session and item: both are L2-normalised (NISER, Gupta et al.,
            2019). None multiplies them as they are.
        reversed_positions: So many embeddings of how far a click is from the last one; see
            :class:`~srgnn.nn.readout.SessionReadout`.
        dropout: On the item embeddings that enter the graph.

    Shapes:
        a batch of B session graphs -> scores [B, V], before the softmax

    Raises:
        OptionError: for a value outside of what is allowed.
    """

    def __init__(
        self,
        num_items: int,
        hidden_size: int = 100,
        propagation_steps: int = 1,
        readout: str = "hybrid",
        edge_weight: str = "binary",
        scale: float | None = None,
        reversed_positions: int = 0,
        dropout: float = 0.0,
    ):
        super().__init__()
        check_int("num_items", num_items, 1)
        check_int("hidden_size", hidden_size, 1)
        self.num_items = num_items
        self.scale = None if scale is None else check_float("scale", scale, 0, exclusive=True)
        self.dropout = check_float("dropout", dropout, 0)
        if self.dropout >= 1:
            raise OptionError("dropout", dropout, "a share below 1")
        self.item_embedding = ItemEmbedding(num_items, hidden_size, normalized=scale is not None)
        self.conv = SessionGraphConv(hidden_size, propagation_steps, edge_weight)
        self.readout = SessionReadout(hidden_size, readout, reversed_positions)
        if propagation_steps == 0:
            self.conv.requires_grad_(False)  # never used: nothing to train, nothing to wait for between processes
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = self.item_embedding.embedding_dim**-0.5  # the authors' initialisation, of every parameter
        for parameter in self.parameters():
            torch.nn.init.uniform_(parameter, -bound, bound)

    def forward(self, batch: Batch) -> Tensor:
        return self.item_embedding.scores(self.session_embedding(batch))  # [B, V]

    def session_embedding(self, batch: Batch) -> Tensor:
        """A batch of B session graphs -> [B, d]."""
        return self._embed(self.item_embedding(batch.x), batch)

    def session_embedding_and_table(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Session embeddings [B, d] and what they are multiplied with, all items [V, d], for a loss over all items."""
        states, table = self.item_embedding.with_table(batch.x)
        return self._embed(states, batch), table

    def _embed(self, states: Tensor, batch: Batch) -> Tensor:
        states = F.dropout(states, self.dropout, self.training)  # [N, d]
        states = self.conv(states, batch.edge_index, batch.edge_weight)  # [N, d]
        session = self.readout(states, batch.alias_index, batch.batch, batch.num_graphs)  # [B, d]
        return session if self.scale is None else self.scale * F.normalize(session)

    @classmethod
    def from_reference_state_dict(
        cls, state: Mapping[str, Tensor], propagation_steps: int = 1, readout: str = "hybrid"
    ) -> "SRGNN":
        """The model of a checkpoint of the authors' PyTorch code, under their parameter names.

        Their item 0 is padding and is dropped: index i here is their id i + 1. A checkpoint of theirs says neither
        how often messages are passed nor which readout was used (`global` for their `--nonhybrid`).

        Raises:
            UserError: when names are missing or unknown.
        """
        missing = sorted(REFERENCE_NAMES.keys() - state.keys())
        unknown = sorted(state.keys() - REFERENCE_NAMES.keys() - REFERENCE_UNUSED)
        if missing or unknown:
            raise UserError(
                "Expected a state dict of the authors' SR-GNN; "
                f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}."
            )
        num_rows, hidden_size = state["embedding.weight"].shape
        model = cls(num_rows - 1, hidden_size, propagation_steps, readout)
        weights = {ours: torch.as_tensor(state[theirs]) for theirs, ours in REFERENCE_NAMES.items()}
        weights["item_embedding.weight"] = weights["item_embedding.weight"][1:]
        model.load_state_dict({name: weights[name] for name in model.state_dict()})
        return model


REFERENCE_NAMES = {
    "embedding.weight": "item_embedding.weight",
    "gnn.linear_edge_in.weight": "conv.lin_in.weight",
    "gnn.linear_edge_in.bias": "conv.lin_in.bias",
    "gnn.linear_edge_out.weight": "conv.lin_out.weight",
    "gnn.linear_edge_out.bias": "conv.lin_out.bias",
    "gnn.b_iah": "conv.bias_in",
    "gnn.b_oah": "conv.bias_out",
    "gnn.w_ih": "conv.gru.weight_ih",
    "gnn.w_hh": "conv.gru.weight_hh",
    "gnn.b_ih": "conv.gru.bias_ih",
    "gnn.b_hh": "conv.gru.bias_hh",
    "linear_one.weight": "readout.lin_last.weight",
    "linear_one.bias": "readout.lin_last.bias",
    "linear_two.weight": "readout.lin_click.weight",
    "linear_two.bias": "readout.lin_click.bias",
    "linear_three.weight": "readout.query.weight",
    "linear_transform.weight": "readout.lin_join.weight",
    "linear_transform.bias": "readout.lin_join.bias",
}
REFERENCE_UNUSED = {"gnn.linear_edge_f.weight", "gnn.linear_edge_f.bias"}
