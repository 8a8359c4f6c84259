import pytest
import torch
import torch.nn.functional as F
from prefixes import prefixes
from torch import Tensor

from srgnn.errors import ArgumentError
from srgnn.nn import SASRec, SASRecSettings

SESSION = [1, 2, 2, 5, 1]


def built(**settings: int) -> SASRec:
    return SASRecSettings(6, **settings).build(20).eval()


def loop(model: SASRec, session: list[int]) -> Tensor:
    """The session embedding from torch's attention over one session without padding."""
    distance = torch.arange(len(session)).flip(0)
    hidden = model.item_embedding.weight[session] + model.position.weight[distance]
    later = torch.ones(len(session), len(session), dtype=torch.bool).triu(1)
    for block in model.blocks:
        normed = block.norm_attention(hidden)
        attention = torch.nn.MultiheadAttention(6, block.num_heads, bias=False)
        attention.in_proj_weight, attention.out_proj.weight.data = block.lin_attention.weight, torch.eye(6)
        hidden = hidden + attention(normed, normed, normed, attn_mask=later)[0]
        hidden = hidden + block.lin_out(F.relu(block.lin_hidden(block.norm_forward(hidden))))
    return model.norm(hidden)[-1:]


@pytest.mark.parametrize("num_heads", [1, 2, 3])
@pytest.mark.parametrize("session", [[3], SESSION])
def test_a_session_is_that_of_attention_without_packing(segments: str, num_heads: int, session: list[int]):
    model = built(num_heads=num_heads)
    torch.testing.assert_close(model.session_embedding(prefixes([9, 9], session))[1:], loop(model, session))


def test_the_order_of_the_clicks_matters_by_their_positions():
    model = built()
    one, other = prefixes([1, 2, 3]), prefixes([2, 1, 3])
    assert not torch.allclose(model(one), model(other))
    model.position.weight.data[:] = 0
    model.blocks = model.blocks[:1]  # a second one sees what the first one saw at earlier clicks
    torch.testing.assert_close(model(one), model(other))


def test_only_the_latest_clicks_are_read():
    model = built(max_clicks=3)
    torch.testing.assert_close(model(prefixes([4, 7, 1, 2, 3])), model(prefixes([9, 1, 2, 3])))
    assert not torch.allclose(model(prefixes([1, 2, 3])), model(prefixes([2, 3])))


def test_normalised_layers_start_without_effect():
    assert torch.equal(built().norm.weight, torch.ones(6))


@pytest.mark.parametrize(
    "argument", [{"num_blocks": 0}, {"num_heads": 0}, {"num_heads": 3}, {"max_clicks": 0}, {"dropout": 1.0}]
)
def test_wrong_arguments_are_reported(argument: dict):
    with pytest.raises(ArgumentError, match=f"^{next(iter(argument))}="):
        SASRecSettings(**argument)
