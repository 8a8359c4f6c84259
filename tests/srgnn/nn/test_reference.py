from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from srgnn.data import Sessions
from srgnn.data.graphs import SessionGraphs
from srgnn.data.published import read_pickle, sessions_of_prefixes
from srgnn.errors import UserError
from srgnn.nn import FullSoftmax, SRGNNSettings, from_reference_state_dict
from srgnn.nn.losses import cross_entropy
from srgnn.nn.reference import NAMES
from srgnn.training.optimizer import LazyAdam

REFERENCE = [("hybrid_step1", 1, "hybrid"), ("hybrid_step2", 2, "hybrid"), ("nonhybrid_step1", 1, "global")]


def test_a_state_dict_that_is_not_the_authors_is_reported():
    with pytest.raises(UserError, match=r"missing: .*gnn\.w_hh.*unknown: foo"):
        from_reference_state_dict({"embedding.weight": torch.zeros(3, 2), "foo": torch.zeros(1)})


def authors_weights(num_items: int = 3, width: int = 2) -> dict[str, Tensor]:
    """Weights under the authors' names and in their shapes, in order from 0."""
    ours = SRGNNSettings(width).build(num_items).state_dict()
    shapes = {theirs: ours[name].shape for theirs, name in NAMES.items()}
    shapes["embedding.weight"] = torch.Size([num_items + 1, width])
    return {name: torch.arange(shape.numel()).view(shape).float() for name, shape in shapes.items()}


def test_weights_of_a_model_in_parallel_are_the_same_weights():
    weights = authors_weights()
    parallel = from_reference_state_dict({f"module.{name}": weight for name, weight in weights.items()})
    for name, weight in from_reference_state_dict(weights).state_dict().items():
        assert torch.equal(parallel.state_dict()[name], weight)


@pytest.mark.parametrize(
    ("name", "shape", "sentence"),
    [
        ("embedding.weight", [4], r"embedding\.weight has the shape \[4\]: expected items and padding by width"),
        (
            "gnn.w_hh",
            [6, 3],
            r"gnn\.w_hh has the shape \[6, 3\]: expected \[6, 2\], as embedding\.weight has the width 2",
        ),
    ],
)
def test_a_wrong_shape_is_named(name: str, shape: list[int], sentence: str):
    with pytest.raises(UserError, match=sentence):
        from_reference_state_dict(authors_weights() | {name: torch.zeros(shape)})


def reference_graphs(path: Path) -> SessionGraphs:
    sessions = sessions_of_prefixes(*read_pickle(path))
    return SessionGraphs(Sessions.from_lists([[item - 1 for item in session] for session in sessions]), 309)


@pytest.mark.parametrize(("name", "steps", "readout"), REFERENCE)
def test_it_trains_like_the_authors_code(shared: Path, name: str, steps: int, readout: str):
    """Compares losses and final weights with their run, using the fused loss, the shared gradient and our optimizer."""
    golden = np.load(shared / "golden" / f"{name}.npz")

    def state(prefix: str) -> dict[str, Tensor]:
        return {key.removeprefix(prefix): torch.tensor(golden[key]) for key in golden.files if key.startswith(prefix)}

    model = from_reference_state_dict(state("init."), steps, readout)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = LazyAdam(trained, lr=1e-3, weight_decay=1e-5, fused=True)
    loss = FullSoftmax()
    train = reference_graphs(shared / "golden" / "diginetica-sample" / "train.txt")
    losses = []
    for start in [*range(0, len(train), 50)] * 2:
        value = loss(model, train[start : start + 50])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.item())
    np.testing.assert_allclose(losses, golden["losses"], rtol=0, atol=1e-5)
    final = from_reference_state_dict(state("final."), steps, readout)
    for (key, ours), theirs in zip(model.named_parameters(), final.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5, msg=key)


@pytest.mark.parametrize(("name", "steps", "readout"), REFERENCE)
def test_it_computes_what_the_authors_code_computes(shared: Path, segments: str, name: str, steps: int, readout: str):
    golden = np.load(shared / "golden" / f"{name}.npz")

    def reference(prefix: str) -> torch.nn.Module:
        state = {key.removeprefix(prefix): torch.tensor(golden[key]) for key in golden.files if key.startswith(prefix)}
        return from_reference_state_dict(state, steps, readout)

    model = reference("init.")
    train = reference_graphs(shared / "golden" / "diginetica-sample" / "train.txt")
    test = reference_graphs(shared / "golden" / "diginetica-sample" / "test.txt")
    torch.testing.assert_close(model(train[:50]), torch.tensor(golden["first_batch_scores"]), rtol=0, atol=1e-5)

    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-5)
    losses = []
    for start in [*range(0, len(train), 50)] * 2:
        batch = train[start : start + 50]
        loss = cross_entropy(model(batch), batch.y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    np.testing.assert_allclose(losses, golden["losses"], rtol=0, atol=1e-5)
    for (key, ours), theirs in zip(model.named_parameters(), reference("final.").parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5, msg=key)

    batch = test[:]
    scores = model(batch)
    ranks = (scores > scores.gather(1, batch.y[:, None])).sum(1) + 1  # ties count for the target, as in theirs
    assert ranks.tolist() == golden["test_ranks"].tolist()
