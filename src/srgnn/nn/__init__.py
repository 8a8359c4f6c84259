from typing import TYPE_CHECKING

from srgnn.nn.conv import SessionGraphConv
from srgnn.nn.encoder import EncoderSettings, SessionEncoder
from srgnn.nn.gcegnn import GCEGNN, GCEGNNSettings
from srgnn.nn.losses import LOSSES, FullSoftmax, SampledSoftmax, Sampling, ScoreLoss, build_loss
from srgnn.nn.niser import NISERSettings
from srgnn.nn.readout import SessionReadout
from srgnn.nn.reference import from_reference_state_dict
from srgnn.nn.sgnnhn import SGNNHN, SGNNHNSettings
from srgnn.nn.srgnn import SRGNN, SRGNNSettings
from srgnn.nn.tagnn import TAGNN, TAGNNSettings

if TYPE_CHECKING:
    from srgnn.contracts import ModelSettings

# Keyed by the name of their row in tables.
MODELS: dict[str, "type[ModelSettings]"] = {
    "SR-GNN": SRGNNSettings,
    "NISER+": NISERSettings,
    "TAGNN": TAGNNSettings,
    "GCE-GNN": GCEGNNSettings,
    "SGNN-HN": SGNNHNSettings,
}

__all__ = [
    "GCEGNN",
    "LOSSES",
    "MODELS",
    "SGNNHN",
    "SRGNN",
    "TAGNN",
    "EncoderSettings",
    "FullSoftmax",
    "GCEGNNSettings",
    "NISERSettings",
    "SGNNHNSettings",
    "SRGNNSettings",
    "SampledSoftmax",
    "Sampling",
    "ScoreLoss",
    "SessionEncoder",
    "SessionGraphConv",
    "SessionReadout",
    "TAGNNSettings",
    "build_loss",
    "from_reference_state_dict",
]
