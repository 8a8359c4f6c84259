"""Checkpoints for a service, and a service in this process: requests reach it without a socket."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from srgnn.answers import Recommendations
from srgnn.nn import SRGNNSettings

ITEMS = ["A", "B", "C", "D", 5]
TITLES = ["Red lamp", "Blue lamp", "Chair", None, "Red chair"]


def write_checkpoint(path: Path, seed: int = 0) -> Path:
    """Writes the checkpoint of an SR-GNN with random weights over five items."""
    torch.manual_seed(seed)
    model = SRGNNSettings(8).build(len(ITEMS))
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    record = {"model": {"num_items": len(ITEMS), "hidden_size": 8}, "vocabulary": ITEMS, "titles": TITLES}
    torch.save({"state_dict": state, "srgnn": {**record, "clicks": [3, 5, 0, 4, 1]}}, path)
    return path


def matches(answer: dict, expected: Recommendations) -> bool:
    """Whether an answer of the service is that of a recommender."""
    assert [item["id"] for item in answer["items"]] == expected.items
    assert [item["score"] for item in answer["items"]] == pytest.approx(expected.scores, abs=1e-5)
    assert [item.get("title") for item in answer["items"]] == expected.titles
    return (answer["skipped"], answer["by_popularity"]) == (expected.skipped, expected.by_popularity)


def ask(service: Any, talk: Callable[[httpx.AsyncClient], Awaitable[Any]]) -> Any:
    """What a conversation with a service returns."""

    from srgnn.serving.app import build_app

    async def with_client() -> Any:
        transport = httpx.ASGITransport(build_app(service), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await talk(client)

    return asyncio.run(with_client())
