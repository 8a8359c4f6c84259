# srgnn.data.graphs is imported by its own name: PyG takes seconds to load, and a log is prepared without it.
from srgnn.data.benchmarks import PublishedSet
from srgnn.data.clicks import ClickLog
from srgnn.data.rules import Rules
from srgnn.data.sessions import SessionData, Sessions, Vocabulary
from srgnn.data.synthetic import SyntheticLog

__all__ = [
    "ClickLog",
    "Rules",
    "PublishedSet",
    "SessionData",
    "Sessions",
    "SyntheticLog",
    "Vocabulary",
]
