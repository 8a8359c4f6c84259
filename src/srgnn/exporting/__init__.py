"""Models as programs that run without this package: `torch.export` programs and ONNX files."""

from srgnn.exporting.compiled import export_compiled
from srgnn.exporting.program import ScoringProgram, check_exportable, trace
from srgnn.exporting.writing import FORMATS, export

__all__ = ["FORMATS", "ScoringProgram", "check_exportable", "export", "export_compiled", "trace"]
