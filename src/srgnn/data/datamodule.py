from collections.abc import Iterator

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch_geometric.data import Batch

from srgnn.data.graphs import SessionGraphs
from srgnn.data.sessions import Sessions
from srgnn.errors import check_choice

ORDERS = ["shuffled", "time"]


def evaluation_batch(num_items: int, device: torch.device | str = "cpu") -> int:
    """Prefixes per batch of an evaluation, 8 at least: their scores take 16 MB, and stay in the caches of a CPU.

    On a GPU 256 MB, which keep it busy.
    """
    scores = 2**22 if torch.device(device).type == "cpu" else 2**26
    return max(8, min(512, scores // num_items))


class PrefixBatches(Sampler[Tensor]):
    """Batches of sample indices whose order is a function of seed and epoch alone.

    So a run can go on in the middle of an epoch, and several processes can each take their share of the same
    global batch: process `rank` of `world_size` takes every `world_size`-th sample of it.

    Args:
        num_samples: Number of prefixes.
        batch_size: Of the global batch.
        seed: Of the order; None keeps the samples in theirs.
        rank, world_size: Of this process.
    """

    def __init__(self, num_samples: int, batch_size: int, seed: int | None = None, rank: int = 0, world_size: int = 1):
        self.num_samples, self.batch_size, self.seed = num_samples, batch_size, seed
        self.rank, self.world_size = rank, world_size
        self.epoch = 0
        self.position = 0  # batches of this epoch handed out so far
        self.sampler = self  # where Lightning looks for set_epoch

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.num_samples // self.batch_size)

    def __iter__(self) -> Iterator[Tensor]:
        if self.seed is None:
            order = torch.arange(self.num_samples)
        else:
            generator = torch.Generator().manual_seed(self.seed * 1000 + self.epoch)  # no run has 1000 epochs
            order = torch.randperm(self.num_samples, generator=generator)
        self.position %= len(self)
        for batch in order.split(self.batch_size)[self.position :]:
            self.position += 1
            yield batch[self.rank :: self.world_size]


class GraphLoader(DataLoader):
    """Whole batches of session graphs; remembers where in the epoch it is, which Lightning saves and restores."""

    def __init__(self, graphs: SessionGraphs, batches: PrefixBatches):
        self.batches = batches
        super().__init__(graphs, batch_sampler=batches, collate_fn=_as_it_is)  # type: ignore[arg-type]

    def state_dict(self) -> dict[str, int]:
        return {"position": self.batches.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.batches.position = state["position"]


def _as_it_is(batch: Batch) -> Batch:
    return batch


class SessionDataModule(LightningDataModule):
    """Training prefixes in batches, and evaluation prefixes in theirs, in order; made on the device of the trainer.

    Args:
        train: Sessions to train on.
        evaluation: Sessions to evaluate on: validation in `fit`, test in `test`. None evaluates nothing.
        num_items: Number of candidates.
        batch_size: Training prefixes per optimizer step, over all processes.
        seed: Of the shuffling.
        order: `shuffled` anew in every epoch, or `time`: as the sessions come, oldest first.

    Raises:
        OptionError: for a value outside of what is allowed.
    """

    def __init__(
        self,
        train: Sessions,
        evaluation: Sessions | None,
        num_items: int,
        batch_size: int = 100,
        seed: int = 0,
        order: str = "shuffled",
    ):
        super().__init__()
        self.train, self.evaluation, self.num_items = train, evaluation, num_items
        self.batch_size = batch_size
        self.seed = seed if check_choice("order", order, ORDERS) == "shuffled" else None

    def train_dataloader(self) -> GraphLoader:
        return self._loader(self.train, self.batch_size, self.seed)

    def val_dataloader(self) -> GraphLoader | list:
        if self.evaluation is None:
            return []
        device = self.trainer.strategy.root_device if self.trainer else "cpu"
        return self._loader(self.evaluation, evaluation_batch(self.num_items, device))

    def test_dataloader(self) -> GraphLoader | list:
        return self.val_dataloader()

    def _loader(self, sessions: Sessions, batch_size: int, seed: int | None = None) -> GraphLoader:
        rank, world_size, device = 0, 1, torch.device("cpu")
        if self.trainer:
            rank, world_size = self.trainer.global_rank, self.trainer.world_size
            device = self.trainer.strategy.root_device
        graphs = SessionGraphs(sessions, self.num_items, device)
        return GraphLoader(graphs, PrefixBatches(len(graphs), batch_size, seed, rank, world_size))
