import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from srgnn.data import SessionData
from srgnn.data.graphs import whole_sessions
from srgnn.data.sessions import Sessions
from srgnn.errors import UserError
from srgnn.exporting import ScoringProgram, check_exportable, export
from srgnn.exporting.graphs import PaddedGraphs
from srgnn.exporting.program import check, random_items
from srgnn.models import BASELINES, MODELS, TRAINED
from srgnn.training.checkpoint import Checkpoint, CheckpointRecord

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in TRAINED),
    ("SR-GNN", {"connections": "full"}),
    ("SR-GNN", {"connections": "global"}),
    ("SR-GNN", {"edge_weight": "occurrence", "positions": 4}),
    ("SR-GNN", {"readout": "average", "reversed_positions": 3}),
    ("SR-GNN", {"propagation_steps": 0}),
]


def saved(data: SessionData, name: str = "SR-GNN", **arguments: Any) -> Checkpoint:
    settings = TRAINED[name](**{"hidden_size": 8, **arguments})
    model = settings.build(data.num_items)
    model.observe(data.train)
    about = {"num_items": data.num_items, **asdict(settings)}
    return Checkpoint(CheckpointRecord(about, data.vocabulary.ids, architecture=name), model.state_dict())


def test_a_padded_session_has_the_graph_that_one_can_draw():
    graphs = PaddedGraphs.of(torch.tensor([[7, 5, 7, 5], [3, -1, -1, -1]]))
    clicks = graphs.batch[graphs.alias_index]
    for session, items, edges in ((0, [7, 5, 7, 5], {(7, 5): 2, (5, 7): 1}), (1, [3], {})):
        assert graphs.x[graphs.alias_index[clicks == session]].tolist() == items
        assert graphs.x[graphs.batch == session].tolist() == list(dict.fromkeys(items))
        inside = graphs.batch[graphs.edge_index[0]] == session
        pairs = map(tuple, graphs.x[graphs.edge_index[:, inside]].T.tolist())
        assert dict(zip(pairs, graphs.edge_weight[inside].tolist(), strict=True)) == edges
    assert graphs.ptr.tolist() == [0, 2, 3, 10]  # 2 sessions of 4 clicks and one padding each


@pytest.mark.parametrize(("name", "arguments"), VARIANTS)
def test_every_model_gives_its_scores_from_padded_sessions(small: SessionData, name: str, arguments: dict[str, Any]):
    model = saved(small, name, **arguments).build_model()
    program = ScoringProgram(check_exportable(model, name))
    assert check(program, model, small.num_items, None, name) < 1e-4


def test_padding_may_stand_anywhere_and_a_session_without_items_scores_0(small: SessionData):
    program = ScoringProgram(check_exportable(saved(small).build_model(), "SR-GNN"))
    (scores,) = program(torch.tensor([[3, 4, 3, -1, -1], [-1, 3, -1, 4, 3], [-1, -1, -1, -1, -1]]))
    torch.testing.assert_close(scores[0], scores[1])
    assert scores[0].any()
    assert not scores[2].any()


def test_a_program_with_other_scores_is_refused(small: SessionData):
    model = saved(small).build_model()
    other = ScoringProgram(check_exportable(saved(small).build_model(), "SR-GNN"))
    with pytest.raises(UserError, match="does not give the scores of the model for 1 sessions of 1 clicks"):
        check(other, model, small.num_items, None, "The program")


def test_a_model_that_counts_is_refused_in_one_sentence(small: SessionData):
    name = next(iter(BASELINES))
    with pytest.raises(UserError, match="looks up counts instead of multiplying weights"):
        check_exportable(MODELS[name]().build(small.num_items), name)


def test_nothing_is_left_of_an_export_that_fails(small: SessionData, tmp_path: Path):
    with pytest.raises(UserError, match="k=0: expected an integer from 1"):
        export(saved(small), tmp_path / "model.pt2", k=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["SR-GNN", "GRU4Rec"])
def test_a_torch_program_gives_the_best_items_without_this_package(small: SessionData, tmp_path: Path, name: str):
    checkpoint = saved(small, name)
    assert export(checkpoint, tmp_path / "model.pt2", k=3) < 1e-4
    extra = {"srgnn.json": ""}
    program = torch.export.load(tmp_path / "model.pt2", extra_files=extra)
    about = json.loads(extra["srgnn.json"])
    assert (about["ids"], about["padding"], about["k"]) == (small.vocabulary.ids, -1, 3)
    best, scores = program.module()(torch.tensor([[1, 2, 1, -1]]))
    graphs = whole_sessions(Sessions.from_lists([[1, 2, 1]]), small.num_items)
    expected = checkpoint.build_model()(graphs[[0]]).topk(3)
    assert torch.equal(best, expected.indices)
    torch.testing.assert_close(scores, expected.values)


def test_onnxruntime_gives_the_scores_for_any_number_and_length(small: SessionData, tmp_path: Path):
    onnxruntime = pytest.importorskip("onnxruntime")
    checkpoint = saved(small, scale=12.0)
    assert export(checkpoint, tmp_path / "model.onnx") < 1e-4
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    about = json.loads(session.get_modelmeta().custom_metadata_map["srgnn.json"])
    assert (about["ids"], about["padding"], about["k"]) == (small.vocabulary.ids, -1, None)
    items = random_items(small.num_items, 13, 4)
    (scores,) = session.run(["scores"], {"items": items.numpy()})
    graphs = whole_sessions(Sessions.from_lists([each[each >= 0].tolist() for each in items]), small.num_items)
    expected = checkpoint.build_model()(graphs[graphs.first[:-1]])
    torch.testing.assert_close(torch.from_numpy(scores), expected, rtol=1e-4, atol=1e-4)
