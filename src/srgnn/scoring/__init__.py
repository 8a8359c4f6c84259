"""Recommendations for tables of sessions: as a function of Arrow tables, and file by file."""

from srgnn.errors import UserError

try:
    import pyarrow  # noqa: F401
except ModuleNotFoundError as error:
    raise UserError("Tables of sessions need Arrow: pip install 'srgnn[batch]'.") from error

from srgnn.scoring.scorer import Scorer

__all__ = ["Scorer"]
