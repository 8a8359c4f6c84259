from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from srgnn.answers import Query, Recommendations
from srgnn.compiled import CLICKS_AT_ONCE, GROUP, CompiledModel
from srgnn.data.sessions import Sessions
from srgnn.errors import UserError
from srgnn.exporting import export_compiled
from srgnn.exporting.compiled import OUTSIDE, check_search, search_program
from srgnn.models import BASELINES, TRAINED
from srgnn.nn import EncoderSettings, SRGNNSettings
from srgnn.recommender import Recommender
from srgnn.retrieval import Retrieval, batches_of
from srgnn.training.checkpoint import Checkpoint, CheckpointRecord

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
NUM_ITEMS = 8003  # enough for a search in 8 bits, and three more than whole groups hold


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


def answers(recommender: Recommender, sessions: list[list[int]], k: int, **options: Any) -> list[Recommendations]:
    return recommender.answer([Query(session, k, **options) for session in sessions])


def assert_same(found: list[Recommendations], expected: list[Recommendations]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.scores == pytest.approx(other.scores, rel=1e-4, abs=1e-5)
        right = dict(other)
        assert [score for item, score in one if item in right] == pytest.approx(
            [right[item] for item in one.items if item in right], rel=1e-4, abs=1e-5
        )
        is_apart = [abs(score - other.scores[-1]) > 1e-4 for score in other.scores]  # else an equal one may stand there
        assert {i for i, apart in zip(other.items, is_apart, strict=True) if apart} <= set(one.items)


@pytest.fixture
def without_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the layers of a model fail, so that only its programs can answer."""

    def fail(*arguments: Any) -> None:
        raise AssertionError("the layers were asked")

    for name in ("_by_layers", "_of_all"):
        monkeypatch.setattr(Retrieval, name, fail)


@pytest.mark.parametrize("scale", [None, 12.0])
def test_programs_alone_give_the_answers_of_the_layers(
    tmp_path: Path, scale: float | None, request: pytest.FixtureRequest
):
    checkpoint = write(tmp_path / "model.ckpt", SRGNNSettings(16, scale=scale))
    layers, programs = Recommender.load(checkpoint), Recommender.load(checkpoint, compiled=compiled(checkpoint))
    sessions = [torch.randint(NUM_ITEMS, (length,)).tolist() for length in (1, 2, 5, 3)] + [[7, 7, 9, 7]]
    cases: list[tuple[int, dict[str, Any]]] = [(1, {}), (20, {}), (20, {"without": range(3), "new_only": True})]
    expected = [answers(layers, sessions, k, **options) for k, options in cases]
    request.getfixturevalue("without_layers")
    for (k, options), right in zip(cases, expected, strict=True):
        assert_same(answers(programs, sessions, k, **options), right)


def test_many_items_many_sessions_and_choices_take_all_scores(tmp_path: Path):
    checkpoint = write(tmp_path / "model.ckpt", SRGNNSettings(16))
    layers, programs = Recommender.load(checkpoint), Recommender.load(checkpoint, compiled=compiled(checkpoint))
    for number, k, options in ((1, 400, {}), (1, NUM_ITEMS, {}), (30, 20, {}), (3, 20, {"only": range(5, 90)})):
        sessions = torch.randint(NUM_ITEMS, (number, 3)).tolist()
        assert_same(answers(programs, sessions, k, **options), answers(layers, sessions, k, **options))
    assert programs.retrieval.best_items(Sessions.from_lists([]), 5).items.shape == (0, 5)


def test_empty_and_long_sessions_do_not_keep_the_others_from_the_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    checkpoint = write(tmp_path / "model.ckpt", SRGNNSettings(8))
    layers, programs = Recommender.load(checkpoint), Recommender.load(checkpoint, compiled=compiled(checkpoint))
    lengths = [2, 0, CLICKS_AT_ONCE + 1, 3, CLICKS_AT_ONCE // 2, 0, 1]
    sessions = [torch.randint(NUM_ITEMS, (length,)).tolist() for length in lengths]
    expected, asked, by_layers = answers(layers, sessions, 5), [], Retrieval._by_layers

    def spy(self: Retrieval, part: Sessions, *arguments: Any) -> Any:
        asked.extend(part.lengths.tolist())
        return by_layers(self, part, *arguments)

    monkeypatch.setattr(Retrieval, "_by_layers", spy)
    assert_same(answers(programs, sessions, 5), expected)
    assert sorted(asked) == [0, 0, CLICKS_AT_ONCE + 1]


def test_batches_hold_as_many_clicks_as_the_programs_take():
    lengths = np.array([5, 0, 700, 700, 0, 700, 5000, 1])
    batches = list(batches_of(lengths))
    assert [[int(lengths[s]) for s in batch] for batch in batches] == [[0, 0], [1, 5], [700, 700], [700], [5000]]
    assert sorted(s for batch in batches for s in batch) == list(range(8))


def alike(num_items: int) -> Tensor:
    """Items that differ by little more than their rounding."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(1, 16, generator=generator) + 0.1 * torch.randn(num_items, 16, generator=generator)


def without_rounding(num_items: int) -> Tensor:
    """Items that lose nothing in 8 bits and are alike, so that what sessions lose decides."""
    generator = torch.Generator().manual_seed(1)
    rows = torch.randint(-60, 60, (1, 16), generator=generator) + torch.randint(
        -2, 3, (num_items, 16), generator=generator
    )
    rows[:, 0] = 63
    return rows.float() / 63


def with_a_long_row(num_items: int) -> Tensor:
    rows = torch.randn(num_items, 16, generator=torch.Generator().manual_seed(2))
    rows[7] *= 20
    rows[9] = 0
    return rows


@pytest.mark.parametrize("make", [alike, without_rounding, with_a_long_row])
@pytest.mark.parametrize("num_items", [4003, 4096])
def test_no_other_item_has_a_score_above_the_bound(make: Any, num_items: int):
    import onnxruntime

    rows = make(num_items)
    search = onnxruntime.InferenceSession(search_program(rows))
    sessions = torch.cat([rows[:300], torch.randn(100, 16, generator=torch.Generator().manual_seed(3))])
    scored = 96 + len(rows) - (len(rows) - OUTSIDE) // GROUP * GROUP  # all that are scored in full
    inputs = {"session": sessions.numpy(), "rows": rows.numpy(), "count": np.array([96]), "top": np.array([scored])}
    best, scores, bound = map(torch.from_numpy, search.run(None, inputs))
    exact = sessions @ rows.T
    torch.testing.assert_close(exact.gather(1, best), scores)
    others = exact.scatter(1, best, -torch.inf).amax(dim=1)
    assert (others <= bound[:, 0] + 1e-6).all()
    if make is with_a_long_row:
        assert (scores[:, 19] >= bound[:, 0]).float().mean() > 0.95  # one row does not loosen the bound for all


def test_what_is_not_proven_is_searched_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    checkpoint = write(tmp_path / "model.ckpt", SRGNNSettings(16))
    layers, programs = Recommender.load(checkpoint), Recommender.load(checkpoint, compiled=compiled(checkpoint))
    search = CompiledModel.best

    def doubt(self: CompiledModel, session: Any, top: int) -> Any:
        found = search(self, session, top)
        assert found is not None
        items, scores, is_proven = found
        is_proven[::2] = False
        items[::2] = 0
        return items, scores, is_proven

    monkeypatch.setattr(CompiledModel, "best", doubt)
    sessions = torch.randint(NUM_ITEMS, (9, 3)).tolist()
    assert_same(answers(programs, sessions, 20), answers(layers, sessions, 20))


def test_infinite_scores_are_not_proven_and_a_wrong_search_is_not_kept(tmp_path: Path):
    checkpoint = write(tmp_path / "model.ckpt", SRGNNSettings(16))
    model = export_compiled(Checkpoint.load(checkpoint), tmp_path / "model.compiled")
    rows = 1e15 * torch.rand(NUM_ITEMS, 16)
    program = search_program(rows)
    huge = CompiledModel.start(encoder_of(tmp_path / "model.compiled"), program, rows, "huge")
    found = huge.best(1e25 * np.random.default_rng(0).random((5, 16), dtype=np.float32), 20)
    assert found is not None
    assert not found[2].any()
    small = search_program(1e-3 * torch.rand(NUM_ITEMS, 16))  # what it believes of all items is far too little
    other = CompiledModel.start(encoder_of(tmp_path / "model.compiled"), small, torch.from_numpy(model.rows), "other")
    with pytest.raises(UserError, match="The search of other does not find what the model finds"):
        check_search(other, "other")


def encoder_of(path: Path) -> bytes:
    encoder: bytes = torch.load(path)["encoder"].numpy().tobytes()
    return encoder


def test_a_search_that_rarely_proves_anything_is_left_out(tmp_path: Path):
    checkpoint = write(tmp_path / "model.ckpt", SRGNNSettings(16))
    saved = Checkpoint.load(checkpoint)
    weight = 1e-3 * saved.weights["item_embedding.weight"] + 1
    Checkpoint(saved.record, saved.weights | {"item_embedding.weight": weight}).save(checkpoint)
    layers, programs = Recommender.load(checkpoint), Recommender.load(checkpoint, compiled=compiled(checkpoint))
    assert programs.retrieval.compiled is not None
    assert programs.retrieval.compiled.search is None
    sessions = torch.randint(NUM_ITEMS, (9, 3)).tolist()
    assert_same(answers(programs, sessions, 20), answers(layers, sessions, 20))


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
    with pytest.raises(
        UserError, match=r"model.compiled was compiled from another checkpoint: write a new one with python"
    ):
        Recommender.load(tmp_path / "ids.ckpt", compiled=path)
    content = torch.load(path)
    for key, value, sentence in (
        ("version", 0, "model.compiled was written by another version: write a new one"),
        (
            "encoder",
            content["encoder"][:-9],
            r"cannot run .*model.compiled \(.*\): install a newer one, or write a new one",
        ),
        (
            "encoder",
            _search(),
            r"cannot run .*model.compiled \(other inputs\): install a newer one, or write a new one",
        ),
    ):
        torch.save(content | {key: value}, path)
        with pytest.raises(UserError, match=sentence):
            Recommender.load(checkpoint, compiled=path)
    torch.save(content, path)
    with pytest.raises(UserError, match="compiled= does not know items that are added later"):
        Recommender.load(checkpoint, compiled=path).add_items({"new": [1]})
    with pytest.raises(UserError, match="are not products of a session with its items"):
        compiled(write(tmp_path / "tagnn.ckpt", TRAINED["TAGNN"](8), "TAGNN", num_items=9))
    name = next(iter(BASELINES))
    record = CheckpointRecord({"num_items": 9}, list(range(9)), architecture=name)
    with pytest.raises(UserError, match="looks up counts"):
        export_compiled(Checkpoint(record, BASELINES[name]().build(9).state_dict()), tmp_path / "counts.compiled")
    assert not list(tmp_path.glob("*.compiled"))[1:]


def _search() -> Tensor:
    program = search_program(torch.randn(4000, 8))
    assert program is not None
    return torch.frombuffer(bytearray(program), dtype=torch.uint8)
