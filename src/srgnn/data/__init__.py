from srgnn.data.benchmarks import PublishedSet
from srgnn.data.clicks import ClickLog
from srgnn.data.graphs import SessionGraphs, session_graph
from srgnn.data.rules import Rules
from srgnn.data.sessions import SessionData, Sessions, Vocabulary
from srgnn.data.synthetic import SyntheticLog

__all__ = [
    "ClickLog",
    "Rules",
    "PublishedSet",
    "SessionData",
    "SessionGraphs",
    "Sessions",
    "SyntheticLog",
    "Vocabulary",
    "session_graph",
]
