import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from srgnn.training.callbacks import AfterEpoch, EpochLines, Interrupted, StopGracefully


def test_an_epoch_is_one_line_of_the_log(caplog):
    caplog.set_level(logging.INFO, "srgnn")
    metrics = {
        "loss_epoch": 1.5,
        "valid/recall@20": 0.5,
        "valid/mrr@20": 0.25,
        "valid/mrr@5": 0.2,
        "valid/ndcg@20": 0.3,
    }
    trainer = SimpleNamespace(
        callback_metrics={name: torch.tensor(value) for name, value in metrics.items()},
        current_epoch=1,
    )
    lines = EpochLines(max_epochs=10)
    lines.on_train_epoch_start(trainer, None)
    lines.on_train_epoch_end(trainer, None)
    expected = "Epoch  2 of 10  loss 1.5000  valid/recall@20 50.00 %  valid/mrr@20 25.00 %  "
    assert [message.startswith(expected) for message in caplog.messages] == [True]


def test_a_signal_is_known_though_the_metrics_of_its_epoch_end_the_training():
    def end(history: object) -> None:
        raise ValueError("ended")

    stop, watch = StopGracefully(Path("last.ckpt")), AfterEpoch(end)
    trainer, module = SimpleNamespace(callbacks=[stop, watch]), SimpleNamespace(history=[])
    for asked in (False, True):
        stop.asked = asked
        with pytest.raises(ValueError, match="ended"):
            watch.on_train_epoch_end(trainer, module)
        assert watch.is_stopped == asked


def test_a_step_of_several_batches_is_ended_whole(tmp_path: Path):
    stop, saved = StopGracefully(tmp_path / "last.ckpt"), []
    trainer = SimpleNamespace(
        world_size=1, accumulate_grad_batches=3, is_last_batch=False, current_epoch=0, global_step=1
    )
    trainer.save_checkpoint = saved.append
    stop.asked = True
    for batch in (0, 1):
        stop.on_train_batch_end(trainer, None, None, None, batch)
    with pytest.raises(Interrupted):
        stop.on_train_batch_end(trainer, None, None, None, 2)
    assert saved == [tmp_path / "last.ckpt"]


def test_the_line_of_an_epoch_shows_the_metrics_that_choose_it(caplog):
    caplog.set_level(logging.INFO, "srgnn")
    metrics = {"loss_epoch": torch.tensor(1.5), "valid/mrr@5": torch.tensor(0.2), "valid/mrr@10": torch.tensor(0.25)}
    lines = EpochLines(max_epochs=2, k=10)
    lines.on_train_epoch_start(None, None)
    lines.on_train_epoch_end(SimpleNamespace(callback_metrics=metrics, current_epoch=0), None)
    assert caplog.messages[0].startswith("Epoch  1 of 2  loss 1.5000  valid/mrr@10 25.00 %  ")
