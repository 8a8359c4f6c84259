from srgnn.data.benchmarks import PublishedSet
from srgnn.data.graphs import SessionGraphs, session_graph
from srgnn.data.sessions import SessionData, Sessions, Vocabulary
from srgnn.data.synthetic import SyntheticLog

__all__ = ["PublishedSet", "SessionData", "SessionGraphs", "Sessions", "SyntheticLog", "Vocabulary", "session_graph"]
