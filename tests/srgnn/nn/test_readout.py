import pytest
import torch

from srgnn.errors import ArgumentError
from srgnn.nn import SessionReadout

STATES = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
BATCH = torch.tensor([0, 0, 1, 1, 1])
SESSIONS = [[0, 1, 0], [4, 2, 3, 2]]  # nodes in the order of the clicks
ALIAS = torch.tensor(SESSIONS[0] + SESSIONS[1])


def read(readout: SessionReadout) -> torch.Tensor:
    return readout(STATES, ALIAS, BATCH, 2)


def test_local_is_the_last_click():
    assert torch.equal(read(SessionReadout(4, "local")), STATES[[0, 2]])


def test_average_is_the_mean_over_clicks(segments: str):
    expected = torch.stack([STATES[session].mean(0) for session in SESSIONS])
    torch.testing.assert_close(read(SessionReadout(4, "average")), expected)


@pytest.mark.parametrize("kind", ["global", "hybrid"])
def test_attention_computes_the_equations_of_the_paper(segments: str, kind: str):
    readout = SessionReadout(4, kind)
    expected = []
    for session in SESSIONS:
        last, interest = STATES[session[-1]], torch.zeros(4)
        for node in session:
            gate = torch.sigmoid(readout.lin_last(last) + readout.lin_click(STATES[node]))
            interest = interest + readout.query(gate) * STATES[node]
        expected.append(readout.lin_join(torch.cat([interest, last])) if kind == "hybrid" else interest)
    torch.testing.assert_close(read(readout), torch.stack(expected))


def test_an_unknown_readout_is_reported():
    with pytest.raises(ArgumentError, match="readout=max: expected one of local, global, hybrid, average"):
        SessionReadout(4, "max")


def test_with_a_softmax_the_attention_sums_to_one(segments: str):
    readout, context = SessionReadout(4, "global", softmax=True), torch.randn(2, 4)
    expected = []
    for number, session in enumerate(SESSIONS):
        clicks = STATES[session]
        logits = readout.query(
            torch.sigmoid(readout.lin_last(clicks[-1]) + context[number] + readout.lin_click(clicks))
        )
        expected.append((logits.softmax(dim=0) * clicks).sum(dim=0))
    torch.testing.assert_close(readout(STATES, ALIAS, BATCH, 2, context), torch.stack(expected))


def test_positions_count_from_the_first_click():
    """Of the session of four clicks and three positions, the first two clicks share the first position."""
    readout = SessionReadout(4, "average", positions=3)
    place = readout.place.weight
    expected = [(STATES[[0, 1, 0]] + place).mean(0), (STATES[[4, 2, 3, 2]] + place[[0, 0, 1, 2]]).mean(0)]
    torch.testing.assert_close(read(readout), torch.stack(expected))


@pytest.mark.parametrize("kind", ["global", "hybrid"])
@pytest.mark.parametrize("reversed_positions", [0, 2])
def test_attention_gives_the_weights_that_the_embedding_is_made_with(kind: str, reversed_positions: int):
    readout = SessionReadout(4, kind, reversed_positions)
    alpha = readout.attention(STATES, ALIAS, BATCH, 2)
    assert alpha.shape == (7,)
    for session, weights, embedding in zip(SESSIONS, alpha.split([3, 4]), read(readout), strict=True):
        clicks = STATES[session]
        if reversed_positions:
            distance = torch.arange(len(session)).flip(0).clamp(max=1)
            clicks = clicks + readout.position(distance)
        interest = weights @ clicks
        expected = readout.lin_join(torch.cat([interest, clicks[-1]])) if kind == "hybrid" else interest
        torch.testing.assert_close(embedding, expected)


@pytest.mark.parametrize("kind", ["local", "average"])
def test_a_readout_without_attention_says_so(kind: str):
    with pytest.raises(ArgumentError, match=f"readout={kind}: expected one of global, hybrid"):
        SessionReadout(4, kind).attention(STATES, ALIAS, BATCH, 2)
