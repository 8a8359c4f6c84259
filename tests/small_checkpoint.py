"""A checkpoint that needs no training."""

from pathlib import Path

import torch

from srgnn.nn import SRGNNSettings


def write_checkpoint(path: Path) -> Path:
    """Writes a model of the items A to F, of which B has the most clicks; F has no title."""
    model = SRGNNSettings(8).build(6)
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    about = {
        "model": {"num_items": 6, "hidden_size": 8},
        "vocabulary": list("ABCDEF"),
        "titles": ["Apple", "Bread", "Cheese", "Dates", "Eggs", None],
        "clicks": [3, 9, 4, 0, 5, 1],
    }
    torch.save({"state_dict": state, "srgnn": about}, path)
    return path
