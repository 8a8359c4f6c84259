from srgnn.nn.conv import SessionGraphConv
from srgnn.nn.losses import LOSSES
from srgnn.nn.readout import SessionReadout
from srgnn.nn.srgnn import SRGNN

__all__ = ["LOSSES", "SRGNN", "SessionGraphConv", "SessionReadout"]
