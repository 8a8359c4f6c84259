import os
import signal
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback

import srgnn.protocols
from srgnn.data import SessionData, Sessions, Vocabulary
from srgnn.errors import OptionError, UserError
from srgnn.protocols import Interrupted, Run, StreamedCheckpoints, compare
from srgnn.recommender import load_checkpoint

TRAINER = {"accelerator": "cpu", "devices": 1, "enable_progress_bar": True}


def run(folder: Path, **options) -> Run:
    settings = {"max_epochs": 3, "refit": True, "optimizer": {"lr": 0.01}, "trainer": TRAINER, **options}
    return Run(model={"hidden_size": 8}, folder=folder, **settings)


def weights(checkpoint: str | Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(checkpoint)["state_dict"]


def assert_same(one: dict, other: dict) -> None:
    assert one["metrics"] == other["metrics"]
    ours, theirs = weights(one["checkpoint"]), weights(other["checkpoint"])
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@contextmanager
def stop_at(stage: str, step: int, number: int):
    """Sends this process a signal in that training, after that step."""

    class Sender(Callback):
        def on_train_batch_end(self, trainer, pl_module, *args):
            if pl_module.about["stage"] == stage and trainer.global_step == step:
                os.kill(os.getpid(), number)

    make = srgnn.protocols._Stage._trainer
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            srgnn.protocols._Stage, "_trainer", lambda self, callbacks, *args: make(self, [Sender(), *callbacks], *args)
        )
        yield


def test_the_same_seed_gives_the_same_run(small: SessionData, tmp_path: Path):
    first, second = run(tmp_path / "1").start(small), run(tmp_path / "2").start(small)
    assert_same(first, second)
    other = run(tmp_path / "3", seed=1).start(small)
    assert other["metrics"] != first["metrics"]


@pytest.mark.parametrize(
    ("protocol", "stage", "step", "number"),
    [
        ("validated", "select", 4, signal.SIGINT),  # in the first epoch, whose nine steps are done
        ("validated", "select", 18, signal.SIGTERM),  # after the last step of an epoch
        ("validated", "refit", 5, signal.SIGTERM),
        ("paper", "paper", 13, signal.SIGINT),
    ],
)
def test_a_stopped_run_goes_on_as_if_it_had_not_been(
    small: SessionData, tmp_path: Path, protocol: str, stage: str, step: int, number: int
):
    whole = run(tmp_path / "whole", protocol=protocol).start(small)
    before = signal.getsignal(signal.SIGINT)
    with stop_at(stage, step, number), pytest.raises(Interrupted) as stopped:
        run(tmp_path / "stopped", protocol=protocol).start(small)
    assert signal.getsignal(signal.SIGINT) is before
    resumed = run(tmp_path / "stopped", protocol=protocol).start(small, resume=stopped.value.checkpoint)
    assert_same(whole, resumed)
    assert {key: whole[key] for key in ("chosen", "epochs") if key in whole} == {
        key: resumed[key] for key in ("chosen", "epochs") if key in resumed
    }


def test_dropout_and_negatives_go_on_as_if_the_run_had_not_been_stopped(small: SessionData, tmp_path: Path):
    def drawn(folder: Path) -> Run:
        options = {"loss": "sampled_softmax", "sampling": {"negatives": 50}, "protocol": "paper", "order": "time"}
        return replace(run(folder, **options), model={"hidden_size": 8, "dropout": 0.2, "scale": 5})

    whole = drawn(tmp_path / "whole").start(small)
    with stop_at("paper", 13, signal.SIGINT), pytest.raises(Interrupted) as stopped:
        drawn(tmp_path / "stopped").start(small)
    assert_same(whole, drawn(tmp_path / "stopped").start(small, resume=stopped.value.checkpoint))


def test_a_checkpoint_is_written_whole_or_not_at_all(tmp_path: Path):
    path = tmp_path / "new" / "last.ckpt"
    StreamedCheckpoints().save_checkpoint({"a": 1}, path)
    assert torch.load(path, weights_only=True) == {"a": 1}
    with pytest.raises(AttributeError):
        StreamedCheckpoints().save_checkpoint({"a": lambda: 0}, path)
    assert torch.load(path, weights_only=True) == {"a": 1}


def test_a_run_killed_between_epochs_goes_on_from_its_last_checkpoint(small: SessionData, tmp_path: Path):
    whole = run(tmp_path / "whole", refit=False, max_epochs=3).start(small)
    run(tmp_path / "killed", refit=False, max_epochs=2).start(small)  # leaves what a kill after epoch 2 leaves
    resumed = run(tmp_path / "killed", refit=False, max_epochs=3).start(small, resume=tmp_path / "killed" / "last.ckpt")
    assert_same(whole, resumed)


