from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from srgnn.answers import Query, Recommendations
from srgnn.compiled import SLOTS
from srgnn.data.sessions import Sessions
from srgnn.errors import UserError
from srgnn.exporting import export_compiled
from srgnn.models import BASELINES, TRAINED
from srgnn.nn import EncoderSettings, SRGNNSettings
from srgnn.recommender import Recommender
from srgnn.training.checkpoint import Checkpoint, CheckpointRecord

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
NUM_ITEMS = 4003  # enough for a search in 8 bits, and three more than its groups hold


def write(path: Path, settings: EncoderSettings, name: str = "SR-GNN", num_items: int = NUM_ITEMS) -> Path:
    torch.manual_seed(0)
    about = {"num_items": num_items, **asdict(settings)}
    record = CheckpointRecord(about, list(range(num_items)), clicks=[1] * num_items, architecture=name)
    Checkpoint(record, settings.build(num_items).state_dict()).save(path)
    return path


def compiled(checkpoint: Path) -> Path:
    path = checkpoint.with_suffix(".compiled")
    export_compiled(Checkpoint.load(checkpoint), path)
    return path


def answers(recommender: Recommender, sessions: list[list[int]], k: int, **options: bool) -> list[Recommendations]:
    return recommender.answer([Query(session, k, **options) for session in sessions])


