"""Answers of the service, as OpenAPI describes them."""

from typing import Any

from pydantic import BaseModel

from srgnn.answers import Recommendations


class Item(BaseModel):
    """A recommended item; its score is a number of clicks if the answer is by popularity."""

    id: int | str
    score: float
    probability: float | None = None
    title: str | None = None


class Answer(BaseModel):
    """The best items after one session, best first, and the ids of the session that are not known."""

    items: list[Item]
    skipped: list[int | str]
    by_popularity: bool
    model: str


class PartialAnswer(BaseModel):
    """The best items after one of many sessions."""

    items: list[Item]
    skipped: list[int | str]
    by_popularity: bool


class Answers(BaseModel):
    """The answers to many sessions, in their order."""

    answers: list[PartialAnswer]
    model: str


class FoundItem(BaseModel):
    """An item of the catalogue, with its number of training clicks."""

    id: int | str
    title: str | None = None
    clicks: int | None = None


class FoundItems(BaseModel):
    """The items that fit a search, the best known first."""

    items: list[FoundItem]
    model: str


class SimilarItem(BaseModel):
    """An item, and the cosine of its embedding with that of the item that was asked for."""

    id: int | str
    cosine: float
    title: str | None = None


class SimilarItems(BaseModel):
    """The items whose embeddings have the largest cosine with that of an item, the largest first."""

    items: list[SimilarItem]
    model: str


class Node(BaseModel):
    """An item of a session: its number of clicks, and the sum of their attention."""

    id: int | str
    title: str | None = None
    clicks: int
    attention: float | None


class Edge(BaseModel):
    """A pair of consecutive clicks, as places in the list of nodes.

    `along` and `against` are the weights of the messages in both directions.
    """

    source: int
    target: int
    times: int
    along: float | None
    against: float | None


class Graph(BaseModel):
    """The graph of a session, its nodes in the order of their first clicks; numbers are null if the model has none."""

    nodes: list[Node]
    edges: list[Edge]
    skipped: list[int | str]
    model: str


class State(BaseModel):
    """The model that answers, and its number of items."""

    model: str
    items: int


class Health(BaseModel):
    """The process lives."""

    status: str


class Problem(BaseModel):
    """The reason why a request is not answered, in one sentence."""

    error: str


def answer_content(found: Recommendations) -> dict[str, Any]:
    """Recommendations as a :class:`PartialAnswer`, in plain values."""
    items: list[dict[str, Any]] = [{"id": raw, "score": score} for raw, score in found]
    for item, probability in zip(items, found.probabilities or (), strict=False):
        item["probability"] = probability
    for item, title in zip(items, found.titles or (), strict=False):
        if title is not None:
            item["title"] = title
    return {"items": items, "skipped": found.skipped, "by_popularity": found.by_popularity}
