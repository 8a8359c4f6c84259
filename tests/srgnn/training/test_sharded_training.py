"""Runs whose item table is sharded over processes, against the same run in one process, and their checkpoints."""

import errno
import functools
import os
import pickle
import random
import resource
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from srgnn.data import SessionData, SyntheticLog
from srgnn.errors import UserError
from srgnn.nn import GCEGNNSettings, Sampling, SGNNHNSettings, SRGNNSettings, TAGNNSettings
from srgnn.recommender import Recommender
from srgnn.training import checkpoint_folder
from srgnn.training.checkpoint import Checkpoint
from srgnn.training.optimizer import OptimizerSettings
from srgnn.training.protocols import Result, train
from srgnn.training.run import Run
from srgnn.training.sharding import ShardedStrategy

LOG = SyntheticLog(sessions=300, items_per_category=5)


TEXTS = torch.randn(LOG.num_items, 6, generator=torch.Generator().manual_seed(0)).index_fill(0, torch.tensor([3]), 0)


def run(folder: Path, **options: Any) -> Run:
    trainer = {"accelerator": "cpu", "devices": 1, "enable_progress_bar": False, **options.pop("trainer", {})}
    settings = {"max_epochs": 2, "optimizer": OptimizerSettings(lr=0.01), "trainer": trainer, **options}
    return Run(folder, **{"model": SRGNNSettings(hidden_size=8, scale=5, dropout=0.2), **settings})


def train_together(folder: Path, count: int, copies: int = 1, **options: Any) -> Result:
    """One of `count` processes; each runs the same program."""
    strategy = functools.partial(ShardedStrategy, data_parallel_size=copies)
    resume = options.pop("resume", None)
    trainer = {"devices": count, "strategy": strategy, **options.pop("trainer", {})}
    return train(run(folder, trainer=trainer, **options), replace(LOG.load(), vectors=TEXTS), resume=resume)


def assert_near(one: Result, other: Result) -> None:
    assert one.chosen is not None
    assert other.chosen is not None
    assert other.chosen["epoch"] == one.chosen["epoch"]
    assert other.metrics == pytest.approx(one.metrics, abs=1e-9)
    ours, theirs = (Checkpoint.load(result.checkpoint).weights for result in (one, other))
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(theirs[name], ours[name], rtol=0, atol=1e-5, msg=name)


@pytest.mark.parametrize(
    ("loss", "count", "copies"),
    [
        *(("cross_entropy", count, copies) for count, copies in ((1, 1), (2, 1), (3, 1), (2, 2), (4, 2))),
        *(("sampled_softmax", count, 1) for count in (2, 3)),  # copies draw other negatives
    ],
)
def test_a_run_is_that_of_one_process(
    processes: Any, small: SessionData, tmp_path: Path, loss: str, count: int, copies: int
):
    options: dict[str, Any] = {"loss": loss, "sampling": Sampling(negatives=64)}
    if copies > 1:  # which draw other dropout
        options["model"] = SRGNNSettings(hidden_size=8, scale=5)
    alone = train(run(tmp_path / "alone", **options), small)
    together = functools.partial(train_together, tmp_path / "together", count, copies, **options)
    first, *others = processes(count, together)
    assert first.checkpoint.is_dir()
    assert_near(alone, first)
    assert first.test is not None
    assert alone.test is not None
    assert first.test.by_length.keys() == alone.test.by_length.keys()
    assert all(other.test is None and not other.metrics for other in others)


@pytest.mark.parametrize(("before", "after"), [(2, 3), (3, 2), (2, 1)])
def test_a_run_resumes_on_any_number_of_processes(
    processes: Any, small: SessionData, tmp_path: Path, before: int, after: int
):
    options = {"refit": False, "loss": "sampled_softmax", "sampling": Sampling(negatives=64)}
    whole = train(run(tmp_path / "whole", **options, max_epochs=3), small)
    processes(before, functools.partial(train_together, tmp_path / "killed", before, **options, max_epochs=2))
    last = tmp_path / "killed" / "last.ckpt"
    resumed = functools.partial(train_together, tmp_path / "killed", after, **options, max_epochs=3, resume=last)
    assert_near(whole, processes(after, resumed)[0])
    assert sorted(path.name for path in last.parent.iterdir() if path.is_dir()) == ["best.ckpt", "last.ckpt"]


@pytest.mark.parametrize(
    "options",
    [
        {"model": SRGNNSettings(hidden_size=8, propagation_steps=0, readout="average")},  # only the table has gradients
        {"trainer": {"accumulate_grad_batches": 2}},
        {"model": GCEGNNSettings(hidden_size=8)},  # looks up more items than the nodes, and counts buffers
        {"model": SGNNHNSettings(hidden_size=8), "loss": "sampled_softmax", "sampling": Sampling(negatives=64)},
    ],
)
def test_other_settings_train_as_in_one_process(
    processes: Any, small: SessionData, tmp_path: Path, options: dict[str, Any]
):
    alone = train(run(tmp_path / "alone", refit=False, **options), small)
    first, _ = processes(2, functools.partial(train_together, tmp_path / "together", 2, refit=False, **options))
    assert_near(alone, first)


