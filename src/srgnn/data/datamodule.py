"""Batches of session graphs for Lightning, in an order that lets a run resume in the middle of an epoch."""

from collections.abc import Iterator
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch_geometric.data import Batch

from srgnn.data.graphs import SessionGraphs, evaluation_batch_size
from srgnn.data.sessions import Sessions
from srgnn.errors import check_choice

ORDERS = ["shuffled", "time"]


class PrefixBatches(Sampler[Tensor]):
    """Batches of sample indices, in an order that depends only on seed and epoch.

    A run can therefore resume in the middle of an epoch, and several processes can share the same global batches:
    process `rank` of `num_shares` takes every `num_shares`-th sample of each.

    Args:
        num_samples: Number of prefixes.
        batch_size: Samples per global batch.
        seed: Seed of the shuffling; None does not shuffle.
        rank: Number of the share, from 0.
        num_shares: Number of shares of every batch.
    """

    def __init__(self, num_samples: int, batch_size: int, seed: int | None = None, rank: int = 0, num_shares: int = 1):
        self.num_samples, self.batch_size, self.seed = num_samples, batch_size, seed
        self.rank, self.num_shares = rank, num_shares
        self.epoch = 0
        self.position = 0  # number of batches of this epoch handed out so far
        self.resumed: dict[str, int] = {}  # the epoch and position at which the next pass begins
        self.sampler = self  # Lightning looks for set_epoch here

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch that the order depends on; called by Lightning."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.num_samples // self.batch_size)

    def __iter__(self) -> Iterator[Tensor]:
        kind = torch.int32 if self.num_samples < 2**31 else torch.int64  # either gives the same order
        if self.seed is None:
            order = torch.arange(self.num_samples, dtype=kind)
        else:
            generator = torch.Generator().manual_seed(self.seed * 1000 + self.epoch)  # no run has 1000 epochs
            order = torch.randperm(self.num_samples, generator=generator, dtype=kind)
        resumed, self.resumed = self.resumed, {}
        # A checkpoint at the end of an epoch resumes with the next one, whole.
        is_of_epoch = bool(resumed) and resumed.get("epoch", self.epoch) == self.epoch  # older ones do not say
        self.position = resumed["position"] % len(self) if is_of_epoch else 0
        for begin in range(self.position * self.batch_size, self.num_samples, self.batch_size):
            self.position += 1
            yield order[begin : begin + self.batch_size][self.rank :: self.num_shares].long()


class GraphLoader(DataLoader[Any]):
    """Loader of whole batches of session graphs; Lightning saves and restores its position within the epoch."""

    def __init__(self, graphs: SessionGraphs, batches: PrefixBatches):
        self.batches = batches
        super().__init__(graphs, batch_sampler=batches, collate_fn=_unchanged)  # type: ignore[arg-type]

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self.batches.epoch, "position": self.batches.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.batches.resumed = state


def _unchanged(batch: Batch) -> Batch:
    return batch


class SessionDataModule(LightningDataModule):
    """Batches of training and evaluation prefixes, built on the trainer's device.

    Args:
        train: Training sessions.
        evaluation: Sessions to validate on after every epoch; None skips that.
        num_items: Number of candidates.
        batch_size: Training prefixes per optimizer step, over all processes.
        seed: Seed of the shuffling.
        order: `shuffled`, anew in every epoch, or `time`, oldest sessions first.
        in_products: Whether the scores are products with the item embeddings, which need not be held on a CPU.

    Raises:
        ArgumentError: for an unknown order.
    """

    def __init__(
        self,
        train: Sessions,
        evaluation: Sessions | None,
        num_items: int,
        batch_size: int = 100,
        seed: int = 0,
        order: str = "shuffled",
        in_products: bool = True,
    ):
        super().__init__()
        self.train, self.evaluation, self.num_items = train, evaluation, num_items
        self.batch_size, self.in_products = batch_size, in_products
        self.seed = seed if check_choice("order", order, ORDERS) == "shuffled" else None

    def train_dataloader(self) -> GraphLoader:
        return self._loader(self.train, self.batch_size, self.seed)

    def val_dataloader(self) -> GraphLoader | list[GraphLoader]:
        if self.evaluation is None:
            return []
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        holds_scores = device.type != "cpu" or not self.in_products
        return self._loader(self.evaluation, evaluation_batch_size(self.num_items, device, holds_scores))

    def _loader(self, sessions: Sessions, batch_size: int, seed: int | None = None) -> GraphLoader:
        rank, num_shares, device = 0, 1, torch.device("cpu")
        if self.trainer:
            device = self.trainer.strategy.root_device
            if share := self.trainer.distributed_sampler_kwargs:
                rank, num_shares = share["rank"], share["num_replicas"]
        graphs = SessionGraphs(sessions, self.num_items, device)
        return GraphLoader(graphs, PrefixBatches(len(graphs), batch_size, seed, rank, num_shares))
