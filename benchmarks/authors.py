"""The authors' PyTorch code, from a checkout of CRIPAC-DIG/SR-GNN, on the same prefixes."""

import contextlib
import importlib.util
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from timing import Setting, Trained
from torch import Tensor

from srgnn.data import SessionData, Sessions
from srgnn.memory import peak_memory


class AuthorsCode(Trained):
    """Their training step in a process of its own, with its own memory and the allocator's default settings."""

    def __init__(self, path: Path, setting: Setting, data: SessionData):
        super().__init__("the authors' code", lambda prefixes, lap: None)
        context = torch.multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        arguments = (other, path, setting, data.train, data.num_items)
        self.process = context.Process(target=serve, args=arguments, daemon=True)
        self.process.start()

    def time(self, batches: list[Tensor], synchronize: Callable[[], None]) -> None:
        self.pipe.send(batches)
        measured, self.memory = self.pipe.recv()
        self.rounds.append(measured)


def serve(pipe: "Connection[Any, Any]", path: Path, setting: Setting, train: Sessions, num_items: int) -> None:
    """Times the batches that arrive through the pipe, until it is closed."""
    warnings.filterwarnings("ignore", message="Creating a tensor from a list of numpy.ndarrays")
    variant = load(path, setting, train, num_items)
    with contextlib.suppress(EOFError):  # the other process has ended
        while True:
            variant.time(pipe.recv(), lambda: None)
            pipe.send((variant.rounds[-1], peak_memory()))


def load(path: Path, setting: Setting, train: Sessions, num_items: int) -> Trained:
    """Their model and data, with the step split at the same places as this project's."""
    utils, code = (_module(path / "pytorch_code" / f"{name}.py") for name in ("utils", "model"))
    sessions = [train[s].tolist() for s in range(len(train))]
    prefixes = [[item + 1 for item in session[:n]] for session in sessions for n in range(len(session) - 1, 0, -1)]
    targets = [session[n] + 1 for session in sessions for n in range(len(session) - 1, 0, -1)]
    samples = utils.Data((prefixes, targets))
    options = SimpleNamespace(
        hiddenSize=setting.model.hidden_size,
        batchSize=setting.batch_size,
        nonhybrid=setting.model.readout == "global",
        step=setting.model.propagation_steps,
        lr=setting.optimizer.lr,
        l2=setting.optimizer.weight_decay,
        lr_dc=setting.optimizer.lr_decay,
        lr_dc_step=setting.optimizer.lr_decay_every,
    )
    model = code.SessionGraph(options, num_items + 1)

    def step(indices: Tensor, lap: Callable[[str], None]) -> None:
        # Their own loop, `train_test` and `forward`, split into parts: the batch is cut before `forward` asks for it.
        model.optimizer.zero_grad()
        slices = samples.get_slice(indices.numpy())
        lap("batch")
        cut = SimpleNamespace(get_slice=lambda i: slices)
        targets, scores = code.forward(model, indices, cut)
        lap("forward")
        loss = model.loss_function(scores, torch.tensor(targets).long() - 1)
        lap("loss")
        loss.backward()
        lap("backward")
        model.optimizer.step()
        lap("optimizer")

    return Trained("the authors' code", step)


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"authors_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
