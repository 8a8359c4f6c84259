"""Contracts: the methods of a data set, a model and a loss that the rest of the package relies on.

They are protocols: a class meets one by having its methods, without inheriting from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import Parameter
    from torch_geometric.data import Batch

    from srgnn.data.sessions import SessionData, Sessions
    from srgnn.nn.embedding import ItemEmbedding


class DataSet(Protocol):
    """A source of sessions: a published set, a click log or a generator. One class, one YAML in `conf/dataset/`."""

    @property
    def num_items(self) -> int | None:
        """Number of candidate items if it is known before the data is loaded, else None."""

    def load(self) -> SessionData:
        """Returns the training and test sessions, from a cache if there is one.

        Raises:
            UserError: if they cannot be loaded.
        """


class SessionModel(Protocol):
    """Maps sessions to scores over all items. Evaluation needs nothing else.

    Shapes:
        a batch of B session graphs -> scores [B, V]; higher is better
    """

    def __call__(self, batch: Batch, /) -> Tensor: ...


class Model(SessionModel, Protocol):
    """A torch module that is trained by the programs, kept in checkpoints, and recommends.

    A model that ranks without holding all scores may have a method `rank(batch, top)`, which returns what
    :class:`srgnn.evaluation.Ranker` does.
    """

    in_products: bool  # whether the scores are products of session embeddings with the item embeddings

    def observe(self, train: Sessions) -> None:
        """Counts what the model has to know of the training sessions, into its buffers, before the first step."""

    def probabilities(self, scores: Tensor) -> Tensor:
        """The probabilities of the next items from their scores, [B, V]; those of a session sum to one."""

    def scores_of(self, batch: Batch, items: Tensor) -> Tensor:
        """The scores of some items [K] only, [B, K]."""

    # The methods of torch.nn.Module that the programs use:

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any: ...

    def eval(self) -> Self: ...

    def to(self, device: torch.device) -> Self: ...


class TrainableModel(Model, Protocol):
    """A model with weights: :class:`srgnn.nn.encoder.SessionEncoder` is the base of all here.

    If its scores are products, losses use the two factors, so they need not hold all scores [B, V] at once.
    """

    item_embedding: ItemEmbedding
    item_tables: tuple[str, ...]  # names of the tensors with one row per item

    def read_texts(self, vectors: Tensor | None, clicks: Tensor) -> None:
        """Reads the vectors of the items' texts [V, t], if the model uses them, and the clicks on every item, [V]."""

    def session_embedding(self, batch: Batch) -> Tensor:
        """The embeddings of a batch of B session graphs, [B, d]."""

    def session_embedding_and_table(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The session embeddings [B, d] and the item embeddings [V, d] that they are multiplied by."""

    def parameters(self) -> Iterator[Parameter]: ...


class ModelSettings(Protocol):
    """A dataclass of a model's arguments except the number of items, checked on construction.

    One YAML in `conf/model/`.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]
    has_weights: ClassVar[bool]  # whether the model is trained in epochs; one without weights counts the sessions once

    def build(self, num_items: int) -> Model:
        """A new model with freshly initialised weights, or without counts."""


class Loss(Protocol):
    """Maps a model and a batch to the mean loss over the batch, computed over all items or a sample of them.

    `sparse` says whether the gradient of the item embeddings holds only the rows that the batch looked up.
    """

    sparse: bool

    def __call__(self, model: TrainableModel, batch: Batch, /) -> Tensor: ...
