import pytest
import torch

from srgnn.nn import LOSSES


def test_binary_cross_entropy_is_the_papers_sum():
    scores = torch.randn(6, 9, dtype=torch.double)
    target = torch.randint(9, (6,))
    p = scores.softmax(1)
    y = torch.nn.functional.one_hot(target, 9)
    expected = -(y * p.log() + (1 - y) * (1 - p).log()).sum(1).mean()
    torch.testing.assert_close(LOSSES["binary_cross_entropy"](scores, target), expected)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("scale", [1.0, 100.0, 1e4])
def test_losses_and_gradients_stay_finite(loss: str, scale: float):
    scores = (torch.randn(6, 9) * scale).requires_grad_()
    value = LOSSES[loss](scores, torch.arange(6))
    value.backward()
    assert value.isfinite()
    assert scores.grad.isfinite().all()


@pytest.mark.parametrize("loss", LOSSES)
def test_a_better_score_of_the_target_lowers_the_loss(loss: str):
    scores, target = torch.zeros(1, 5), torch.tensor([3])
    better = scores.index_fill(1, target, 1.0)
    assert LOSSES[loss](better, target) < LOSSES[loss](scores, target)
