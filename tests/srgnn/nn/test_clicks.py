import pytest
import torch
from prefixes import prefixes

from srgnn.nn.clicks import ClickGRU, Clicks

SESSIONS = [[4, 2, 4], [7], [1, 1, 3, 5, 1]]


@pytest.fixture
def clicks() -> Clicks:
    batch = prefixes(*SESSIONS)
    return Clicks.of(torch.eye(20)[batch.x], batch)


def test_clicks_are_in_order_and_know_their_session(clicks: Clicks):
    assert clicks.state.argmax(dim=1).tolist() == [4, 2, 4, 7, 1, 1, 3, 5, 1]
    assert clicks.session.tolist() == [0, 0, 0, 1, 2, 2, 2, 2, 2]
    assert clicks.distance.tolist() == [2, 1, 0, 0, 4, 3, 2, 1, 0]
    assert clicks.last(clicks.state).argmax(dim=1).tolist() == [4, 7, 1]
    batch = prefixes(*SESSIONS)
    assert Clicks.of(batch.x, batch).state.tolist() == [item for session in SESSIONS for item in session]


def test_values_are_reduced_over_the_clicks_of_each_session(clicks: Clicks, segments: str):
    values = torch.arange(9.0).view(-1, 1)
    assert clicks.reduce(values).view(-1).tolist() == [3, 3, 30]
    assert clicks.reduce(values, "mean").view(-1).tolist() == [1, 3, 6]


@pytest.mark.parametrize("num_layers", [1, 2])
def test_the_gru_of_a_batch_equals_a_loop_over_the_clicks_of_each_session(num_layers: int):
    gru = ClickGRU(4, num_layers)
    batch, table = prefixes(*SESSIONS), torch.randn(20, 4)
    expected = []
    for session in SESSIONS:
        hidden = torch.zeros(num_layers, 1, 4)
        for item in session:
            output, hidden = gru.gru(table[[item]].unsqueeze(0), hidden)
            expected.append(output[0, 0])
    torch.testing.assert_close(gru(Clicks.of(table[batch.x], batch)), torch.stack(expected))
