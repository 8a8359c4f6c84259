"""Every trained model learns generated sessions whose right answers are known by construction.

A new model has to learn all of :data:`TASKS`, or to be named in :data:`CANNOT` with the reason.
"""

import pytest
import torch
from torch import Tensor

from srgnn.data import Sessions
from srgnn.data.graphs import SessionGraphs
from srgnn.metrics import target_ranks
from srgnn.nn import MODELS, FullSoftmax

NUM_ITEMS, LENGTH = 24, 6


def theme(count: int) -> Tensor:
    """All clicks of a session are on the six items of one theme, which each of them reveals."""
    return torch.randint(4, (count, 1)) * 6 + torch.randint(6, (count, LENGTH))


def successor(count: int) -> Tensor:
    """Each item is followed by one item always; the right answer depends on the last click alone."""
    follower = torch.randperm(NUM_ITEMS, generator=torch.Generator().manual_seed(0))
    clicks = [torch.randint(NUM_ITEMS, (count,))]
    while len(clicks) < LENGTH:
        clicks.append(follower[clicks[-1]])
    return torch.stack(clicks, dim=1)


def direction(count: int) -> Tensor:
    """A session walks round a circle of items in one of two directions, which the last two clicks in order reveal."""
    step = torch.randint(2, (count, 1)) * 2 - 1
    return (torch.randint(NUM_ITEMS, (count, 1)) + step * torch.arange(LENGTH)) % NUM_ITEMS


TASKS = {theme: 6, successor: 1, direction: 1}  # with the number of right answers
CANNOT = {
    ("BPR-MF", "successor"),  # its similarities are the same in both directions
    ("BPR-MF", "direction"),
    ("FPMC", "direction"),  # it reads the last click alone
}


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.__name__)
@pytest.mark.parametrize("name", MODELS)
def test_every_model_learns_what_it_can(name: str, task):
    train, test = (Sessions.from_lists(task(count).tolist()) for count in (400, 50))
    model = MODELS[name](hidden_size=32, dropout=0.0).build(NUM_ITEMS)
    model.observe(train)
    loss, optimizer = FullSoftmax(), torch.optim.Adam(model.parameters(), lr=1e-2)
    graphs = SessionGraphs(train, NUM_ITEMS)
    for order in torch.randperm(2000).view(-1, 100).repeat(8, 1):
        optimizer.zero_grad()
        loss(model, graphs[order]).backward()
        optimizer.step()
    model.eval()
    graphs = SessionGraphs(test, NUM_ITEMS)
    seen = graphs[(graphs.length > 1).nonzero().view(-1)]  # one click does not reveal a direction
    recall = (target_ranks(model(seen), seen.y) <= TASKS[task]).float().mean()
    if (name, task.__name__) in CANNOT:
        assert recall < 0.7  # a guess between two directions is right half the time
    else:
        assert recall > 0.95
