import torch

from srgnn.nn.segments import attend, descending, segment_softmax, to_end

OWNER, SEGMENTS = torch.tensor([0, 1, 1, 1, 2, 2]), torch.tensor([0, 1, 4, 6])


def test_attention_is_the_softmax_within_each_segment(segments: str):
    values = torch.randn(6, 3, dtype=torch.double, requires_grad=True)
    for width in (1, 3):
        logits = torch.randn(6, width, dtype=torch.double, requires_grad=True)
        parts = zip(logits.split([1, 3, 2]), values.split([1, 3, 2]), strict=True)
        expected = torch.stack([(logit.softmax(0) * value).sum(0) for logit, value in parts])
        found = attend(logits, values, OWNER, SEGMENTS)
        torch.testing.assert_close(found, expected)
        shares = torch.cat([logit.softmax(0) for logit in logits.split([1, 3, 2])])
        torch.testing.assert_close(segment_softmax(logits, OWNER, SEGMENTS), shares)
        weight = torch.randn(3, 3, dtype=torch.double)
        ours = torch.autograd.grad((found * weight).sum(), (logits, values))
        theirs = torch.autograd.grad((expected * weight).sum(), (logits, values))
        torch.testing.assert_close(ours, theirs)


def test_large_logits_stay_finite(segments: str):
    logits = torch.tensor([[1000.0], [-1000], [1000], [1000], [-1000], [-1001]])
    found = attend(logits, torch.arange(6.0).view(-1, 1), OWNER, SEGMENTS)
    torch.testing.assert_close(found.view(-1), torch.tensor([0, 2.5, 4 + torch.e**-1 / (1 + torch.e**-1)]))


def test_rows_are_counted_to_the_end_of_their_segment():
    assert to_end(OWNER, SEGMENTS).tolist() == [0, 2, 1, 0, 1, 0]


def test_rows_are_ordered_by_owner_and_falling_value_and_equal_ones_stay_in_order():
    order, place = descending(torch.tensor([7, 3, 7, 3, 7]), torch.tensor([1.0, 5, 2, 5, 2]))
    assert order.tolist() == [1, 3, 2, 4, 0]
    assert place.tolist() == [0, 1, 0, 1, 2]
    assert [part.tolist() for part in descending(OWNER[:0], OWNER[:0])] == [[], []]
