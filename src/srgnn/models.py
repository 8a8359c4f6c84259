"""All models by the names of their rows in tables: those that are trained, and those that count."""

from typing import TYPE_CHECKING

from srgnn.baselines import BASELINES
from srgnn.nn import MODELS as TRAINED

if TYPE_CHECKING:
    from srgnn.contracts import ModelSettings

MODELS: "dict[str, type[ModelSettings]]" = {**TRAINED, **BASELINES}
