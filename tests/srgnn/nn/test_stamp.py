import pytest
import torch
from prefixes import prefixes

from srgnn.nn import STAMPSettings


@pytest.mark.parametrize("session", [[3], [1, 2, 2, 5, 1]])
def test_scores_are_trilinear_products(segments: str, session: list[int]):
    model = STAMPSettings(6).build(20)
    clicks = model.item_embedding.weight[session]
    last, mean = clicks[-1], clicks.mean(dim=0)
    memory = mean
    for click in clicks:
        gate = torch.sigmoid(model.lin_click(click) + model.lin_last(last) + model.lin_mean(mean))
        memory = memory + model.query(gate) * click
    interest, short = torch.tanh(model.lin_session(memory)), torch.tanh(model.lin_short(last))
    expected = torch.stack([(interest * short * item).sum() for item in model.item_embedding.weight])
    torch.testing.assert_close(model(prefixes([9, 9], session))[1], expected)


def test_the_last_click_and_those_before_it_matter_but_not_their_order():
    model = STAMPSettings(6).build(20)
    scores = model(prefixes([1, 2, 3]))
    assert not torch.allclose(scores, model(prefixes([1, 3, 2])))
    assert not torch.allclose(scores, model(prefixes([1, 4, 3])))
    torch.testing.assert_close(scores, model(prefixes([2, 1, 3])))
