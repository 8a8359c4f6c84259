"""Item embeddings that know the texts of the items, from vectors that a language model made of them.

As in LLMGR (Guo et al., 2024, arXiv 2402.16539), one linear map brings the vector of a text into the space of the item
ids; no language model is asked in training or afterwards.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.nn import Module, Parameter

from srgnn.nn.embedding import ItemEmbedding
from srgnn.nn.sharding import Sum

TEXTS = ("none", "initial", "added", "only")
VECTORS = "item_embedding.vectors"  # the name of the vectors in a model


class TextItemEmbedding(ItemEmbedding):
    r"""Item embeddings with a row of the id, and a linear map of the vector of the text:

    .. math:: e_i = w_i + W^\top v_i

    The rows of ids begin as zeros, so that an item begins as its text says, and those of items that were never clicked
    stay zeros. In training the score of such an item is 0, so that the map does not learn which texts are never right.
    `holds_all` holds the rows of all items with a text, for a first stage that trains the map alone. Items without text
    have a row of their id like those of any model.

    Args:
        num_items: Number of items :math:`V`.
        hidden_size: Width :math:`d`.
        normalized: Whether rows are divided by their L2 norm wherever they are used.
        text: `added`, or `only`, which holds the rows of all items with a text at zero.

    Shapes:
        items [N] -> [N, d]; `weight` [V, d], `vectors` [V, t], `projection` [t, d]
    """

    vectors: Tensor
    has_text: Tensor
    is_cold: Tensor

    def __init__(self, num_items: int, hidden_size: int, normalized: bool, text: str):
        super().__init__(num_items, hidden_size, normalized)
        self.text = text
        # Their sizes are known with the texts, or from a checkpoint.
        self.projection = Parameter(torch.empty(0, hidden_size))
        self.register_buffer("vectors", torch.empty(num_items, 0))
        for name in ("has_text", "is_cold"):
            self.register_buffer(name, torch.empty(0, dtype=torch.bool), persistent=False)
        self.register_load_state_dict_pre_hook(_take_sizes)  # type: ignore[no-untyped-call]
        self.holds_all = self.has_cold = False

    @torch.no_grad()
    def read_texts(self, vectors: Tensor, clicks: Tensor) -> None:
        """Takes over the vectors, draws the map, and sets the rows of items with a text to zero.

        Args:
            vectors: The vector of every item's text, [V, t], zeros for an item without one.
            clicks: Number of training clicks of every item, [V].
        """
        self.vectors = vectors.to(self.weight)
        self.has_text = (vectors != 0).any(dim=1)
        # What texts give is as large as freshly drawn rows, however long the vectors are.
        lengths = torch.linalg.vector_norm(self.vectors, dim=1)
        length = lengths[self.has_text].mean() if self.has_text.any() else 1
        bound = float(self.embedding_dim**-0.5 / length)
        self.projection = Parameter(self.weight.new_empty(vectors.size(1), self.embedding_dim).uniform_(-bound, bound))
        self.weight[self.has_text] = 0
        self.is_cold = self.has_text & (clicks == 0)
        self.has_cold = bool(self.is_cold.any())
        self.weight.register_hook(self._hold)  # type: ignore[no-untyped-call]

    def _hold(self, gradient: Tensor) -> Tensor:
        if not (self.holds_all or self.has_cold or self.text == "only"):
            return gradient
        held = self.has_text if self.holds_all or self.text == "only" else self.is_cold
        if gradient.is_sparse:
            rows, values = gradient._indices(), gradient._values()
            kept = values.masked_fill(held[rows[0]].view(-1, 1), 0)
            return torch.sparse_coo_tensor(rows, kept, gradient.shape, check_invariants=False)
        return gradient.masked_fill(held.view(-1, 1), 0)

    def shard_over(self, mesh: DeviceMesh) -> None:
        super().shard_over(mesh)
        block = slice(self.shard.first, self.shard.last)  # type: ignore[union-attr]
        for name in ("vectors", "has_text", "is_cold"):
            setattr(self, name, getattr(self, name)[block].clone())
        self.weight.register_hook(self._hold)  # type: ignore[no-untyped-call]
        # Each process has the gradient of its own rows, and the mean over the processes is taken of what it has.
        self.projection.register_hook(lambda gradient: gradient * mesh.size())  # type: ignore[no-untyped-call]

    def table(self) -> Tensor:
        with torch.autocast(self.weight.device.type, enabled=False):
            table = torch.addmm(self.weight, self.vectors, self.projection)
        return table.masked_fill(self.is_cold.view(-1, 1), 0) if self.training and self.has_cold else table

    def rows(self, items: Tensor) -> Tensor:
        of_ids = super().rows(items)
        with torch.autocast(self.weight.device.type, enabled=False):
            if self.shard is None:
                return of_ids + self._of_texts(items)
            place, is_here = self.shard.local(items)
            of_texts = torch.where(is_here.view(-1, 1), self._of_texts(place), 0)
            return of_ids + Sum.apply(of_texts, self.shard)  # type: ignore[no-untyped-call, no-any-return]

    def _of_texts(self, rows: Tensor) -> Tensor:
        """What the texts of rows of this block add, [N] -> [N, d]."""
        mapped = F.embedding(rows, self.vectors) @ self.projection
        return mapped.masked_fill(self.is_cold[rows].view(-1, 1), 0) if self.training and self.has_cold else mapped

    @torch.no_grad()
    def merged(self) -> ItemEmbedding:
        with torch.device("meta"):
            plain = ItemEmbedding(self.num_embeddings, self.embedding_dim, self.normalized)
        plain.weight = Parameter(self.table())
        plain.sources = (self.weight.detach(), self.vectors, self.projection.detach())
        return plain


def _take_sizes(module: Module, state: dict[str, Any], prefix: str, *arguments: Any) -> None:
    """Gives the vectors and the map the sizes that they have in a state dict."""
    for name in ("vectors", "projection"):
        stored, ours = state.get(prefix + name), getattr(module, name)
        if isinstance(stored, Tensor) and stored.shape != ours.shape:
            new = torch.empty_like(stored, device=ours.device)
            setattr(module, name, Parameter(new) if name == "projection" else new)


@torch.no_grad()
def start_from_texts(embedding: ItemEmbedding, vectors: Tensor) -> None:
    """Sets the rows of items with a text to the main components of their vectors, as large as freshly drawn rows.

    Of vectors that are narrower than the rows, the other numbers stay as they were drawn.

    Args:
        embedding: The item embeddings, whose rows are drawn.
        vectors: The vector of every item's text, [V, t], zeros for an item without one.
    """
    has_text = (vectors != 0).any(dim=1)
    of_texts = vectors[has_text].to(embedding.weight)
    centered = of_texts - of_texts.mean(dim=0)
    directions = torch.linalg.eigh((centered.T @ centered).double()).eigenvectors.flip(1)  # largest first
    components = centered @ directions[:, : embedding.embedding_dim].to(centered)  # [n, min(t, d)]
    if components.any():
        scaled = components * (embedding.weight.std() / components.std())
        embedding.weight[has_text.nonzero().view(-1), : scaled.size(1)] = scaled