def test_a_finished_stage_is_not_trained_again(small: SessionData, tmp_path: Path):
    whole = run(tmp_path, max_epochs=8, patience=1, optimizer={"lr": 1.0}, refit=False).start(small)
    again = run(tmp_path, max_epochs=8, patience=1, optimizer={"lr": 1.0}, refit=False)
    before = (tmp_path / "last.ckpt").stat().st_mtime_ns
    assert_same(whole, again.start(small, resume=tmp_path / "last.ckpt"))
    assert (tmp_path / "last.ckpt").stat().st_mtime_ns == before


def test_validation_never_touches_test(small: SessionData, tmp_path: Path):
    other_test = SessionData(small.train, Sessions.from_lists([[0, 1]]), small.vocabulary, small.manifest)
    one, other = run(tmp_path / "1").start(small), run(tmp_path / "2").start(other_test)
    assert one["chosen"] == other["chosen"]
    assert torch.equal(*(weights(r["checkpoint"])["model.item_embedding.weight"] for r in (one, other)))


def test_paper_takes_the_best_test_epoch_of_each_metric(small: SessionData, tmp_path: Path):
    result = run(tmp_path, protocol="paper").start(small)
    history = load_checkpoint(tmp_path / "last.ckpt")["srgnn"]["history"]
    assert [epoch["epoch"] for epoch in history] == [1, 2, 3]
    for name, value in result["metrics"].items():
        assert value == max(epoch[name] for epoch in history)
        assert history[result["epochs"][name] - 1][name] == value


def test_refit_trains_on_all_sessions_for_the_chosen_epochs(small: SessionData, tmp_path: Path):
    result = run(tmp_path).start(small)
    saved = torch.load(result["checkpoint"], weights_only=True)
    assert saved["epoch"] + 1 == result["chosen"]["epoch"]
    assert saved["global_step"] == result["chosen"]["epoch"] * -(-small.train.num_prefixes // 100)


def test_a_checkpoint_speaks_for_itself(small: SessionData, tmp_path: Path):
    result = run(tmp_path, config={"seed": 0}).start(small)
    about = torch.load(result["checkpoint"], weights_only=True)["srgnn"]
    assert about["model"] == {"num_items": small.num_items, "hidden_size": 8}
    assert about["vocabulary"] == small.vocabulary.ids
    assert about["data"] == small.manifest
    assert about["config"] == {"seed": 0}
    assert {"python", "torch", "lightning", "torch-geometric"} <= about["versions"].keys()


def test_a_loss_that_is_not_finite_stops_the_run(small: SessionData, tmp_path: Path):
    with pytest.raises(UserError, match=r"became nan at step \d.* learning rate 1e\+30: try .*optimizer\.lr="):
        run(tmp_path, optimizer={"lr": 1e30}).start(small)


def test_a_checkpoint_of_other_data_or_protocol_is_refused(small: SessionData, tmp_path: Path):
    run(tmp_path, refit=False).start(small)
    renamed = Vocabulary([f"x{i}" for i in range(small.num_items)])
    other = SessionData(small.train, small.test, renamed, small.manifest)
    with pytest.raises(UserError, match="other data"):
        run(tmp_path).start(other, resume=tmp_path / "last.ckpt")
    with pytest.raises(UserError, match="of stage select, not of paper"):
        run(tmp_path, protocol="paper").start(small, resume=tmp_path / "last.ckpt")


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"protocol": "x"}, "protocol"),
        ({"max_epochs": 0}, "max_epochs"),
        ({"refit": "maybe"}, "refit"),
        ({"k": [101]}, "k"),
        ({"k": []}, "k"),
        ({"loss": "x"}, "loss"),
        ({"order": "x"}, "order"),
        ({"sampling": {"negatives": 0}}, "sampling.negatives"),
        ({"optimizer": {"lr": "fast"}}, r"optimizer\.lr"),
    ],
)
def test_wrong_options_are_named_before_anything_is_made(tmp_path: Path, options: dict, name: str):
    with pytest.raises(OptionError, match=f"^{name}="):
        run(tmp_path, **options).check(100)
    assert list(tmp_path.iterdir()) == []


def test_models_are_compared_with_the_baselines(small: SessionData):
    table = compare({"nothing": lambda batch: torch.zeros(batch.num_graphs, small.num_items)}, small, [5])
    assert list(table) == ["nothing", "Popularity", "Last-item successor"]
    assert table["nothing"]["recall@5"] == 0
    assert table["Last-item successor"]["recall@5"] > table["Popularity"]["recall@5"] > 0
