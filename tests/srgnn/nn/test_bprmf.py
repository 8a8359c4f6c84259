import torch
from prefixes import prefixes

from srgnn.nn import BPRMFSettings


def test_the_score_is_the_mean_similarity_to_the_clicks(segments: str):
    model, session = BPRMFSettings(6).build(20), [1, 2, 2, 5, 1]
    items = model.item_embedding.weight
    expected = torch.stack([sum(items[click] @ item for click in session) / 5 for item in items])
    torch.testing.assert_close(model(prefixes([9, 9], session))[1], expected)
