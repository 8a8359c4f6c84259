"""Session-based recommendation with SR-GNN (Wu et al., AAAI 2019)."""

import os

__version__ = "0.3.0"

# After each operator, torch's threads look for the next one for milliseconds, during which they take the cores from the
# threads of srgnn.threads. A shorter search (some microseconds) suffices. It must be set before torch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "3000")
