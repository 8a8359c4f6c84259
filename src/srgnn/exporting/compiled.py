"""Writes the two programs of a :class:`~srgnn.compiled.CompiledModel`."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from torch.nn import Module
from torch_geometric.data import Batch

from srgnn.compiled import GROUP, LEAST_KEPT, VERSION, CompiledModel
from srgnn.contracts import TrainableModel
from srgnn.data.graphs import whole_sessions
from srgnn.data.sessions import Sessions
from srgnn.errors import UserError
from srgnn.exporting.graphs import PaddedGraphs
from srgnn.exporting.program import SHAPES, TOLERANCE, check_exportable, frozen, random_items, trace
from srgnn.exporting.tracing import Traceable
from srgnn.exporting.writing import LARGEST_ONNX, exported, onnx_of
from srgnn.index import embedding_of
from srgnn.saving import whole_file, write_tensors
from srgnn.training.checkpoint import Checkpoint

LEVELS, MIDDLE = 127, 128  # of an entry of a session on either side of 0, and what stands for 0
ITEM_LEVELS = 63  # of an entry of an item: with 127, sums of two products would overflow on some processors
SMALLEST = 1e-30  # in place of the largest entry of an embedding of zeros, which is divided by
OUTSIDE = 64  # items at least that are in no group
OPSET, IR_VERSION = 18, 9  # versions of ONNX that onnxruntime has known for years
TRIED = 256  # random sessions that the search is tried with
CUT = 20  # items that it is asked for
WORTH = 0.9  # share of them from which on the search takes less time than all scores


class EncodingProgram(Module):
    """Session embeddings for sessions of item indices, [B, L] -> [B, d]; -1 is padding."""

    def __init__(self, model: TrainableModel):
        super().__init__()
        self.model = frozen(model)
        self.num_items = model.item_embedding.num_embeddings

    def forward(self, items: Tensor) -> Tensor:
        with Traceable():
            batch = cast(Batch, PaddedGraphs.of(items))
            return self.model.session_embedding(batch)[:-1]


def export_compiled(checkpoint: Checkpoint, output: Path) -> CompiledModel:
    """Writes the programs of a checkpoint, once they have been compared with the model, and starts them.

    The search is left out where it would rarely prove its result.

    Raises:
        UserError: if the scores of the model are not products, it cannot be exported, a package is missing, a program
            does not give what the model gives, or the system refuses to write.
    """
    name = checkpoint.record.architecture
    program = EncodingProgram(check_exportable(checkpoint.build_model(), name))
    rows = embedding_of(program.model).divided()
    with exported(name, output):
        translated = onnx_of(trace(program), ["session"], "serve the checkpoint alone, or with an index")
        encoder = translated.model_proto.SerializeToString()
        search = search_program(rows) if rows.numel() < LARGEST_ONNX else None
    compiled = CompiledModel.start(encoder, search, rows, output.name)
    check_encoder(compiled, program, output.name)
    if search is not None and check_search(compiled, output.name) < WORTH:
        search, compiled = None, replace(compiled, search=None)
    content = {
        "version": VERSION,
        "fingerprint": checkpoint.fingerprint,
        "encoder": _bytes(encoder),
        "search": _bytes(search),
    }
    with whole_file(output, "the compiled model", "folder") as temporary:
        write_tensors(content, temporary)
    return compiled


def search_program(rows: Tensor) -> bytes | None:
    """The search of the best items among these [V, d], as an ONNX file, see :class:`~srgnn.compiled.CompiledModel`.

    The maxima of groups are compared as in :func:`srgnn.nn.ranking.best_products`. Some items are in no group, and are
    always scored in full: those that lose most by rounding, since they would loosen the bound for all, and the few that
    are left over by whole groups. None where there are few items.
    """
    import onnx
    from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info

    num_groups = (len(rows) - OUTSIDE) // GROUP
    if num_groups < 2 * LEAST_KEPT:
        return None
    steps = rows.abs().amax(dim=1).clamp(min=SMALLEST) / ITEM_LEVELS
    rounded = (rows / steps.view(-1, 1)).round()
    restored = rounded * steps.view(-1, 1)
    losses = (rows - restored).norm(dim=1)
    inside, outside = losses.argsort(stable=True).tensor_split([num_groups * GROUP])
    constants = {
        "items": rounded[inside].T.to(torch.int8).contiguous(),
        "steps": steps[inside],
        "inside": inside,
        "outside": outside.view(1, -1),
        "rounding": losses[inside].max(),
        "longest": restored[inside].norm(dim=1).max(),
        "members": torch.arange(0, len(inside), num_groups),
        "by_group": torch.tensor([-1, GROUP, num_groups]),
        "smallest": torch.tensor(SMALLEST),
        "levels": torch.tensor(float(LEVELS)),
        "middle": torch.tensor(float(MIDDLE)),
        "zero": torch.tensor(MIDDLE, dtype=torch.uint8),
        "flat": torch.tensor([0, -1]),
        **{f"axis_{axis}": torch.tensor([axis]) for axis in (1, 2)},
    }
    nodes = [
        # Sessions in 8 bits, by their largest entry: [B, d].
        make_node("Abs", ["session"], ["sizes"]),
        make_node("ReduceMax", ["sizes", "axis_1"], ["largest"], keepdims=1),
        make_node("Max", ["largest", "smallest"], ["limit"]),
        make_node("Div", ["limit", "levels"], ["step"]),
        make_node("Div", ["session", "step"], ["scaled"]),
        make_node("Round", ["scaled"], ["rounded"]),
        make_node("Add", ["rounded", "middle"], ["shifted"]),
        make_node("Cast", ["shifted"], ["small"], to=onnx.TensorProto.UINT8),
        # Their products with the items in groups, in units of `step`: [B, n].
        make_node("MatMulInteger", ["small", "items", "zero"], ["sums"]),
        make_node("Cast", ["sums"], ["products"], to=onnx.TensorProto.FLOAT),
        make_node("Mul", ["products", "steps"], ["roughly"]),
        # The items with the largest ones, which are in the groups with the largest maxima: [B, count].
        make_node("Reshape", ["roughly", "by_group"], ["grouped"]),
        make_node("ReduceMax", ["grouped", "axis_1"], ["maxima"], keepdims=0),
        make_node("TopK", ["maxima", "count"], ["of_groups", "groups"], sorted=0),  # each has an item to keep
        make_node("Unsqueeze", ["groups", "axis_2"], ["first_members"]),
        make_node("Add", ["first_members", "members"], ["in_groups"]),
        make_node("Reshape", ["in_groups", "flat"], ["candidates"]),
        make_node("GatherElements", ["roughly", "candidates"], ["of_candidates"], axis=1),
        make_node("TopK", ["of_candidates", "count"], ["of_found", "places"], sorted=0),
        make_node("GatherElements", ["candidates", "places"], ["positions"], axis=1),
        make_node("Gather", ["inside", "positions"], ["found"]),
        # The scores of these items and of those in no group: [B, m].
        make_node("Shape", ["session"], ["batch"], end=1),
        make_node("Concat", ["batch", "axis_1"], ["of_outside"], axis=0),
        make_node("Expand", ["outside", "of_outside"], ["others"]),
        make_node("Concat", ["found", "others"], ["proposed"], axis=1),
        make_node("Gather", ["rows", "proposed"], ["proposed_rows"]),
        make_node("Unsqueeze", ["session", "axis_2"], ["column"]),
        make_node("MatMul", ["proposed_rows", "column"], ["of_proposed"]),
        make_node("Squeeze", ["of_proposed", "axis_2"], ["exactly"]),
        make_node("TopK", ["exactly", "top"], ["scores", "of_best"]),
        make_node("GatherElements", ["proposed", "of_best"], ["best"], axis=1),
        # What the score of any other item cannot be above: [B, 1].
        make_node("ReduceMin", ["of_found", "axis_1"], ["left_out"]),
        make_node("ReduceL2", ["scaled", "axis_1"], ["length"]),
        make_node("Mul", ["length", "rounding"], ["by_items"]),
        make_node("Sub", ["scaled", "rounded"], ["lost"]),
        make_node("ReduceL2", ["lost", "axis_1"], ["lost_length"]),
        make_node("Mul", ["lost_length", "longest"], ["by_sessions"]),
        make_node("Sum", ["left_out", "by_items", "by_sessions"], ["highest"]),
        make_node("Mul", ["highest", "step"], ["bound"]),
    ]
    integer, real = onnx.TensorProto.INT64, onnx.TensorProto.FLOAT
    inputs = [
        make_tensor_value_info("session", real, ["batch", rows.size(1)]),
        make_tensor_value_info("rows", real, list(rows.shape)),
        make_tensor_value_info("count", integer, [1]),
        make_tensor_value_info("top", integer, [1]),
    ]
    outputs = [
        make_tensor_value_info("best", integer, ["batch", "top"]),
        make_tensor_value_info("scores", real, ["batch", "top"]),
        make_tensor_value_info("bound", real, ["batch", 1]),
    ]
    initializers = [onnx.numpy_helper.from_array(value.numpy(), name) for name, value in constants.items()]
    graph = make_graph(nodes, "search", inputs, outputs, initializers)
    program: bytes = make_model(
        graph, opset_imports=[make_opsetid("", OPSET)], ir_version=IR_VERSION
    ).SerializeToString()
    return program


@torch.inference_mode()
def check_encoder(compiled: CompiledModel, program: EncodingProgram, name: str) -> None:
    """Compares an encoder with its model on random sessions of several numbers and lengths.

    Raises:
        UserError: if an embedding differs by more than rounding.
    """
    for num_sessions, num_clicks in SHAPES:
        items = random_items(program.num_items, num_sessions, num_clicks)
        graphs = whole_sessions(Sessions.from_lists([each[each >= 0].tolist() for each in items]), program.num_items)
        expected = program.model.session_embedding(graphs[graphs.first[:-1]])
        found = torch.from_numpy(compiled.encode(items.numpy()))
        difference = (found - expected).abs().max() / expected.abs().max()
        if not difference <= TOLERANCE:
            raise UserError(
                f"The compiled model {name} does not give the embeddings of the model for {num_sessions} sessions of "
                f"{num_clicks} clicks (difference {difference:.1e}), so it was not kept: use the checkpoint itself."
            )


@torch.inference_mode()
def check_search(compiled: CompiledModel, name: str) -> float:
    """Compares a search with all scores on random sessions, and returns the share of them that it proves.

    Raises:
        UserError: if it gives another score than the model, or proves what is not the best.
    """
    rows = torch.from_numpy(compiled.rows)
    sessions = compiled.encode(torch.randint(len(rows), (TRIED, 3)).numpy())
    num_proven = 0
    for session in sessions:
        exact = rows @ torch.from_numpy(session)
        found = compiled.best(session[None], CUT)
        assert found is not None
        items, scores, is_proven = (torch.from_numpy(each)[0] for each in found)
        largest = max((exact[items] - scores).abs().max(), (exact.topk(CUT).values - scores).abs().max() * is_proven)
        if not largest <= TOLERANCE * exact.abs().max():
            raise UserError(f"The search of {name} does not find what the model finds: use the checkpoint itself.")
        num_proven += int(is_proven)
    return num_proven / TRIED


def _bytes(program: bytes | None) -> Tensor | None:
    return None if program is None else torch.frombuffer(bytearray(program), dtype=torch.uint8)
