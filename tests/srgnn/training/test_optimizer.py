import pytest
import torch
import torch.nn.functional as F
from torch.nn import Parameter

from srgnn.errors import ArgumentError
from srgnn.training.optimizer import LazyAdam, OptimizerSettings

OPTIONS = {"lr": 0.1, "weight_decay": 0.01, "fused": True}


def steps(optimizer: torch.optim.Optimizer, weight: Parameter, batches: list[list[int]], sparse: bool) -> None:
    for items in batches:
        optimizer.zero_grad()
        (F.embedding(torch.tensor(items), weight, sparse=sparse) ** 2).sum().backward()
        optimizer.step()


def two_weights() -> tuple[Parameter, Parameter]:
    weight = torch.randn(6, 3)
    return Parameter(weight.clone()), Parameter(weight.clone())


def test_with_every_row_in_every_gradient_it_is_adam():
    lazy, plain = two_weights()
    batches = [[0, 1, 2, 3, 4, 5, 5], [5, 4, 3, 2, 1, 0, 0], [0, 1, 2, 3, 4, 5]]
    steps(LazyAdam([lazy], **OPTIONS), lazy, batches, sparse=True)
    steps(torch.optim.Adam([plain], **OPTIONS), plain, batches, sparse=False)
    torch.testing.assert_close(lazy, plain)


def test_rows_without_a_gradient_do_not_change():
    weight, before = two_weights()
    optimizer = LazyAdam([weight], **OPTIONS)
    steps(optimizer, weight, [[0, 1]], sparse=True)
    after = weight.detach().clone()
    assert not torch.equal(after[:2], before[:2])
    assert torch.equal(after[2:], before[2:])
    steps(optimizer, weight, [[1, 2]], sparse=True)
    assert torch.equal(weight[0], after[0])  # Adam would keep moving it by its momentum


def test_a_dense_gradient_gets_the_step_of_adam():
    lazy, plain = two_weights()
    batches = [[0, 1], [1, 2]]
    steps(LazyAdam([lazy], **OPTIONS), lazy, batches, sparse=False)
    steps(torch.optim.Adam([plain], **OPTIONS), plain, batches, sparse=False)
    assert torch.equal(lazy, plain)


def test_its_state_continues_from_a_checkpoint():
    whole, half = two_weights()
    optimizer = LazyAdam([whole], **OPTIONS)
    steps(optimizer, whole, [[0, 1], [1, 2], [0, 2]], sparse=True)
    first = LazyAdam([half], **OPTIONS)
    steps(first, half, [[0, 1], [1, 2]], sparse=True)
    second = LazyAdam([half], **OPTIONS)
    second.load_state_dict(first.state_dict())
    steps(second, half, [[0, 2]], sparse=True)
    assert torch.equal(whole, half)


def test_the_rate_decays_after_every_few_epochs():
    settings = OptimizerSettings(lr=0.1, lr_decay=0.5, lr_decay_every=2).build([Parameter(torch.ones(2))])
    rates = []
    for _ in range(4):
        rates.append(settings["optimizer"].param_groups[0]["lr"])
        settings["optimizer"].step()
        settings["lr_scheduler"].step()
    assert rates == [0.1, 0.1, 0.05, 0.05]


@pytest.mark.parametrize("options", [{"lr": 0}, {"lr": "fast"}, {"weight_decay": -1}, {"lr_decay_every": 0}])
def test_wrong_values_are_reported(options: dict):
    with pytest.raises(ArgumentError, match=f"^{next(iter(options))}="):
        OptimizerSettings(**options)
