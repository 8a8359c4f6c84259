"""Requests to the service, validated strictly and described in OpenAPI."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    WithJsonSchema,
    create_model,
)
from pydantic_core import from_json

from srgnn.answers import Query
from srgnn.serving.limits import Limits
from srgnn.serving.problems import Refusal, errors_of, invalid

LONGEST = 1000  # characters of an id or a title: addresses of pages fit
WIDEST = 10_000  # numbers of a vector: language models give some hundred to some thousand
# Ids of 64 bits, as tables hold them, but for the last 807: bounds in OpenAPI are floats, whose text keeps this one.
LARGEST = 9_223_372_036_854_775_000


def _whole(value: Any) -> Any:
    """An integer that is written as 5.0, as JSON allows, or the value itself."""
    return int(value) if type(value) is float and value.is_integer() else value


def _item_id(given: Any) -> int | str:
    value = _whole(given)
    if (type(value) is str and len(value) <= LONGEST) or (type(value) is int and abs(value) <= LARGEST):
        return value
    raise ValueError(f"expected an item id, a text of up to {LONGEST} characters or an integer of 64 bits")


ItemId: TypeAlias = Annotated[
    int | str,
    PlainValidator(_item_id),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "maxLength": LONGEST},
                {"type": "integer", "minimum": -LARGEST, "maximum": LARGEST},
            ]
        }
    ),
]


class Form(BaseModel):
    """A request body: no value is converted, and no other key is allowed."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Wish(Form):
    """Which items are wanted, see :class:`srgnn.answers.Query`."""

    k: int = 20
    new_only: bool = False
    without: list[ItemId] = []
    only: list[ItemId] | None = None
    probabilities: bool = False

    def query(self, session: Sequence[int | str]) -> Query:
        """The query for a session."""
        return Query(session, self.k, self.new_only, self.without, self.only, self.probabilities)


class OneSession(Wish):
    """One session, oldest click first."""

    session: list[ItemId]


class ManySessions(Wish):
    """Many sessions, which are answered together."""

    sessions: list[list[ItemId]]


class NextClick(Wish):
    """The latest click of a session that the service keeps."""

    session_id: Annotated[str, Field(min_length=1, max_length=200)]
    click: ItemId


class SessionOnly(Form):
    """One session, oldest click first, to be explained."""

    session: list[ItemId]


class OneItem(Form):
    """An item whose most similar items are wanted."""

    item: ItemId
    k: int = 10


class NewItem(Form):
    """An item that is not trained."""

    id: ItemId
    title: Annotated[str, Field(max_length=LONGEST)] | None = None


class LikeOthers(NewItem):
    """A new item with the ids of items that it is like."""

    like: list[ItemId]


class WithVector(NewItem):
    """A new item with the vector of its text."""

    vector: Annotated[list[float], Field(min_length=1, max_length=WIDEST)]


def new_item_forms(limits: Limits) -> dict[str, type[NewItem]]:
    """The forms of a request that adds an item within limits, by the key that tells them apart."""
    like = Annotated[list[ItemId], Field(min_length=1, max_length=limits.items)]
    return {"like": create_model("LikeOthers", __base__=LikeOthers, like=(like, ...)), "vector": WithVector}


def recommend_forms(limits: Limits, keeps_sessions: bool) -> dict[str, type[Wish]]:
    """The forms of a request for recommendations within limits, by the key that tells them apart."""
    session = Annotated[list[ItemId], Field(max_length=limits.clicks)]
    items = Annotated[list[ItemId], Field(max_length=limits.items)]
    wish: dict[str, Any] = {
        "k": (_number_of_items(limits), min(20, limits.k)),
        "without": (items, []),
        "only": (items | None, None),
    }
    sessions = Annotated[list[session], Field(min_length=1, max_length=limits.sessions)]
    forms: dict[str, type[Wish]] = {
        "session": create_model("OneSession", __base__=OneSession, session=(session, ...), **wish),
        "sessions": create_model("ManySessions", __base__=ManySessions, sessions=(sessions, ...), **wish),
    }
    if keeps_sessions:
        forms["session_id"] = create_model("NextClick", __base__=NextClick, **wish)
    return forms


def explain_forms(limits: Limits) -> dict[str, type[SessionOnly]]:
    """The form of a request for the graph of a session."""
    session = Annotated[list[ItemId], Field(max_length=limits.clicks)]
    return {"session": create_model("SessionOnly", __base__=SessionOnly, session=(session, ...))}


def similar_forms(limits: Limits) -> dict[str, type[OneItem]]:
    """The form of a request for similar items within limits."""
    return {"item": create_model("OneItem", __base__=OneItem, k=(_number_of_items(limits), min(10, limits.k)))}


def _number_of_items(limits: Limits) -> Any:
    return Annotated[int, Field(ge=1, le=limits.k), BeforeValidator(_whole)]


F = TypeVar("F", bound=Form)


class Search(BaseModel):
    """The query of a search for items; no other name is allowed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    query: Annotated[str, Field(max_length=200)] = ""
    limit: int = 20


def search_form(limits: Limits) -> type[Search]:
    """The query of a search within limits."""
    limit = Annotated[int, Field(ge=1, le=limits.k)]
    return create_model("Search", __base__=Search, limit=(limit, min(20, limits.k)))


def parse(body: bytes, forms: Mapping[str, type[F]]) -> F:
    """The form that a body holds.

    Raises:
        Refusal: 400 if it is not JSON, 422 if it has another form.
    """
    try:
        content = from_json(body, allow_inf_nan=False)
    except ValueError as error:  # strict: neither NaN nor half of a character
        raise Refusal(400, f"The body is not JSON ({error}).") from error
    found = [name for name in forms if name in content] if isinstance(content, dict) else []
    if isinstance(content, dict) and "session_id" in content and "sessions" in forms and "session_id" not in forms:
        raise Refusal(422, "session_id needs a service that keeps sessions: start it with store=memory or store=redis.")
    if len(found) != 1:
        expected = f"one of {', '.join(forms)}" if len(forms) > 1 else ", ".join(forms)
        raise Refusal(422, f"The body has to be an object with {expected}.")
    try:
        return forms[found[0]].model_validate(content)
    except ValidationError as error:
        raise invalid(errors_of(error)) from error


def body_description(forms: Mapping[str, type[Form]]) -> dict[str, Any]:
    """The OpenAPI description of a body that has one of several forms."""
    schemas = [form.model_json_schema() for form in forms.values()]
    schema = schemas[0] if len(schemas) == 1 else {"oneOf": schemas}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