@pytest.mark.parametrize(
    ("text", "loss", "count", "copies"),
    [
        ("added", "cross_entropy", 2, 1),
        ("added", "sampled_softmax", 3, 1),
        ("added", "cross_entropy", 4, 2),
        ("only", "cross_entropy", 2, 1),
        ("initial", "cross_entropy", 2, 1),
    ],
)
def test_texts_are_shared_out_with_the_table(
    processes: Any, small: SessionData, tmp_path: Path, text: str, loss: str, count: int, copies: int
):
    model = SRGNNSettings(hidden_size=8, scale=5, text=text)
    options: dict[str, Any] = {"model": model, "loss": loss, "sampling": Sampling(negatives=64)}
    options["text_first"] = int(text == "added")
    alone = train(run(tmp_path / "alone", **options), replace(small, vectors=TEXTS))
    first, *_ = processes(count, functools.partial(train_together, tmp_path / "together", count, copies, **options))
    assert_near(alone, first)


def test_the_table_of_a_model_that_needs_all_of_it_is_not_shared_out(processes: Any, tmp_path: Path):
    options = {"refit": False, "model": TAGNNSettings(hidden_size=8)}
    with pytest.raises(UserError, match=r"^TAGNN computes more .* choose another strategy= .* such as ddp\.$"):
        processes(2, functools.partial(train_together, tmp_path, 2, **options))


@pytest.fixture(scope="module")
def folder(processes: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a run on three processes."""
    path = tmp_path_factory.mktemp("run")
    result: Result = processes(3, functools.partial(train_together, path, 3, refit=False))[0]
    return result.checkpoint


def test_one_process_recommends_and_exports_from_the_folder(folder: Path, small: SessionData, tmp_path: Path):
    checkpoint = Checkpoint.load(folder)
    assert checkpoint.weights["item_embedding.weight"].shape == (small.num_items, 8)
    checkpoint.save(tmp_path / "plain.ckpt")
    session = small.vocabulary.ids[:3]
    one, other = (Recommender.load(path).recommend(session, 5) for path in (folder, tmp_path / "plain.ckpt"))
    assert one == other
    assert Checkpoint.load(tmp_path / "plain.ckpt").record == checkpoint.record


def test_a_training_in_one_process_or_several_begins_with_the_folder(
    folder: Path, processes: Any, small: SessionData, tmp_path: Path
):
    still = OptimizerSettings(lr=1e-12)  # so that the weights at the end are those at the beginning
    options: dict[str, Any] = {"optimizer": still, "init_from": folder, "refit": False, "max_epochs": 1}
    alone = train(run(tmp_path / "alone", **options), small)
    together: Result = processes(2, functools.partial(train_together, tmp_path / "together", 2, **options))[0]
    for result in (alone, together):
        torch.testing.assert_close(Checkpoint.load(result.checkpoint).weights, Checkpoint.load(folder).weights)


def test_a_run_continues_in_the_way_that_it_began(folder: Path, processes: Any, small: SessionData, tmp_path: Path):
    with pytest.raises(UserError, match=r"sharded over processes, and continues in that way alone"):
        train(run(tmp_path, refit=False, max_epochs=3), small, resume=folder)
    train(run(tmp_path / "plain", refit=False), small)
    resumed = functools.partial(train_together, tmp_path / "plain", 2, resume=tmp_path / "plain" / "last.ckpt")
    with pytest.raises(UserError, match=r"without sharding its table, and continues without"):
        processes(2, functools.partial(resumed, refit=False, max_epochs=3))


def test_damage_anywhere_is_noticed_or_changes_nothing(folder: Path):
    first, rng, num_refused = Checkpoint.load(folder), random.Random(0), 0
    files = sorted(folder.iterdir())
    for number in range(60):
        file = files[number % len(files)]
        content = file.read_bytes()
        damaged, place = bytearray(content), rng.randrange(len(content))
        damaged[place] ^= 1 << rng.randrange(8)
        try:
            file.write_bytes(damaged)
            second = Checkpoint.load(folder)
            assert second.record == first.record
            assert all(second.weights[name].equal(weight) for name, weight in first.weights.items())
        except UserError:
            num_refused += 1
        finally:
            file.write_bytes(content)
    assert num_refused > 50


@pytest.mark.parametrize("name", ["meta.pt", ".metadata", "__1_0.distcp"])
def test_a_missing_file_is_one_sentence(folder: Path, name: str):
    hidden = folder.parent / name
    (folder / name).rename(hidden)
    try:
        with pytest.raises(UserError, match=r"There is no checkpoint|is damaged"):
            Checkpoint.load(folder)
    finally:
        hidden.rename(folder / name)


def test_no_code_of_the_index_is_run(folder: Path, tmp_path: Path):
    class Command:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "ran"),)

    index = folder / checkpoint_folder.INDEX
    content = index.read_bytes()
    try:
        index.write_bytes(pickle.dumps(Command()))
        with pytest.raises(pickle.UnpicklingError, match="mkdir does not belong in a checkpoint"):
            checkpoint_folder.read_index(folder)
        with pytest.raises(UserError, match="damaged"):
            Checkpoint.load(folder)
    finally:
        index.write_bytes(content)
    assert not (tmp_path / "ran").exists()


def on_a_full_disk(folder: Path, rank: int) -> tuple[str, list[str]]:
    """A process that may not write files larger than 20 kB, beside one that may."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        if dist.get_rank() == rank:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
        train_together(folder, 2, refit=False, max_epochs=1, model=SRGNNSettings(hidden_size=100))
    except UserError as error:
        return str(error), sorted(path.name for path in folder.iterdir() if path.suffix == ".ckpt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    return "", []


@pytest.mark.parametrize("rank", [0, 1])
def test_a_full_disk_of_one_process_ends_all_with_the_reason(processes: Any, tmp_path: Path, rank: int):
    for sentence, left in processes(2, on_a_full_disk, tmp_path, rank):
        assert sentence.startswith(f"Cannot write the checkpoint {tmp_path}/")
        assert os.strerror(errno.EFBIG) in sentence
        assert not left
