import logging
from pathlib import Path
from types import SimpleNamespace

import torch

from srgnn.training.callbacks import AfterEpoch, EpochLines, StopGracefully


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


def test_a_signal_after_the_last_step_is_known_once_the_training_has_ended():
    stop, watch = StopGracefully(Path("last.ckpt")), AfterEpoch(lambda history: None)
    trainer = SimpleNamespace(callbacks=[stop, watch])
    watch.on_train_end(trainer, None)
    assert not watch.is_stopped
    stop.asked = True
    watch.on_train_end(trainer, None)
    assert watch.is_stopped
