from dataclasses import dataclass

from srgnn.nn.srgnn import SRGNNSettings


@dataclass(frozen=True)
class NISERSettings(SRGNNSettings):
    r"""The arguments of NISER+ (Gupta et al., 2019): those of :class:`~srgnn.nn.srgnn.SRGNN`, with other values.

    It is SR-GNN that scores by the cosine of session and item, with dropout on the item embeddings and positions:

    .. math:: \hat y_v \propto \exp\Big(\sigma \frac{\mathbf{s}^\top \mathbf{v}}{\|\mathbf{s}\| \|\mathbf{v}\|}\Big)

    Positions count from the first click and are added to the states of the clicks after the propagation, as in the
    reimplementation of RecBole-GNN. That drops entries of the item embeddings before it normalises them, here they are
    dropped afterwards.
    """

    scale: float | None = 16.0
    dropout: float = 0.1
    positions: int = 50
