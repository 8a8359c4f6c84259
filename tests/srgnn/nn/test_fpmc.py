import pytest
import torch
from prefixes import prefixes

from srgnn.errors import ArgumentError
from srgnn.nn import FPMCSettings


@pytest.mark.parametrize(("basket", "latest"), [(1, [1]), (3, [2, 5, 1]), (9, [1, 2, 2, 5, 1])])
def test_the_score_is_the_mean_of_the_transitions_from_the_latest_clicks(segments: str, basket: int, latest: list[int]):
    model = FPMCSettings(6, basket=basket).build(20)
    transitions = model.click_embedding.weight @ model.item_embedding.weight.T  # [V, V]
    scores = model(prefixes([9, 9], [1, 2, 2, 5, 1]))
    torch.testing.assert_close(scores[1], transitions[latest].mean(dim=0))


def test_a_transition_is_not_that_of_the_opposite_direction():
    scores = FPMCSettings(6).build(20)(prefixes([1], [2]))
    assert not torch.isclose(scores[0, 2], scores[1, 1])


def test_dropout_applies_only_in_training():
    model, batch = FPMCSettings(6, dropout=0.5).build(20), prefixes([1])
    assert not torch.equal(model(batch), model(batch))
    model.eval()
    assert torch.equal(model(batch), model(batch))


def test_an_empty_basket_is_reported():
    with pytest.raises(ArgumentError, match=r"^basket="):
        FPMCSettings(basket=0)
