import pytest
import torch

from srgnn.data import SessionData
from srgnn.data.datamodule import PrefixBatches, SessionDataModule, evaluation_batch
from srgnn.data.graphs import SessionGraphs
from srgnn.errors import OptionError


def flat(batches) -> list[int]:
    return torch.cat(list(batches)).tolist()


def test_the_order_is_a_function_of_seed_and_epoch():
    def order(seed: int, epoch: int) -> list[int]:
        batches = PrefixBatches(25, 10, seed)
        batches.set_epoch(epoch)
        return flat(batches)

    assert sorted(order(0, 0)) == list(range(25))
    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)
    assert flat(PrefixBatches(25, 10)) == list(range(25))


def test_in_the_order_of_time_prefixes_come_as_the_sessions_do(small: SessionData):
    loader = SessionDataModule(small.train, None, small.num_items, batch_size=100, order="time").train_dataloader()
    assert torch.equal(torch.cat([batch.y for batch in loader]), SessionGraphs(small.train, small.num_items).targets)
    with pytest.raises(OptionError, match="order"):
        SessionDataModule(small.train, None, small.num_items, order="x")


def test_the_scores_of_an_evaluation_batch_are_bounded():
    assert evaluation_batch(100) == 512
    assert evaluation_batch(43_097) * 43_097 <= 2**22
    assert evaluation_batch(10_000_000) == 8


def test_an_epoch_goes_on_where_it_was_left(small: SessionData):
    def loader():
        return SessionDataModule(small.train, None, small.num_items, batch_size=100, seed=3).train_dataloader()

    whole, left = [batch.y for batch in loader()], loader()
    for _ in zip(range(4), left, strict=False):
        pass
    resumed = loader()
    resumed.load_state_dict(left.state_dict())
    rest = [batch.y for batch in resumed]
    assert torch.equal(torch.cat(rest), torch.cat(whole[4:]))
    assert len(list(resumed)) == len(whole)  # the next epoch is a whole one


def test_processes_share_a_global_batch_and_no_sample_twice():
    whole = list(PrefixBatches(21, 10, seed=0))
    shares = [list(PrefixBatches(21, 10, seed=0, rank=rank, world_size=2)) for rank in (0, 1)]
    for batch, one, two in zip(whole, *shares, strict=True):
        assert sorted(one.tolist() + two.tolist()) == sorted(batch.tolist())
    assert [len(batch) for batch in shares[1]] == [5, 5, 0]
