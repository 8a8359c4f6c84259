import torch
import torch.nn.functional as F

from srgnn.data import Sessions
from srgnn.data.graphs import SessionGraphs
from srgnn.nn import NISERSettings

CLICKS = [1, 2, 1, 3]


def test_it_computes_the_equations_of_one_session():
    model = NISERSettings(hidden_size=4, positions=3).build(5).eval()
    batch = SessionGraphs(Sessions.from_lists([[*CLICKS, 0]]), 5)[[0]]
    items = F.normalize(model.item_embedding.weight)
    nodes = model.conv(items[[1, 2, 3]], batch.edge_index, batch.edge_weight)
    place = model.readout.place.weight
    clicks = [nodes[0] + place[0], nodes[1] + place[0], nodes[0] + place[1], nodes[2] + place[2]]  # three positions
    readout = model.readout
    gates = [torch.sigmoid(readout.lin_last(clicks[-1]) + readout.lin_click(click)) for click in clicks]
    interest = sum(readout.query(gate) * click for gate, click in zip(gates, clicks, strict=True))
    session = readout.lin_join(torch.cat([interest, clicks[-1]]))
    torch.testing.assert_close(model(batch)[0], 16 * items @ F.normalize(session, dim=0))


def test_its_values_are_those_of_the_paper():
    settings = NISERSettings()
    assert (settings.hidden_size, settings.scale, settings.dropout, settings.propagation_steps) == (100, 16, 0.1, 1)


def test_positions_and_dropout_matter():
    one, other = (SessionGraphs(Sessions.from_lists([clicks]), 5)[[0]] for clicks in ([1, 2, 1, 3, 0], [2, 1, 3, 0]))
    model = NISERSettings(hidden_size=4).build(5)
    assert not torch.equal(model(one), model(one))
    model.eval()
    before = model(one), model(other)
    model.readout.place.weight.data[3] += 1
    assert not torch.allclose(model(one), before[0])
    assert torch.equal(model(other), before[1])  # three clicks do not reach the fourth position
