from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Module
from torch_geometric.data import Batch

from srgnn.errors import ArgumentError, UserError, check_choice, check_float, check_int
from srgnn.nn.embedding import ItemEmbedding
from srgnn.nn.text import TEXTS, VECTORS, TextItemEmbedding, start_from_texts

if TYPE_CHECKING:
    from srgnn.data.sessions import Sessions


@dataclass(frozen=True)
class EncoderSettings:
    """The arguments of every :class:`SessionEncoder`; those of one model follow in its own settings.

    Args:
        hidden_size: Width :math:`d` of the item embeddings.
        scale: Factor of the cosine of session and item; their product is the score, as in NISER (Gupta et al., 2019).
            None, the default, scores by the plain product of the embeddings.
        dropout: Share of the entries of the item embeddings dropped before they enter the model, in training only.
        text: What vectors of the items' texts are for (:mod:`srgnn.nn.text`): `initial` begins the training with them,
            `added` adds a learned linear map of them to the rows of the ids, `only` takes that map alone, and `none`
            leaves them unused.

    Raises:
        ArgumentError: for a value that is not allowed.
    """

    has_weights: ClassVar[bool] = True
    hidden_size: int = 100
    scale: float | None = None
    dropout: float = 0.0
    text: str = "none"

    def __post_init__(self) -> None:
        check_int("hidden_size", self.hidden_size, 1)
        if self.scale is not None:
            check_float("scale", self.scale, 0, exclusive=True)
        if check_float("dropout", self.dropout, 0) >= 1:
            raise ArgumentError("dropout", self.dropout, "a share below 1")
        check_choice("text", self.text, TEXTS)


class SessionEncoder(Module):
    """A model that encodes a session as one vector; the scores are its products with all item embeddings.

    A model of this kind adds its layers in the constructor, calls :meth:`reset_parameters` there, and writes
    :meth:`encode`. Losses, evaluation, checkpoints and a table sharded over processes then work with it.

    Args:
        num_items: Number of candidates :math:`V`.
        settings: The arguments of the model.

    Shapes:
        a batch of B session graphs -> scores [B, V], before the softmax

    Raises:
        ArgumentError: for a value that is not allowed.
    """

    in_products = True
    item_tables: tuple[str, ...] = ("item_embedding.weight",)  # names of the tensors with one row per item

    def __init__(self, num_items: int, settings: EncoderSettings):
        super().__init__()
        self.num_items = check_int("num_items", num_items, 1)
        self.settings = settings
        self.scale, self.dropout = settings.scale, settings.dropout
        size, normalized = settings.hidden_size, settings.scale is not None
        if settings.text in ("added", "only"):
            self.item_embedding: ItemEmbedding = TextItemEmbedding(num_items, size, normalized, settings.text)
            self.item_tables = (*self.item_tables, VECTORS)
        else:
            self.item_embedding = ItemEmbedding(num_items, size, normalized)

    def reset_parameters(self) -> None:
        r"""Draws all parameters uniformly within :math:`\pm 1 / \sqrt d`, as the code of SR-GNN's authors does."""
        bound = self.settings.hidden_size**-0.5
        for parameter in self.parameters():
            torch.nn.init.uniform_(parameter, -bound, bound)

    def observe(self, train: "Sessions") -> None:
        """Counts what the model has to know of the training sessions before the first step; by default nothing."""

    def read_texts(self, vectors: Tensor | None, clicks: Tensor) -> None:
        """Reads the vectors of the items' texts, before the first step.

        Args:
            vectors: The vector of every item's text, [V, t], zeros for an item without one; None if there are none.
            clicks: Number of training clicks of every item, [V].

        Raises:
            UserError: if the model uses texts, and there are none.
        """
        text = self.settings.text
        if text == "none":
            return
        if vectors is None:
            raise UserError(
                f"text={text}: the data has no vectors of the items' texts; a click log of your own takes them from "
                "items.vectors=FILE.",
                "text",
                "items.vectors",
            )
        if isinstance(self.item_embedding, TextItemEmbedding):
            self.item_embedding.read_texts(vectors, clicks)
        else:
            start_from_texts(self.item_embedding, vectors)

    def looked_up(self, batch: Batch) -> Tensor:
        """The items whose embeddings :meth:`encode` needs; by default the nodes of the session graphs, [N]."""
        nodes: Tensor = batch.x
        return nodes

    def encode(self, states: Tensor, batch: Batch) -> Tensor:
        """Embeddings of the items that were looked up [N, d] -> session embeddings [B, d], before any scaling."""
        raise NotImplementedError

    def forward(self, batch: Batch) -> Tensor:
        return self.item_embedding.scores(self.session_embedding(batch))  # [B, V]

    def probabilities(self, scores: Tensor) -> Tensor:
        """The softmax of scores, [B, V] -> [B, V]."""
        return scores.softmax(dim=-1)

    def scores_of(self, batch: Batch, items: Tensor) -> Tensor:
        """The scores of some items [K] only, [B, K]."""
        scores: Tensor = self.session_embedding(batch) @ self.item_embedding(items).T
        return scores

    def session_embedding(self, batch: Batch) -> Tensor:
        """The embeddings of a batch of B session graphs, [B, d]."""
        return self._encode(self.item_embedding(self.looked_up(batch)), batch)

    def session_embedding_and_table(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Session embeddings [B, d] and the item table [V, d] that they are multiplied by, for losses over all items.

        A loss hands over its gradient of the table, see :meth:`~srgnn.nn.embedding.ItemEmbedding.with_table`.
        """
        states, table = self.item_embedding.with_table(self.looked_up(batch))
        return self._encode(states, batch), table

    def _encode(self, states: Tensor, batch: Batch) -> Tensor:
        session = self.encode(F.dropout(states, self.dropout, self.training), batch)
        return session if self.scale is None else self.scale * F.normalize(session)
