import gc
import os
import signal
import weakref
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback, Trainer

import srgnn.training.run
from srgnn.baselines import MarkovSettings
from srgnn.data import SessionData, Sessions, Vocabulary
from srgnn.errors import ArgumentError, UserError
from srgnn.nn import SRGNN, SampledSoftmax, Sampling, SRGNNSettings
from srgnn.training.callbacks import Interrupted
from srgnn.training.checkpoint import Checkpoint, CheckpointRecord, load_record
from srgnn.training.optimizer import OptimizerSettings
from srgnn.training.protocols import Result, best_of, select, train
from srgnn.training.run import Run, fit

TRAINER = {"accelerator": "cpu", "devices": 1, "enable_progress_bar": True}


def run(folder: Path, **options) -> Run:
    settings = {"max_epochs": 3, "refit": True, "optimizer": OptimizerSettings(lr=0.01), "trainer": TRAINER, **options}
    return Run(folder, **{"model": SRGNNSettings(hidden_size=8), **settings})


def weights(checkpoint: str | Path) -> dict[str, torch.Tensor]:
    return Checkpoint.load(checkpoint).weights


def assert_same(one: Result, other: Result) -> None:
    assert (one.metrics, one.chosen, one.epochs) == (other.metrics, other.chosen, other.epochs)
    ours, theirs = weights(one.checkpoint), weights(other.checkpoint)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def stop_at(stage: str, step: int, number: int):
    """Sends this process a signal after the given step of the given stage."""
    return stopped_when(lambda trainer, record, batch: record.stage == stage and trainer.global_step == step, number)


@contextmanager
def stopped_when(is_time: Callable[[Trainer, CheckpointRecord, int], bool], number: int):
    """Sends this process a signal after the batches for which a function of trainer, record and batch says so."""

    class Sender(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if is_time(trainer, pl_module.record, batch_idx):
                os.kill(os.getpid(), number)

    build = srgnn.training.run.build_trainer
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "srgnn.training.run.build_trainer",
            lambda arguments, callbacks, *others: build(arguments, [Sender(), *callbacks], *others),
        )
        yield


def test_the_same_seed_gives_the_same_run(small: SessionData, tmp_path: Path):
    first, second = train(run(tmp_path / "1"), small), train(run(tmp_path / "2"), small)
    assert_same(first, second)
    other = train(run(tmp_path / "3", seed=1), small)
    assert other.metrics != first.metrics


@pytest.mark.parametrize(
    ("protocol", "stage", "step", "number"),
    [
        ("validated", "select", 4, signal.SIGINT),  # in the first epoch, whose nine steps are done
        ("validated", "select", 18, signal.SIGTERM),  # after the last step of an epoch
        ("validated", "refit", 5, signal.SIGTERM),
        ("paper", "paper", 13, signal.SIGINT),
    ],
)
def test_a_stopped_run_resumes_as_if_it_had_not_been_stopped(
    small: SessionData, tmp_path: Path, protocol: str, stage: str, step: int, number: int
):
    whole = train(run(tmp_path / "whole", protocol=protocol), small)
    before = signal.getsignal(signal.SIGINT)
    with stop_at(stage, step, number), pytest.raises(Interrupted) as stopped:
        train(run(tmp_path / "stopped", protocol=protocol), small)
    assert signal.getsignal(signal.SIGINT) is before
    resumed = train(run(tmp_path / "stopped", protocol=protocol), small, resume=stopped.value.checkpoint)
    assert_same(whole, resumed)


@pytest.mark.parametrize(("protocol", "stage"), [("validated", "select"), ("validated", "refit"), ("paper", "paper")])
def test_a_signal_after_the_last_step_stops_the_run_before_what_follows(
    small: SessionData, tmp_path: Path, protocol: str, stage: str
):
    def after_last_step(trainer: Trainer, record: CheckpointRecord, batch: int) -> bool:
        return record.stage == stage and trainer.current_epoch == trainer.max_epochs - 1 and trainer.is_last_batch

    options = {"protocol": protocol, "max_epochs": 2}
    whole = train(run(tmp_path / "whole", **options), small)
    with stopped_when(after_last_step, signal.SIGTERM), pytest.raises(Interrupted) as stopped:
        train(run(tmp_path / "stopped", **options), small)
    assert load_record(stopped.value.checkpoint).stage == stage
    assert_same(whole, train(run(tmp_path / "stopped", **options), small, resume=stopped.value.checkpoint))


def test_a_step_of_several_batches_draws_anew_for_each_and_resumes_whole(small: SessionData, tmp_path: Path):
    options = {
        **{"loss": "sampled_softmax", "sampling": Sampling(negatives=50), "protocol": "paper", "max_epochs": 2},
        "trainer": TRAINER | {"accumulate_grad_batches": 3},
    }
    drawn: list[list[int]] = []
    draw = SampledSoftmax.draw

    def noted(self: SampledSoftmax) -> torch.Tensor:
        drawn.append((items := draw(self)).tolist())
        return items

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SampledSoftmax, "draw", noted)
        whole = train(run(tmp_path / "whole", **options), small)
    assert len({tuple(items) for items in drawn}) == len(drawn)
    with stopped_when(lambda trainer, record, batch: batch == 3, signal.SIGINT), pytest.raises(Interrupted) as stopped:
        train(run(tmp_path / "stopped", **options), small)
    assert_same(whole, train(run(tmp_path / "stopped", **options), small, resume=stopped.value.checkpoint))


