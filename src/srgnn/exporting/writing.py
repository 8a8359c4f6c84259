"""Files of exported programs, which hold all that a user without this package needs."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.onnx import ONNXProgram

from srgnn.errors import UserError
from srgnn.exporting.program import Outputs, ScoringProgram, check, check_exportable, quiet, trace
from srgnn.saving import whole_file
from srgnn.training.checkpoint import Checkpoint, CheckpointRecord

ABOUT = "srgnn.json"  # the name of the description in a file
LARGEST_ONNX = 2**31 - 2**26  # bytes of weights: an ONNX file holds 2 GB, some of which is the program and the ids


def export(checkpoint: Checkpoint, output: Path, k: int | None = None) -> float:
    """Writes the model of a checkpoint as a program, once its file has been compared with the model.

    The file also holds a description in JSON: `ids`, the raw ids by index, `titles`, `model`, `k`, and `padding`, the
    entry that is skipped. It is the extra file `srgnn.json` of a `.pt2` file, and the metadata `srgnn.json` of an
    `.onnx` file.

    Args:
        checkpoint: The checkpoint.
        output: The file, whose suffix is one of :data:`FORMATS`.
        k: Number of best items that the program returns; None for the scores of all.

    Returns:
        The largest difference of a score from the model's, as a share of the largest score.

    Raises:
        UserError: if the model cannot be exported in that format, a package is missing, the program does not give the
            scores of the model, or the system refuses to write.
    """
    name, write = checkpoint.record.architecture, FORMATS[output.suffix]
    program = ScoringProgram(check_exportable(checkpoint.build_model(), name), k)
    with whole_file(output, "the program", "folder") as temporary:
        with exported(name, output):
            run = write(trace(program), temporary, description(checkpoint.record, k))
        return check(run, program.model, program.num_items, k, f"The program {output.name}")


@contextmanager
def exported(name: str, output: Path) -> Iterator[None]:
    """Turns what torch raises when it cannot export a model into one sentence."""
    try:
        yield
    except (UserError, OSError):
        raise
    except Exception as error:  # of many kinds, with texts of many lines
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{name} with these settings cannot be written as {output.suffix} ({type(error).__name__}: {reason}): "
            "use the checkpoint itself."
        ) from error


def description(record: CheckpointRecord, k: int | None) -> dict[str, Any]:
    """The description that a file holds."""
    return {"model": record.architecture, "padding": -1, "k": k, "ids": record.vocabulary, "titles": record.titles}


def write_torch(program: ExportedProgram, path: Path, about: dict[str, Any]) -> Callable[[Tensor], Outputs]:
    """Writes a `torch.export` program, and returns the one that the file holds."""
    with quiet():
        torch.export.save(program, path, extra_files={ABOUT: json.dumps(about)})
        run: Callable[[Tensor], Outputs] = torch.export.load(path).module()
    return run


def write_onnx(program: ExportedProgram, path: Path, about: dict[str, Any]) -> Callable[[Tensor], Outputs]:
    """Writes an ONNX file, and returns what onnxruntime computes from it.

    Raises:
        UserError: see :func:`onnx_of`.
    """
    outputs = ["scores"] if about["k"] is None else ["best", "scores"]
    translated = onnx_of(program, outputs, "use a name that ends in .pt2")
    import onnxruntime

    translated.model.metadata_props[ABOUT] = json.dumps(about)
    translated.save(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda items: tuple(map(torch.from_numpy, session.run(None, {"items": items.numpy()})))


def onnx_of(program: ExportedProgram, outputs: Sequence[str], remedy: str) -> ONNXProgram:
    """A program in the operations of ONNX, with names of its outputs; its input is `items`.

    `remedy` is what helps where the weights are too large.

    Raises:
        UserError: if a package is missing, or the weights are too large for one file.
    """
    try:
        import onnxruntime  # noqa: F401  # who writes a file runs it, too
        import onnxscript  # noqa: F401  # torch needs it
    except ImportError as error:
        raise UserError("ONNX needs further packages: pip install 'srgnn[export]'.") from error
    size = sum(weight.numel() * weight.element_size() for weight in program.state_dict.values())
    if size > LARGEST_ONNX:
        raise UserError(
            f"The weights take {size / 1e9:.1f} GB, and an ONNX file holds 2 GB: {remedy}.",
            "output",
        )
    with quiet():
        translated = torch.onnx.export(program, input_names=["items"], output_names=outputs, dynamo=True, verbose=False)
    assert translated is not None  # None is returned for other arguments
    return translated


FORMATS: dict[str, Callable[[ExportedProgram, Path, dict[str, Any]], Callable[[Tensor], Outputs]]] = {
    ".pt2": write_torch,
    ".onnx": write_onnx,
}
