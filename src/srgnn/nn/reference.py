"""Weights of the authors' PyTorch code (https://github.com/CRIPAC-DIG/SR-GNN, folder `pytorch_code`)."""

from collections.abc import Mapping

import torch
from torch import Tensor

from srgnn.errors import UserError
from srgnn.nn.srgnn import SRGNN, SRGNNSettings

NAMES = {  # theirs: ours
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
PARALLEL = "module."  # of torch.nn.DataParallel
UNUSED = {"gnn.linear_edge_f.weight", "gnn.linear_edge_f.bias"}  # parameters that their forward never reads


def from_reference_state_dict(
    state: Mapping[str, Tensor], propagation_steps: int = 1, readout: str = "hybrid"
) -> SRGNN:
    """Builds a model from a checkpoint of the authors' PyTorch code.

    Their item 0 is padding and is dropped: index i here is their id i + 1.

    Args:
        state: The state dict, under their parameter names, which may have the prefix of `torch.nn.DataParallel`.
        propagation_steps: Their `--step`, which the checkpoint does not record.
        readout: `hybrid`, or `global` for their `--nonhybrid`, which the checkpoint does not record either.

    Raises:
        UserError: if names are missing or unknown, or shapes do not fit together.
    """
    if all(name.startswith(PARALLEL) for name in state):
        state = {name.removeprefix(PARALLEL): weight for name, weight in state.items()}
    missing = sorted(NAMES.keys() - state.keys())
    unknown = sorted(state.keys() - NAMES.keys() - UNUSED)
    if missing or unknown:
        raise UserError(
            "Expected a state dict of the authors' SR-GNN; "
            f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}."
        )
    weights = {ours: torch.as_tensor(state[theirs]) for theirs, ours in NAMES.items()}
    items = weights["item_embedding.weight"]
    if items.ndim != 2 or len(items) < 2:
        raise UserError(f"embedding.weight has the shape {list(items.shape)}: expected items and padding by width.")
    weights["item_embedding.weight"] = items[1:]
    settings = SRGNNSettings(items.size(1), propagation_steps=propagation_steps, readout=readout)
    model = settings.build(len(items) - 1)
    for theirs, ours in NAMES.items():
        expected = model.get_parameter(ours).shape if ours in model.state_dict() else weights[ours].shape
        if weights[ours].shape != expected:
            raise UserError(
                f"{theirs} has the shape {list(weights[ours].shape)}: expected {list(expected)}, as embedding.weight "
                f"has the width {items.size(1)}."
            )
    model.load_state_dict({name: weights[name] for name in model.state_dict()})
    return model