def test_the_first_of_epochs_that_are_equal_in_float32_is_chosen_as_it_is_kept(tmp_path: Path):
    history = [{"epoch": 1, "mrr@20": 0.3306227106227106}, {"epoch": 2, "mrr@20": 0.33062271062271065}]
    assert best_of(run(tmp_path), history)["epoch"] == 1


def test_clipped_gradients_of_a_sample_train(small: SessionData, tmp_path: Path):
    options = {"loss": "sampled_softmax", "sampling": Sampling(negatives=50), "max_epochs": 1, "refit": False}
    for algorithm in ("norm", "value"):
        trainer = TRAINER | {"gradient_clip_val": 1e-9, "gradient_clip_algorithm": algorithm}
        assert train(run(tmp_path / algorithm, **options, trainer=trainer), small).metrics


def test_dropout_and_negatives_resume_as_if_the_run_had_not_been_stopped(small: SessionData, tmp_path: Path):
    def drawn(folder: Path) -> Run:
        options = {"loss": "sampled_softmax", "sampling": Sampling(negatives=50), "protocol": "paper", "order": "time"}
        return replace(run(folder, **options), model=SRGNNSettings(hidden_size=8, dropout=0.2, scale=5))

    whole = train(drawn(tmp_path / "whole"), small)
    with stop_at("paper", 13, signal.SIGINT), pytest.raises(Interrupted) as stopped:
        train(drawn(tmp_path / "stopped"), small)
    assert_same(whole, train(drawn(tmp_path / "stopped"), small, resume=stopped.value.checkpoint))


def test_a_run_killed_between_epochs_resumes_from_its_last_checkpoint(small: SessionData, tmp_path: Path):
    whole = train(run(tmp_path / "whole", refit=False, max_epochs=3), small)
    train(run(tmp_path / "killed", refit=False, max_epochs=2), small)  # leaves what a kill after epoch 2 leaves
    resumed = train(
        run(tmp_path / "killed", refit=False, max_epochs=3), small, resume=tmp_path / "killed" / "last.ckpt"
    )
    assert_same(whole, resumed)


def test_a_finished_stage_is_not_trained_again(small: SessionData, tmp_path: Path):
    whole = train(run(tmp_path, max_epochs=8, patience=1, optimizer=OptimizerSettings(lr=1.0), refit=False), small)
    again = run(tmp_path, max_epochs=8, patience=1, optimizer=OptimizerSettings(lr=1.0), refit=False)
    before = (tmp_path / "last.ckpt").stat().st_mtime_ns
    assert_same(whole, train(again, small, resume=tmp_path / "last.ckpt"))
    assert (tmp_path / "last.ckpt").stat().st_mtime_ns == before


def test_selection_trains_and_validates_alone(small: SessionData, tmp_path: Path):
    validated = train(run(tmp_path / "whole"), small)
    without_test = SessionData(small.train, Sessions.from_lists([]), small.vocabulary, small.manifest)
    history = select(run(tmp_path / "selection"), without_test)
    assert best_of(run(tmp_path), history) == validated.chosen


def test_a_model_without_weights_counts_once_and_has_no_epochs(small: SessionData, tmp_path: Path):
    counting = run(tmp_path, model=MarkovSettings())
    assert train(counting, small).checkpoint.name == "counted.ckpt"
    with pytest.raises(UserError, match=r"^Markov chain has no epochs to choose from: choose a model with weights\.$"):
        select(counting, small)
    with pytest.raises(UserError, match=r"^Markov chain has no epochs to resume"):
        train(counting, small, resume=tmp_path / "counted.ckpt")


def test_validation_never_uses_the_test_set(small: SessionData, tmp_path: Path):
    other_test = SessionData(small.train, Sessions.from_lists([[0, 1]]), small.vocabulary, small.manifest)
    one, other = train(run(tmp_path / "1"), small), train(run(tmp_path / "2"), other_test)
    assert one.chosen == other.chosen
    assert torch.equal(*(weights(result.checkpoint)["item_embedding.weight"] for result in (one, other)))


def test_paper_takes_the_best_test_epoch_of_each_metric(small: SessionData, tmp_path: Path):
    result = train(run(tmp_path, protocol="paper"), small)
    history = Checkpoint.load(tmp_path / "last.ckpt").record.history
    assert [epoch["epoch"] for epoch in history] == [1, 2, 3]
    for name, epoch in result.epochs.items():
        assert result.metrics[name] == max(each[name] for each in history)
        assert history[epoch - 1][name] == result.metrics[name]
    assert result.test.metrics["mrr@20"] == result.metrics["mrr@20"]  # the checkpoint is that of the best mrr