def assert_same(found: list[Recommendations], expected: list[Recommendations]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.scores == pytest.approx(other.scores, rel=1e-4, abs=1e-5)
        is_apart = [abs(score - other.scores[-1]) > 1e-4 for score in other.scores]  # else an equal one may stand there
        assert {i for i, apart in zip(other.items, is_apart, strict=True) if apart} <= set(one.items)


def is_proven(recommender: Recommender, sessions: torch.Tensor) -> torch.Tensor:
    """Whether the best 20 items of sessions [B, L] are proven to be the best."""
    model = recommender.retrieval.compiled
    assert model is not None
    found = model.best(model.encode(sessions.numpy()), 20)
    assert found is not None
    return torch.from_numpy(found[2])


@pytest.mark.parametrize("scale", [None, 12.0])
def test_a_compiled_model_gives_the_answers_of_its_layers(tmp_path: Path, scale: float | None):
    checkpoint = write(tmp_path / "model.ckpt", SRGNNSettings(16, scale=scale))
    layers, programs = Recommender.load(checkpoint), Recommender.load(checkpoint, compiled=compiled(checkpoint))
    sessions = [torch.randint(NUM_ITEMS, (length,)).tolist() for length in (1, 2, 5, 30, 3)] + [[7, 7, 9, 7]]
    for k, options in ((1, {}), (20, {}), (20, {"new_only": True}), (400, {})):
        assert_same(answers(programs, sessions, k, **options), answers(layers, sessions, k, **options))
    assert is_proven(programs, torch.randint(NUM_ITEMS, (50, 3))).float().mean() > 0.9


def test_items_outside_all_groups_are_found(tmp_path: Path):
    checkpoint = write(tmp_path / "model.ckpt", SRGNNSettings(16))
    saved = Checkpoint.load(checkpoint)
    weight = saved.weights["item_embedding.weight"].clone()
    layers = Recommender(saved.build_model(), saved.vocabulary)
    weight[-1] = 10 * layers.retrieval.session_embeddings(Sessions.from_lists([[5, 6]]))[0]
    Checkpoint(saved.record, saved.weights | {"item_embedding.weight": weight}).save(checkpoint)
    (best,) = answers(Recommender.load(checkpoint, compiled=compiled(checkpoint)), [[5, 6]], 1)
    assert best.items == [NUM_ITEMS - 1]


def test_where_rounding_decides_the_search_is_exact(tmp_path: Path):
    checkpoint = write(tmp_path / "model.ckpt", SRGNNSettings(16))
    saved = Checkpoint.load(checkpoint)
    weight = saved.weights["item_embedding.weight"]
    alike = weight[:1] + 1e-3 * weight
    Checkpoint(saved.record, saved.weights | {"item_embedding.weight": alike}).save(checkpoint)
    layers, programs = Recommender.load(checkpoint), Recommender.load(checkpoint, compiled=compiled(checkpoint))
    sessions = torch.randint(NUM_ITEMS, (20, 3)).tolist()
    assert not is_proven(programs, torch.tensor(sessions)).any()
    for one, other in zip(answers(programs, sessions, 20), answers(layers, sessions, 20), strict=True):
        assert one.scores == pytest.approx(other.scores, rel=1e-6)


def test_large_batches_and_sessions_without_a_click_are_left_to_the_layers(tmp_path: Path):
    checkpoint = write(tmp_path / "model.ckpt", SRGNNSettings(8))
    layers, programs = Recommender.load(checkpoint), Recommender.load(checkpoint, compiled=compiled(checkpoint))
    many = torch.randint(NUM_ITEMS, (30, SLOTS // 30 + 1)).tolist()
    for sessions in (many, [[3, 4], []]):
        assert_same(answers(programs, sessions, 5), answers(layers, sessions, 5))


@pytest.mark.parametrize("name", ["GRU4Rec", "SASRec", "FPMC"])
def test_other_models_and_few_items_are_compiled_as_well(tmp_path: Path, name: str):
    checkpoint = write(tmp_path / "model.ckpt", TRAINED[name](8), name, num_items=30)
    layers, programs = Recommender.load(checkpoint), Recommender.load(checkpoint, compiled=compiled(checkpoint))
    sessions = torch.randint(30, (7, 4)).tolist()
    assert_same(answers(programs, sessions, 30), answers(layers, sessions, 30))


def test_an_index_takes_the_compiled_embeddings(tmp_path: Path):
    pytest.importorskip("faiss")
    from srgnn.index import ItemIndex

    checkpoint = write(tmp_path / "model.ckpt", SRGNNSettings(8))
    layers = Recommender.load(checkpoint)
    ItemIndex.build(layers.model, layers.vocabulary).save(tmp_path / "items.index")
    both = Recommender.load(checkpoint, tmp_path / "items.index", compiled(checkpoint))
    indexed = Recommender.load(checkpoint, tmp_path / "items.index")
    sessions = torch.randint(NUM_ITEMS, (9, 3)).tolist()
    assert_same(answers(both, sessions, 5), answers(indexed, sessions, 5))


def test_other_files_checkpoints_and_models_give_one_sentence(tmp_path: Path):
    checkpoint = write(tmp_path / "model.ckpt", SRGNNSettings(8), num_items=9)
    path, saved = compiled(checkpoint), Checkpoint.load(checkpoint)
    with pytest.raises(UserError, match=r"There is no compiled model none.compiled: python src/export.py output=none"):
        Recommender.load(checkpoint, compiled="none.compiled")
    with pytest.raises(UserError, match=r"model.ckpt is not a compiled model of this project"):
        Recommender.load(checkpoint, compiled=checkpoint)
    Checkpoint(replace(saved.record, vocabulary=[*range(1, 9), 0]), saved.weights).save(tmp_path / "ids.ckpt")
    with pytest.raises(UserError, match=r"model.compiled was compiled from another checkpoint"):
        Recommender.load(tmp_path / "ids.ckpt", compiled=path)
    with pytest.raises(UserError, match="The compiled model does not know items that are added later"):
        Recommender.load(checkpoint, compiled=path).add_items({"new": [1]})
    with pytest.raises(UserError, match="are not products of a session with its items"):
        compiled(write(tmp_path / "tagnn.ckpt", TRAINED["TAGNN"](8), "TAGNN", num_items=9))
    name = next(iter(BASELINES))
    record = CheckpointRecord({"num_items": 9}, list(range(9)), architecture=name)
    with pytest.raises(UserError, match="looks up counts"):
        export_compiled(Checkpoint(record, BASELINES[name]().build(9).state_dict()), tmp_path / "counts.compiled")
    assert not list(tmp_path.glob("*.compiled"))[1:]
