import pytest
import torch
import torch.nn.functional as F

from srgnn.nn.embedding import ItemEmbedding


@pytest.mark.parametrize("normalized", [False, True])
def test_lookups_and_table_share_one_gradient_which_is_the_sum_of_both(normalized: bool, monkeypatch):
    monkeypatch.setattr("srgnn.nn.embedding.ROWS_PER_TILE", 3)
    embedding = ItemEmbedding(8, 4, normalized).double()
    embedding.weight.data[5] = 0  # a row that has no direction
    items = torch.tensor([1, 6, 1])
    weights = torch.randn(3, 4).double(), torch.randn(8, 4).double()

    def gradient(rows: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        value = (rows * weights[0]).sum() + (table * weights[1]).sum()
        return torch.autograd.grad(value, embedding.weight)[0]

    rows, table = embedding.with_table(items)
    all_items = torch.arange(8)
    torch.testing.assert_close(rows, embedding(items))
    torch.testing.assert_close(table, embedding(all_items))
    torch.testing.assert_close(gradient(rows, table), gradient(embedding(items), embedding(all_items)))
    session = torch.randn(2, 4).double()
    torch.testing.assert_close(embedding.scores(session), session @ table.T)


def test_normalized_rows_have_length_one():
    embedding = ItemEmbedding(8, 4, normalized=True)
    torch.testing.assert_close(embedding(torch.tensor([3])), F.normalize(embedding.weight[3:4]))


def test_a_sparse_gradient_has_only_the_looked_up_rows():
    embedding = ItemEmbedding(8, 4, normalized=True)
    embedding.sparse = True
    embedding(torch.tensor([1, 6, 1]))[:, 0].sum().backward()
    assert embedding.weight.grad.is_sparse
    assert embedding.weight.grad.coalesce().indices().tolist() == [[1, 6]]
