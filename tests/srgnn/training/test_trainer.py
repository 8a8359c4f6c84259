from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from srgnn.data import SyntheticLog
from srgnn.errors import ArgumentError, UserError
from srgnn.nn import GCEGNNSettings
from srgnn.training.protocols import select
from srgnn.training.run import Run
from srgnn.training.trainer import build_trainer, check_trainer, evaluation_device, num_processes, warn_of_float32


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"accelerator": "cpu", "devices": 2, "strategy": "ddp", "precision": "bf16-mixed"},
        {"accelerator": "auto", "devices": "auto", "gradient_clip_val": 1.0},
    ],
)
def test_arguments_that_fit_this_machine_are_accepted(arguments: dict, tmp_path: Path):
    check_trainer(arguments)
    assert build_trainer(arguments, [], 1, None, tmp_path).max_epochs == 1


def test_several_processes_send_no_buffers_in_a_step_by_either_name_of_their_strategy(tmp_path: Path):
    for name in ("ddp", "auto"):
        strategy = build_trainer({"accelerator": "cpu", "devices": 2, "strategy": name}, [], 1, None, tmp_path).strategy
        assert strategy._ddp_kwargs["broadcast_buffers"] is False


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"accelerator": "mps"}, "accelerator=mps: expected an accelerator of this machine, one of cpu"),
        ({"accelerator": "abacus"}, "accelerator=abacus: expected an accelerator of this machine, one of "),
        ({"accelerator": "cpu", "devices": 0}, "devices=0: expected an integer of at least 1"),
        ({"strategy": "magic"}, "strategy=magic: expected one of ddp, "),
        ({"val_check_interval": 0.5}, "val_check_interval=0.5: expected an argument of Lightning's Trainer"),
        ({"limit_train_batches": 0}, "limit_train_batches=0: expected a number greater than 0"),
        ({"precision": 8}, "precision=8: expected one of 32-true, "),
        ({"max_epochs": 3}, "max_epochs=3: expected an argument of Lightning's Trainer, one of accelerator, "),
        ({"gradient_clip": 3}, "gradient_clip=3: expected an argument of Lightning's Trainer"),
    ],
)
def test_arguments_that_do_not_fit_it_are_reported(arguments: dict, sentence: str):
    with pytest.raises(ArgumentError) as error:
        check_trainer(arguments)
    assert str(error.value).startswith(sentence)


@pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_available(), reason="there is a GPU here")
def test_a_missing_gpu_is_reported():
    with pytest.raises(ArgumentError, match=r"accelerator=gpu: expected an accelerator of this machine, one of cpu"):
        check_trainer({"accelerator": "gpu"})
    assert evaluation_device({"accelerator": "auto"}).type == "cpu"


def test_a_cpu_without_bfloat16_trains_in_float32_and_says_so(tmp_path: Path, monkeypatch, caplog):
    arguments = {"accelerator": "cpu", "devices": 1, "precision": "bf16-mixed"}
    warn_of_float32.cache_clear()  # an earlier test may have been warned on such a CPU
    for is_able, precision in ((True, "bf16-mixed"), (False, "32-true")):
        monkeypatch.setattr("srgnn.training.trainer.has_bfloat16", lambda is_able=is_able: is_able)
        assert build_trainer(arguments, [], 1, None, tmp_path).precision == precision
    assert "this CPU has no instructions for bfloat16" in caplog.text


def test_a_refusal_by_lightning_gives_one_sentence(tmp_path: Path):
    with pytest.raises(UserError, match=r"^Lightning refuses these arguments of its Trainer: .*gradient"):
        build_trainer({"gradient_clip_algorithm": "magic"}, [], 1, None, tmp_path)


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        ({"accelerator": "cpu", "devices": 3}, 3),
        ({"accelerator": "cpu", "devices": [0, 1]}, 2),
        ({"accelerator": "cpu", "devices": "auto"}, 1),
        ({"accelerator": "cpu", "devices": 2, "num_nodes": 2}, 4),
    ],
)
def test_processes_are_counted(arguments: dict, count: int):
    assert num_processes(arguments) == count


class Buffers(Callback):
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.are_sent = trainer.strategy.model.broadcast_buffers
        self.content = {name: buffer.clone() for name, buffer in pl_module.named_buffers()}


def buffers_of_a_training(folder: Path) -> tuple[bool, dict[str, torch.Tensor]]:
    buffers = Buffers()
    trainer = {"accelerator": "cpu", "devices": 2, "strategy": "ddp", "enable_progress_bar": False}
    run = Run(folder, GCEGNNSettings(hidden_size=8), loss="sampled_softmax", max_epochs=1, trainer=trainer)
    select(run, SyntheticLog(sessions=300, items_per_category=5).load(), callbacks=[buffers])
    return buffers.are_sent, buffers.content


def test_processes_count_the_same_buffers_and_send_none_in_a_step(processes: Any, tmp_path: Path):
    (first_sends, first), (second_sends, second) = processes(2, buffers_of_a_training, tmp_path)
    assert not first_sends
    assert not second_sends
    assert (
        first.keys() == second.keys() == {"model.graph.neighbor", "model.graph.weight", "loss.cumulative", "loss.log_q"}
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
