from typing import TYPE_CHECKING

from srgnn.nn.bprmf import BPRMF, BPRMFSettings
from srgnn.nn.conv import SessionGraphConv
from srgnn.nn.encoder import EncoderSettings, SessionEncoder
from srgnn.nn.fpmc import FPMC, FPMCSettings
from srgnn.nn.gru4rec import GRU4Rec, GRU4RecSettings
from srgnn.nn.losses import LOSSES, BPRLoss, FullSoftmax, SampledSoftmax, Sampling, ScoreLoss, build_loss
from srgnn.nn.narm import NARM, NARMSettings
from srgnn.nn.niser import NISERSettings
from srgnn.nn.readout import SessionReadout
from srgnn.nn.reference import from_reference_state_dict
from srgnn.nn.sasrec import SASRec, SASRecSettings
from srgnn.nn.srgnn import SRGNN, SRGNNSettings
from srgnn.nn.stamp import STAMP, STAMPSettings

if TYPE_CHECKING:
    from srgnn.contracts import ModelSettings

MODELS: dict[str, "type[ModelSettings]"] = {  # keyed by the name of their row in tables
    "SR-GNN": SRGNNSettings,
    "GRU4Rec": GRU4RecSettings,
    "NARM": NARMSettings,
    "STAMP": STAMPSettings,
    "SASRec": SASRecSettings,
    "NISER+": NISERSettings,
    "BPR-MF": BPRMFSettings,
    "FPMC": FPMCSettings,
}

__all__ = [
    "BPRLoss",
    "BPRMF",
    "BPRMFSettings",
    "FPMC",
    "FPMCSettings",
    "LOSSES",
    "MODELS",
    "SRGNN",
    "EncoderSettings",
    "FullSoftmax",
    "GRU4Rec",
    "GRU4RecSettings",
    "NISERSettings",
    "SRGNNSettings",
    "NARM",
    "NARMSettings",
    "STAMP",
    "STAMPSettings",
    "SASRec",
    "SASRecSettings",
    "SampledSoftmax",
    "Sampling",
    "ScoreLoss",
    "SessionEncoder",
    "SessionGraphConv",
    "SessionReadout",
    "build_loss",
    "from_reference_state_dict",
]
