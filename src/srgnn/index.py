"""An index of item embeddings, which proposes candidates without computing the scores of all items.

The extra `index` installs what it needs: `pip install 'srgnn[index]'`.
"""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from srgnn.contracts import Model, TrainableModel
from srgnn.data.sessions import Vocabulary
from srgnn.errors import UserError
from srgnn.nn.embedding import ItemEmbedding
from srgnn.nn.ranking import best_of
from srgnn.saving import whole_file, write_tensors

CANDIDATES = 200  # proposed for a session: the best 20 are among them even where the index errs a little
POINTS_PER_LIST = 39  # items that faiss asks for to place a list well
LISTS_PER_ROOT = 4  # times the root of the number of items: the number of lists that faiss advises
PROBED = 16  # one list in this number is searched: of 50,000 vectors in groups it finds 99.7 % of the best 20
FEWEST = 8  # lists that are searched
RECALL = 0.995  # the share of the best items that :meth:`ItemIndex.tune` asks for
SEED = 0  # of the placement of the lists
BUILD_NEW = "build a new one with python src/export.py output=FILE.index"


@dataclass(frozen=True)
class ItemIndex:
    """Lists of items with similar embeddings, of which only those nearest to a session are searched (faiss's IVF).

    Args:
        lists: The index of faiss.
        digest: The hash of the item table and the vocabulary that it was built from.

    Example:
        >>> recommender = Recommender.load("best.ckpt")
        >>> ItemIndex.build(recommender.model, recommender.vocabulary).save("items.index")
        >>> Recommender.load("best.ckpt", index="items.index").recommend(["A", "B"])
    """

    lists: Any
    digest: str

    @classmethod
    def build(cls, model: Model, vocabulary: Vocabulary) -> "ItemIndex":
        """The index of the items of a model.

        Raises:
            UserError: if its scores are not products with item embeddings, or faiss is missing.
        """
        embedding = embedding_of(model)
        faiss = _faiss()
        rows = np.ascontiguousarray(embedding.divided().numpy(), dtype=np.float32)
        num_items, width = rows.shape
        num_lists = max(1, min(round(LISTS_PER_ROOT * math.sqrt(num_items)), num_items // POINTS_PER_LIST))
        lists = faiss.IndexIVFFlat(faiss.IndexFlatIP(width), width, num_lists, faiss.METRIC_INNER_PRODUCT)
        lists.cp.seed = SEED
        lists.train(rows)
        lists.add(rows)
        lists.nprobe = min(num_lists, max(FEWEST, -(-num_lists // PROBED)))
        return cls(lists, digest_of(embedding, vocabulary))

    def tune(self, session: Tensor, best: Tensor) -> None:
        """Sets the number of lists that are searched: as few as find :data:`RECALL` of the best items, but not fewer
        than :data:`FEWEST`.

        Args:
            session: Session embeddings to measure with, [S, d].
            best: Their best items, [S, k], by a search of all.
        """
        self.lists.nprobe = min(FEWEST, self.lists.nlist)
        while self.lists.nprobe < self.lists.nlist and self.recall(session, best) < RECALL:
            self.lists.nprobe = min(2 * self.lists.nprobe, self.lists.nlist)

    def recall(self, session: Tensor, best: Tensor) -> float:
        """The share of the best items of sessions [S, d], [S, k], that it proposes."""
        proposed = self.propose(session, max(CANDIDATES, best.size(1)))
        return float((best.unsqueeze(2) == proposed.unsqueeze(1)).any(dim=2).float().mean())

    def save(self, path: str | Path) -> None:
        """Writes the index to one file, whole or not at all.

        Raises:
            UserError: if the system refuses to write.
        """
        content = {"digest": self.digest, "index": torch.from_numpy(_faiss().serialize_index(self.lists))}
        with whole_file(Path(path), "the index", "folder") as temporary:
            write_tensors(content, temporary)

    @classmethod
    def load(cls, path: str | Path, model: Model, vocabulary: Vocabulary) -> "ItemIndex":
        """Reads the index of a model.

        Raises:
            UserError: if there is no file, it holds no index, it was built from other items or weights, or faiss is
                missing.
        """
        faiss = _faiss()
        if not Path(path).is_file():
            raise UserError(f"There is no index {path}: python src/export.py output={path} builds one.")
        try:
            saved = torch.load(path, map_location="cpu", weights_only=True)
            digest, content = saved["digest"], saved["index"]
        except Exception as error:  # torch raises many kinds of errors for a file that is not its own
            raise UserError(f"{path} is not an index of this project ({type(error).__name__}): {BUILD_NEW}.") from error
        if digest != digest_of(embedding_of(model), vocabulary):
            raise UserError(f"{path} was built from another checkpoint: {BUILD_NEW}.")
        return cls(faiss.deserialize_index(content.numpy()), digest)

    def propose(self, session: Tensor, count: int) -> Tensor:
        """The likely best items of sessions: embeddings [B, d] -> [B, count], -1 where the lists hold fewer."""
        vectors = np.ascontiguousarray(session.float().numpy())
        return torch.from_numpy(self.lists.search(vectors, count)[1])

    def best(self, session: Tensor, items: Tensor, norm: Tensor | None, top: int) -> tuple[Tensor, Tensor]:
        """The best items among the proposed ones, with the scores that the model gives them.

        Args:
            session: Session embeddings, [B, d].
            items: The item embeddings of the model, [V, d].
            norm: Divisors of the scores of every item, [V]; None divides by nothing.
            top: Number of items.

        Returns:
            items [B, top], scores [B, top]; the last ones are -1, with a score of minus infinity, if too few were
            proposed
        """
        found = self.propose(session, min(max(CANDIDATES, top), len(items)))  # [B, n]
        return best_of(found, session, items, norm, top)


def embedding_of(model: Model) -> ItemEmbedding:
    """The items that the scores of a model are products with.

    Raises:
        UserError: if they are not products.
    """
    if not model.in_products:
        raise UserError(
            "The scores of this model are not products of a session with its items, as an index and a compiled model "
            "need them: use the checkpoint alone."
        )
    return cast(TrainableModel, model).item_embedding.merged()


def digest_of(embedding: ItemEmbedding, vocabulary: Vocabulary) -> str:
    """The hash of an item table and the ids of its rows (SHA-256)."""
    digest = hashlib.sha256(json.dumps([vocabulary.ids, embedding.normalized]).encode())
    for tensor in embedding.sources or (embedding.weight.detach(),):
        digest.update(np.ascontiguousarray(tensor.numpy()).data)
    return digest.hexdigest()


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise UserError("An index needs faiss: pip install 'srgnn[index]'.") from error
    return faiss
