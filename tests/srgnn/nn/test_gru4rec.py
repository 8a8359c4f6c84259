import pytest
import torch
from prefixes import prefixes
from torch.nn import GRUCell

from srgnn.errors import ArgumentError
from srgnn.nn import GRU4RecSettings


def test_a_session_is_the_last_hidden_state():
    model = GRU4RecSettings(6).build(20)
    cell = GRUCell(6, 6)
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in model.gru.gru.state_dict().items()})
    for session in ([3], [1, 2, 2, 5, 1]):
        hidden = torch.zeros(1, 6)
        for item in session:
            hidden = cell(model.item_embedding.weight[[item]], hidden)
        torch.testing.assert_close(model.session_embedding(prefixes([9, 9], session))[1:], hidden)


def test_the_order_of_the_clicks_matters():
    model = GRU4RecSettings(6).build(20)
    assert not torch.allclose(model(prefixes([1, 2, 3])), model(prefixes([2, 1, 3])))


def test_wrong_arguments_are_reported():
    with pytest.raises(ArgumentError, match=r"^num_layers="):
        GRU4RecSettings(num_layers=0)
