"""Files that a checkpoint is exported to, by their suffix."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from omegaconf import DictConfig
from torch import Tensor

from srgnn.cli.config import build_data_set, data_set_of, load
from srgnn.cli.tables import say
from srgnn.data.graphs import SessionGraphs
from srgnn.data.sessions import Sessions
from srgnn.errors import UserError
from srgnn.exporting import FORMATS, export, export_compiled
from srgnn.index import RECALL, ItemIndex
from srgnn.recommender import Recommender
from srgnn.retrieval import padded
from srgnn.training.checkpoint import Checkpoint, CheckpointRecord, load_record

MEASURED = 2000  # prefixes that both searches answer
ENOUGH = 100  # of them, with which the number of lists is chosen
ALONE = 200  # sessions that are answered one by one
CUT = 20  # items that they search for


def write_weights(checkpoint: Path, output: Path, config: DictConfig) -> str:
    """Writes a checkpoint without the state of its training."""
    Checkpoint.load(checkpoint).save(output)
    return ""


def write_program(checkpoint: Path, output: Path, config: DictConfig) -> str:
    """Writes a program without this package, and says how exact it is."""
    say(f"The model becomes a program ({output.suffix}), which takes a minute ...")
    difference = export(Checkpoint.load(checkpoint), output, config.k)
    return f"Its scores are those of the model on random sessions (largest difference {difference:.0e} of the largest)."


def write_index(checkpoint: Path, output: Path, config: DictConfig) -> str:
    """Writes an index of the items, and compares its search with the exact one."""
    exact = Recommender.load(checkpoint)
    index = ItemIndex.build(exact.model, exact.vocabulary)
    sessions, targets, source = measured_sessions(load_record(checkpoint), config)
    tuning, measured = sessions[: len(sessions) // 2], sessions[len(sessions) // 2 :]
    k = min(CUT, len(exact.vocabulary))
    choice = "a sixteenth, or 8"  # of ItemIndex.build
    if len(tuning) >= ENOUGH:
        choice = f"the fewest that find {RECALL:.1%} of the best {k} items for {len(tuning):,} other {source}"
        best = exact.retrieval.best_items(Sessions.from_lists(tuning), k).items
        index.tune(exact.retrieval.session_embeddings(Sessions.from_lists(tuning)), best)
    index.save(output)
    indexed = Recommender(exact.model, exact.vocabulary, exact.clicks, index)
    found, seconds = [], []
    for recommender in (exact, indexed):
        started = time.perf_counter()
        found.append(recommender.retrieval.best_items(Sessions.from_lists(measured), k).items)
        seconds.append((time.perf_counter() - started) / len(measured))
    recall = (found[0].unsqueeze(2) == found[1].unsqueeze(1)).any(dim=2).float().mean()
    lines = [
        f"{index.lists.nprobe:,} of its {index.lists.nlist:,} lists are searched: {choice}.",
        f"Of the best {k} items, the index finds {recall:.2%} ({len(measured):,} {source}).",
        f"A session takes {seconds[1] * 1e3:.2f} ms with it and {seconds[0] * 1e3:.2f} ms without, in batches.",
    ]
    if targets is not None:
        without, with_index = (mean_reciprocal_rank(items, targets[len(tuning) :]) for items in found)
        lines.append(f"mrr@{k}: {with_index:.2%} with it, {without:.2%} without ({with_index - without:+.2%}).")
    return "\n".join(lines)


def write_compiled(checkpoint: Path, output: Path, config: DictConfig) -> str:
    """Writes the compiled model of a service, and compares its answers with those of the layers."""
    say("The model is compiled, which takes a minute ...")
    saved = Checkpoint.load(checkpoint)
    compiled = export_compiled(saved, output)
    layers = Recommender.from_checkpoint(saved)
    programs = Recommender(layers.model, layers.vocabulary, layers.clicks, compiled=compiled)
    sessions, _, source = measured_sessions(saved.record, config)
    alone = [Sessions.from_lists([session]) for session in sessions[:ALONE]]
    k, scores, seconds = min(CUT, len(layers.vocabulary)), [], []
    for recommender in (layers, programs):
        each = []
        for session in alone:
            started = time.perf_counter()
            each.append((recommender.retrieval.best_items(session, k).scores, time.perf_counter() - started))
        scores.append(torch.cat([best for best, _ in each]))
        seconds.append(statistics.median(took for _, took in each))
    difference = float((scores[0] - scores[1]).abs().max() / scores[0].abs().max())
    proofs = [found for session in alone if (found := compiled.best(compiled.encode(padded(session)), k)) is not None]
    search = "It has no search in 8 bits, which would not pay here."
    if proofs:
        share = sum(int(is_proven.all()) for _, _, is_proven in proofs) / len(proofs)
        search = f"The search in 8 bits proves the best {k} items of {share:.1%} of them; others are searched exactly."
    return (
        f"Its scores of the best {k} items differ by at most {difference:.0e} of the largest from those of the layers "
        f"({len(alone)} {source}).\n{search}\nA session alone takes {seconds[1] * 1e3:.2f} ms with it and "
        f"{seconds[0] * 1e3:.2f} ms without."
    )


def measured_sessions(record: CheckpointRecord, config: DictConfig) -> tuple[list[list[int]], Tensor | None, str]:
    """Prefixes of the test sessions with their targets [S]; random sessions if the data of the checkpoint is gone."""
    generator, num_items = torch.Generator().manual_seed(0), len(record.vocabulary)
    try:
        if config.dataset is None:
            config.dataset = data_set_of(record.config, config.paths, config.engine)
        data = load(config, build_data_set(config))
        if data.vocabulary.ids != record.vocabulary:
            raise UserError("The items of the data are not those of the checkpoint.")
    except UserError as error:
        say(f"{error}\nRandom sessions take the place of the test sessions.")
        items = torch.randint(num_items, (MEASURED, 4), generator=generator)
        return items.tolist(), None, "random sessions"
    graphs = SessionGraphs(data.test, data.num_items)
    chosen = torch.randperm(len(graphs), generator=generator)[:MEASURED]
    places = zip(graphs.start[chosen].tolist(), graphs.length[chosen].tolist(), strict=True)
    prefixes = [graphs.items[start : start + length].tolist() for start, length in places]
    return prefixes, graphs.targets[chosen], "test prefixes"


def mean_reciprocal_rank(items: Tensor, targets: Tensor) -> float:
    """mrr@k of the best items [S, k]."""
    is_target = items == targets.view(-1, 1)
    return float((is_target / torch.arange(1, items.size(1) + 1)).sum(dim=1).mean())


KINDS: dict[str, Callable[[Path, Path, DictConfig], str]] = {
    ".ckpt": write_weights,
    **dict.fromkeys(FORMATS, write_program),
    ".index": write_index,
    ".compiled": write_compiled,
}
