import pytest
import torch

from srgnn.data import SessionData
from srgnn.data.datamodule import PrefixBatches, SessionDataModule
from srgnn.data.graphs import SessionGraphs
from srgnn.errors import ArgumentError


def flat(batches) -> list[int]:
    return torch.cat(list(batches)).tolist()


def test_the_order_depends_only_on_seed_and_epoch():
    def order(seed: int, epoch: int) -> list[int]:
        batches = PrefixBatches(25, 10, seed)
        batches.set_epoch(epoch)
        return flat(batches)

    assert sorted(order(0, 0)) == list(range(25))
    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)
    assert flat(PrefixBatches(25, 10)) == list(range(25))


def test_the_order_is_that_of_a_permutation_in_64_bits():
    for size in (1, 25, 10_000):
        expected = torch.randperm(size, generator=torch.Generator().manual_seed(3000))
        batches = list(PrefixBatches(size, 7, seed=3))
        assert torch.equal(torch.cat(batches), expected)
        assert all(batch.dtype == torch.int64 for batch in batches)


def test_order_time_keeps_the_order_of_the_sessions(small: SessionData):
    loader = SessionDataModule(small.train, None, small.num_items, batch_size=100, order="time").train_dataloader()
    assert torch.equal(torch.cat([batch.y for batch in loader]), SessionGraphs(small.train, small.num_items).targets)
    with pytest.raises(ArgumentError, match="order"):
        SessionDataModule(small.train, None, small.num_items, order="x")


def test_an_epoch_resumes_where_it_stopped(small: SessionData):
    def loader():
        return SessionDataModule(small.train, None, small.num_items, batch_size=100, seed=3).train_dataloader()

    whole, stopped = [batch.y for batch in loader()], loader()
    for _ in zip(range(4), stopped, strict=False):
        pass
    resumed = loader()
    resumed.load_state_dict(stopped.state_dict())
    rest = [batch.y for batch in resumed]
    assert torch.equal(torch.cat(rest), torch.cat(whole[4:]))
    assert len(list(resumed)) == len(whole)  # the next epoch is a whole one
    older = loader()
    older.load_state_dict({"position": 4})  # of a version that did not name the epoch
    assert torch.equal(torch.cat([batch.y for batch in older]), torch.cat(rest))


def test_an_epoch_that_ends_early_is_followed_by_one_from_the_beginning(small: SessionData):
    module = SessionDataModule(small.train, small.test, small.num_items, batch_size=100, order="time")
    loader, first = module.train_dataloader(), []
    for epoch in range(3):
        loader.batches.set_epoch(epoch)
        first.append(next(iter(loader)).y)
    assert all(torch.equal(each, first[0]) for each in first)
    resumed = module.train_dataloader()
    resumed.load_state_dict(loader.state_dict())
    resumed.batches.set_epoch(3)
    assert torch.equal(next(iter(resumed)).y, first[0])


def test_validation_holds_fewer_prefixes_at_once_if_all_their_scores_are_held(small: SessionData):
    sizes = [
        len(next(iter(SessionDataModule(small.train, small.test, 2**20, in_products=each).val_dataloader())).y)
        for each in (True, False)
    ]
    assert sizes[1] == 8 < sizes[0]


def test_processes_share_every_global_batch_without_overlap():
    whole = list(PrefixBatches(21, 10, seed=0))
    shares = [list(PrefixBatches(21, 10, seed=0, rank=rank, num_shares=2)) for rank in (0, 1)]
    for batch, one, two in zip(whole, *shares, strict=True):
        assert sorted(one.tolist() + two.tolist()) == sorted(batch.tolist())
    assert [len(batch) for batch in shares[1]] == [5, 5, 0]