def test_fewer_epochs_than_are_done_are_refused(small: SessionData, tmp_path: Path):
    train(run(tmp_path, max_epochs=2, refit=False), small)
    with pytest.raises(UserError, match=r"max_epochs=1: expected at least the 2 epochs that are done"):
        train(run(tmp_path, max_epochs=1, refit=False), small, resume=tmp_path / "last.ckpt")


def test_refit_trains_on_all_sessions_for_the_chosen_epochs(small: SessionData, tmp_path: Path):
    result = train(run(tmp_path), small)
    saved = torch.load(result.checkpoint, weights_only=True)
    assert saved["epoch"] + 1 == result.chosen["epoch"]
    assert saved["global_step"] == result.chosen["epoch"] * -(-small.train.num_prefixes // 100)


@pytest.mark.parametrize("fails", [False, True])
def test_the_memory_of_a_training_is_free_after_it(small: SessionData, tmp_path: Path, fails: bool):
    built, build = [], SRGNNSettings.build

    def remembered(settings: SRGNNSettings, num_items: int) -> SRGNN:
        model = build(settings, num_items)
        built.append(weakref.ref(model.item_embedding.weight))
        return model

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SRGNNSettings, "build", remembered)
        if fails:
            with pytest.raises(UserError, match="The loss became nan"):
                train(run(tmp_path, optimizer=OptimizerSettings(lr=1e30)), small)
        else:
            train(run(tmp_path), small)
    gc.collect()
    assert len(built) == (1 if fails else 3)  # select, refit and test
    assert not any(reference() is not None for reference in built)


def test_a_checkpoint_describes_itself(small: SessionData, tmp_path: Path):
    result = train(run(tmp_path, config={"seed": 0}), small)
    record = Checkpoint.load(result.checkpoint).record
    assert record.model == {"num_items": small.num_items, **asdict(SRGNNSettings(hidden_size=8))}
    assert record.vocabulary == small.vocabulary.ids
    assert record.data == small.manifest
    assert record.config == {"seed": 0}
    assert {"python", "torch", "lightning", "torch-geometric"} <= record.versions.keys()


def test_a_loss_that_is_not_finite_stops_the_run(small: SessionData, tmp_path: Path):
    with pytest.raises(UserError, match=r"became nan at step \d.* learning rate 1e\+30: try .*lr=1e\+29"):
        train(run(tmp_path, optimizer=OptimizerSettings(lr=1e30)), small)


def test_weights_after_the_last_step_are_checked_too(small: SessionData, tmp_path: Path):
    one_step = run(tmp_path, optimizer=OptimizerSettings(lr=1e30), batch_size=10**6, max_epochs=1)
    with pytest.raises(UserError, match="scores that are not finite"):  # by the validation
        train(one_step, small)
    infinite = replace(one_step, optimizer=OptimizerSettings(lr=1e39))
    with pytest.raises(UserError, match="A weight is no longer a finite number after step 1"):
        fit(infinite, infinite.record(small, "refit"), small.train, None, 1)
    assert not list(tmp_path.rglob("*.ckpt"))


def test_a_checkpoint_from_other_data_or_another_protocol_is_refused(small: SessionData, tmp_path: Path):
    train(run(tmp_path, refit=False), small)
    renamed = Vocabulary([f"x{i}" for i in range(small.num_items)])
    other = SessionData(small.train, small.test, renamed, small.manifest)
    with pytest.raises(UserError, match="other data"):
        train(run(tmp_path), other, resume=tmp_path / "last.ckpt")
    with pytest.raises(UserError, match="from stage select, not paper"):
        train(run(tmp_path, protocol="paper"), small, resume=tmp_path / "last.ckpt")


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"protocol": "x"}, "protocol"),
        ({"max_epochs": 0}, "max_epochs"),
        ({"refit": "maybe"}, "refit"),
        ({"k": []}, "k"),
        ({"loss": "x"}, "loss"),
        ({"order": "x"}, "order"),
        ({"optimizer": 0.1}, "optimizer"),
        ({"trainer": {"accelerator": "abacus"}}, "accelerator"),
    ],
)
def test_wrong_options_are_reported_before_anything_is_written(tmp_path: Path, options: dict, name: str):
    with pytest.raises(ArgumentError, match=f"^{name}="):
        run(tmp_path, **options)
    assert list(tmp_path.iterdir()) == []


def test_cut_offs_are_checked_once_the_number_of_items_is_known(small: SessionData, tmp_path: Path):
    with pytest.raises(UserError, match=r"^k=101: the data has only 100 items, .* such as k=\[5\]\."):
        run(tmp_path, k=[101]).check_cutoffs(100)
    with pytest.raises(UserError, match=f"^k={small.num_items + 1}: "):
        train(run(tmp_path, k=[small.num_items + 1]), small)
    assert list(tmp_path.iterdir()) == []
