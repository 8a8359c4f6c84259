"""Trained models, their layers, losses, and the kernels of the softmax and the ranking."""

from typing import TYPE_CHECKING

from srgnn.nn.bprmf import BPRMF, BPRMFSettings
from srgnn.nn.conv import SessionGraphConv
from srgnn.nn.encoder import EncoderSettings, SessionEncoder
from srgnn.nn.fpmc import FPMC, FPMCSettings
from srgnn.nn.gcegnn import GCEGNN, GCEGNNSettings
from srgnn.nn.gru4rec import GRU4Rec, GRU4RecSettings
from srgnn.nn.losses import LOSSES, BPRLoss, FullSoftmax, SampledSoftmax, Sampling, ScoreLoss, build_loss
from srgnn.nn.narm import NARM, NARMSettings
from srgnn.nn.niser import NISERSettings
from srgnn.nn.readout import SessionReadout
from srgnn.nn.reference import from_reference_state_dict
from srgnn.nn.sasrec import SASRec, SASRecSettings
from srgnn.nn.sgnnhn import SGNNHN, SGNNHNSettings
from srgnn.nn.srgnn import SRGNN, SRGNNSettings
from srgnn.nn.stamp import STAMP, STAMPSettings
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
    "GRU4Rec": GRU4RecSettings,
    "NARM": NARMSettings,
    "STAMP": STAMPSettings,
    "SASRec": SASRecSettings,
    "BPR-MF": BPRMFSettings,
    "FPMC": FPMCSettings,
}

__all__ = [
    "BPRMF",
    "FPMC",
    "GCEGNN",
    "LOSSES",
    "MODELS",
    "NARM",
    "SGNNHN",
    "SRGNN",
    "STAMP",
    "TAGNN",
    "BPRLoss",
    "BPRMFSettings",
    "EncoderSettings",
    "FPMCSettings",
    "FullSoftmax",
    "GCEGNNSettings",
    "GRU4Rec",
    "GRU4RecSettings",
    "NARMSettings",
    "NISERSettings",
    "SASRec",
    "SASRecSettings",
    "SGNNHNSettings",
    "SRGNNSettings",
    "STAMPSettings",
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
