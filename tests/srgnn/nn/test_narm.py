import pytest
import torch
from prefixes import prefixes

from srgnn.errors import ArgumentError
from srgnn.nn import NARMSettings


@pytest.mark.parametrize("session", [[3], [1, 2, 2, 5, 1]])
def test_scores_are_bilinear_products_with_the_outputs_of_both_encoders(segments: str, session: list[int]):
    model = NARMSettings(6).build(20).eval()
    items = model.item_embedding.weight
    hidden = model.gru.gru(items[session])[0]  # [n, d]
    local = torch.zeros(6)
    for state in hidden:
        gate = torch.sigmoid(model.lin_last(hidden[-1]) + model.lin_click(state))
        local = local + model.query(gate) * state
    expected = items @ model.bilinear.weight @ torch.cat([hidden[-1], local])
    torch.testing.assert_close(model(prefixes([9, 9], session))[1], expected)


def test_both_encoders_matter():
    model, batch = NARMSettings(6).build(20).eval(), prefixes([1, 2, 3])
    whole = model.session_embedding(batch)
    for half in (slice(0, 6), slice(6, 12)):
        weight = model.bilinear.weight.detach().clone()
        model.bilinear.weight.data[:, half] = 0
        assert not torch.allclose(model.session_embedding(batch), whole)
        model.bilinear.weight.data = weight


def test_sessions_are_dropped_out_only_in_training():
    model, batch = NARMSettings(6, dropout=0.0).build(20), prefixes([1, 2, 3])
    assert not torch.equal(model(batch), model(batch))
    model.eval()
    assert torch.equal(model(batch), model(batch))


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_wrong_share_is_reported(share: float):
    with pytest.raises(ArgumentError, match=r"^session_dropout="):
        NARMSettings(session_dropout=share)
