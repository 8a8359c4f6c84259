from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from srgnn.data.sessions import Sessions, Vocabulary
from srgnn.errors import UserError
from srgnn.index import ItemIndex
from srgnn.nn import SRGNNSettings, TAGNNSettings
from srgnn.recommender import Recommender
from srgnn.training.checkpoint import Checkpoint, CheckpointRecord

pytest.importorskip("faiss")
NUM_ITEMS = 4000  # in lists, of which a part is searched


@pytest.fixture(params=[None, 12.0])
def checkpoint(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    settings = SRGNNSettings(8, scale=request.param)
    model = settings.build(NUM_ITEMS)
    about = {"num_items": NUM_ITEMS, **asdict(settings)}
    record = CheckpointRecord(about, list(range(NUM_ITEMS)), clicks=[1] * NUM_ITEMS)
    Checkpoint(record, model.state_dict()).save(tmp_path / "model.ckpt")
    return tmp_path / "model.ckpt"


def build(checkpoint: Path) -> Path:
    recommender = Recommender.load(checkpoint)
    path = checkpoint.with_name("items.index")
    ItemIndex.build(recommender.model, recommender.vocabulary).save(path)
    return path


def test_an_index_finds_the_best_items_with_the_scores_of_the_model(checkpoint: Path):
    exact, indexed = Recommender.load(checkpoint), Recommender.load(checkpoint, build(checkpoint))
    sessions = torch.randint(NUM_ITEMS, (50, 3)).tolist()
    found = [recommender.recommend_many(sessions, k=20, new_only=True) for recommender in (exact, indexed)]
    common = [len(set(one.items) & set(other.items)) / 20 for one, other in zip(*found, strict=True)]
    assert sum(common) / len(common) > 0.8  # random embeddings form no groups, the hardest case
    for one, other in zip(*found, strict=True):
        scores = dict(one)
        same = [(score, scores[item]) for item, score in other if item in scores]
        assert [pair[0] for pair in same] == pytest.approx([pair[1] for pair in same], rel=1e-4)
        assert other.scores == sorted(other.scores, reverse=True)
        assert len(other) == 20
        assert other.probabilities is None


def test_all_items_are_found_where_the_index_proposes_too_few(checkpoint: Path):
    exact, indexed = Recommender.load(checkpoint), Recommender.load(checkpoint, build(checkpoint))
    best = indexed.recommend([5, 7], k=NUM_ITEMS)
    assert best.items == exact.recommend([5, 7], k=NUM_ITEMS).items


def test_an_index_searches_a_part_of_the_items(checkpoint: Path):
    recommender = Recommender.load(checkpoint)
    index = ItemIndex.build(recommender.model, recommender.vocabulary)
    assert int((index.propose(torch.randn(1, 8), NUM_ITEMS) >= 0).sum()) < NUM_ITEMS / 2


def test_as_few_lists_are_searched_as_find_the_best_items(checkpoint: Path):
    recommender = Recommender.load(checkpoint)
    index = ItemIndex.build(recommender.model, recommender.vocabulary)
    sessions = Sessions.from_lists(torch.randint(NUM_ITEMS, (100, 3)).tolist())
    embeddings, best = (
        recommender.retrieval.session_embeddings(sessions),
        recommender.retrieval.best_items(sessions, 20),
    )
    index.tune(embeddings, best.items)
    assert index.recall(embeddings, best.items) >= 0.995
    assert index.lists.nprobe > 8  # the fewest
    index.lists.nprobe //= 2
    assert index.recall(embeddings, best.items) < 0.995
    index.tune(embeddings, torch.full_like(best.items, -2))  # finds none of them: all lists are searched
    assert index.lists.nprobe == index.lists.nlist


def test_an_index_of_another_checkpoint_is_refused(checkpoint: Path):
    path, saved = build(checkpoint), Checkpoint.load(checkpoint)
    ids = [*range(1, NUM_ITEMS), 0]
    Checkpoint(replace(saved.record, vocabulary=ids), saved.weights).save(checkpoint.with_name("ids.ckpt"))
    weights = saved.weights | {"item_embedding.weight": saved.weights["item_embedding.weight"] * 1.01}
    Checkpoint(saved.record, weights).save(checkpoint.with_name("weights.ckpt"))
    for other in ("ids.ckpt", "weights.ckpt"):
        with pytest.raises(UserError, match=r"items.index was built from another checkpoint: build a new one"):
            Recommender.load(checkpoint.with_name(other), path)


def test_other_files_and_models_give_one_sentence(checkpoint: Path):
    with pytest.raises(UserError, match=r"There is no index none.index: python src/export.py output=none.index"):
        Recommender.load(checkpoint, "none.index")
    with pytest.raises(UserError, match=r"model.ckpt is not an index of this project"):
        Recommender.load(checkpoint, checkpoint)
    with pytest.raises(UserError, match="are not products of a session with its items"):
        ItemIndex.build(TAGNNSettings(8).build(3), Vocabulary([1, 2, 3]))
