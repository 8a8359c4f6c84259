"""Requests drawn from the OpenAPI description, valid and invalid ones: each gets an answer that the description has."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from services import write_checkpoint

from srgnn.serving.app import build_app
from srgnn.serving.forms import LARGEST
from srgnn.serving.limits import Limits
from srgnn.serving.model import ServedModel
from srgnn.serving.service import Service
from srgnn.serving.store import MemoryStore

schemathesis = pytest.importorskip("schemathesis")
from schemathesis.generation import GenerationMode  # noqa: E402


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Any:
    checkpoint: Path = write_checkpoint(tmp_path_factory.mktemp("described") / "model.ckpt")
    limits = Limits(clicks=5, items=5, sessions=3, seconds=60)  # small ones are drawn often
    service = Service(ServedModel(lambda: checkpoint), limits, MemoryStore(), api_key="key")
    return schemathesis.openapi.from_asgi("/openapi.json", build_app(service))


@pytest.mark.parametrize("mode", ["positive", "negative"])
@pytest.mark.parametrize(
    "route",
    [
        "POST /recommend",
        "POST /explain",
        "POST /similar",
        "GET /items",
        "POST /items",
        "POST /reload",
        "GET /metrics",
        "GET /health",
        "GET /ready",
    ],
)
def test_every_answer_is_as_described(described: Any, route: str, mode: str):
    method, path = route.split()
    operation = described[path][method]
    if mode == "negative" and method == "GET" and path != "/items":
        pytest.skip("takes nothing that could be wrong")

    @settings(max_examples=20, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=GenerationMode(mode)))
    def check(case: Any) -> None:
        case.call_and_validate(headers={"Authorization": "Bearer key"})

    check()


def test_the_largest_id_is_described_to_its_last_digit():
    """Bounds in OpenAPI are floats, and who reads their text must not be refused."""
    assert int(Decimal(str(float(LARGEST)))) == LARGEST
