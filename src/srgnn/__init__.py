"""Session-based recommendation with SR-GNN (Wu et al., AAAI 2019)."""

__version__ = "0.3.0"
