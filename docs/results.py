"""Writes the tables of docs/results.md from finished runs: `python docs/results.py outputs/sweeps/2026-01-31_12-00-00`.

The figures of every run are kept in docs/results.json, so that a table can grow run by run, on several machines: a new
run replaces the one with the same options.
Only runs of that experiment are taken, and only those without further options; others are named and left out.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from srgnn.cli.arguments import is_within, option
from srgnn.cli.comparisons import FinishedRun, find_runs
from srgnn.comparison.significance import by_session, gains, paired_bootstrap

PAGE = Path(__file__).parent / "results.md"
BEGIN, END = "<!-- begin of the tables that docs/results.py writes -->\n", "<!-- end of the tables -->\n"
METRICS = ("recall@20", "mrr@20")
LENGTHS = ("1-5", "6+")  # clicks of the paper's short and long sessions
OTHERS = ("coverage@20", "popularity@20", "novelty@20")
# Options in which a row's run may differ from the experiment.
ALLOWED = ("dataset", "protocol", "paths", "hydra", "logger", "seed", "resume", "launcher")
EXPERIMENT = "experiment=paper_tables"
DRAWS = 10_000

DATA_SETS = {"yoochoose1_64": "Yoochoose 1/64", "diginetica": "Diginetica"}
# The rows by their option, in the order of the tables: their title, and their name in the table of published figures.
ROWS = {
    "model=popularity": ("POP", "POP"),
    "model=session_popularity": ("S-POP", "S-POP"),
    "model=markov": ("Markov chain", None),
    "model=association_rules": ("Association rules", None),
    "model=itemknn": ("Item-KNN", "Item-KNN"),
    "model=vsknn": ("V-SKNN", None),
    "model=stan": ("STAN", None),
    "model=vmis": ("VMIS-kNN", None),
    "model=bprmf": ("BPR-MF", "BPR-MF"),
    "model=fpmc": ("FPMC", "FPMC"),
    "model=gru4rec": ("GRU4Rec", "GRU4Rec (2016)"),
    "model=narm": ("NARM", "NARM"),
    "model=stamp": ("STAMP", "STAMP"),
    "model=sasrec": ("SASRec", None),
    "model=srgnn": ("SR-GNN", "SR-GNN"),
    "model=srgnn_local": ("SR-GNN, last click alone", None),
    "model=srgnn_global": ("SR-GNN, attention alone", None),
    "model=srgnn_average": ("SR-GNN, average", None),
    "model=srgnn_ngc": ("SR-GNN-NGC", None),
    "model=srgnn_fc": ("SR-GNN-FC", None),
    "model=srgnn_no_graph": ("SR-GNN without a graph", None),
    "recipe=srgnn_fast": ("SR-GNN, recipe=srgnn_fast", "SR-GNN"),
    "model=niser": ("NISER+", "NISER+"),
    "model=tagnn": ("TAGNN", "TAGNN"),
    "model=gcegnn": ("GCE-GNN", "GCE-GNN"),
    "model=sgnnhn": ("SGNN-HN", "SGNN-HN"),
}
SIMPLE = ("S-POP", "Markov chain", "Association rules", "Item-KNN", "V-SKNN", "STAN", "VMIS-kNN")
SRGNN = ("recipe=srgnn_fast", "model=srgnn")


@dataclass(frozen=True)
class Record:
    """The figures of a run.

    Args:
        data_set: The data set's name in its option.
        protocol: Evaluation protocol.
        row: The option that its row is listed under, one of :data:`ROWS`.
        seed: Its seed.
        metrics: The metrics of its model, as fractions.
        by_length: The same for short and long sessions.
        seconds: Duration of the run; of its last part if it was resumed.
        memory: Peak memory, in GB.
        resumed: Whether it was resumed.
        differences: Of SR-GNN, the differences from the best simple row of each metric: by the name of that row and the
            metric the mean, the ends of the 95 % interval and the p-value of the paired bootstrap over sessions.
    """

    data_set: str
    protocol: str
    row: str
    seed: int
    metrics: dict[str, float]
    by_length: dict[str, dict[str, float]]
    seconds: float
    memory: float
    resumed: bool
    differences: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What a later run with the same options has, too."""
        return self.data_set, self.protocol, self.row, self.seed


def main(folders: Sequence[str]) -> None:
    """Adds the finished runs in folders to the record, and writes the tables."""
    kept = PAGE.with_suffix(".json")
    records = [Record(**each) for each in json.loads(kept.read_text())] if kept.is_file() else []
    merged = {record.key: record for record in [*records, *read(find_runs(folders) if folders else [])]}
    order = list(ROWS)
    records = sorted(merged.values(), key=lambda each: (*each.key[:2], order.index(each.row), each.seed))
    kept.write_text("[\n" + ",\n".join(json.dumps(asdict(record)) for record in records) + "\n]\n")
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    published, after = read_published(page), rest.partition(END)[2]
    PAGE.write_text(before + BEGIN + "\n" + "\n".join(sections(records, published)) + END + after)


def read(runs: Iterable[FinishedRun]) -> Iterator[Record]:
    """The records of runs on a published data set, with one of the rows' options."""
    for run in runs:
        typed = run.result["overrides"]
        data_set = next((text.partition("=")[2] for text in typed if option(text) == "dataset"), "")
        own = [text for text in typed if text != EXPERIMENT and not is_within(option(text), ALLOWED)]
        lengths = run.result["by_length"].get(run.model, {})
        is_measured = {*METRICS, *OTHERS} <= {*run.result["metrics"][run.model]} and {*LENGTHS} <= {*lengths}
        if data_set in DATA_SETS and EXPERIMENT in typed and len(own) == 1 and own[0] in ROWS and is_measured:
            yield Record(
                data_set,
                run.result["protocol"],
                own[0],
                run.seed,
                {name: run.result["metrics"][run.model][name] for name in (*METRICS, *OTHERS)},
                {length: {name: lengths[length][name] for name in METRICS} for length in LENGTHS},
                run.result["seconds"],
                run.result["peak_memory_gb"],
                run.result["resumed"],
                differences(run) if own[0] in SRGNN else {},
            )
        else:
            print(
                f"Left out, since it is no run of {EXPERIMENT} on a published set with one row's option: {run.folder}"
            )


def differences(run: FinishedRun) -> dict[str, dict[str, list[float]]]:
    """The differences of a run's model from the best simple rows, which stand in every run's table."""
    metrics = run.result["metrics"]
    simple = [name for name in SIMPLE if name in metrics]
    assert run.ranks is not None
    session = run.ranks["session"].to_numpy()
    found: dict[str, dict[str, list[float]]] = {}
    for best in dict.fromkeys(max(simple, key=lambda name: metrics[name][metric]) for metric in METRICS):
        found[best] = {}
        for metric in METRICS:
            ours, theirs = (gains(run.ranks[name].to_numpy()[None], metric) for name in (run.model, best))
            each = paired_bootstrap(by_session(ours - theirs, session), DRAWS, seed=0)
            found[best][metric] = [each.mean, each.low, each.high, each.p]
    return found


def read_published(page: str) -> dict[str, dict[str, tuple[float, float]]]:
    """The published figures on the page: recall@20 and mrr@20 by model and data set."""
    lines = page[page.index("\n## The field") :].splitlines()
    table = [line.strip("|").split("|") for line in lines if line.startswith("|")]
    names = [cell.strip() for cell in table[0]]
    found = {}
    for row in table[2:]:
        cells = [cell.strip(" *") for cell in row]
        found[cells[0]] = {
            name: tuple(map(float, cell.split("/"))) for name, cell in zip(names, cells, strict=True) if "/" in cell[1:]
        }
        found[cells[0]].pop(names[0], None)
    return found


def sections(records: Sequence[Record], published: dict[str, dict[str, tuple[float, float]]]) -> Iterator[str]:
    """The lines of the tables: for each data set and protocol the accuracy, then what else there is to know."""
    for data_set, protocol in dict.fromkeys((record.data_set, record.protocol) for record in records):
        members = [record for record in records if (record.data_set, record.protocol) == (data_set, protocol)]
        yield f"### {DATA_SETS[data_set]}, `protocol={protocol}`\n"
        yield from table("model | recall@20 | mrr@20 | published | distance | seconds | GB | option")
        for record in members:
            known = published.get(ROWS[record.row][1] or "", {}).get(DATA_SETS[data_set])
            ours = [100 * record.metrics[metric] for metric in METRICS]
            yield line(
                title(record),
                *(f"{value:.2f}" for value in ours),
                pair(known or ()),
                " / ".join(f"{x - y:+.2f}" for x, y in zip(ours, known or (), strict=False)),
                f"{record.seconds:,.0f}" + ("+" if record.resumed else ""),
                f"{record.memory:.1f}",
                f"`{record.row}`",
            )
        yield ""
        for record in members:
            for best, found in record.differences.items():
                parts = [
                    f"{metric} {100 * mean:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}], p "
                    + ("< 0.001" if p < 0.001 else f"= {p:.3f}")
                    for metric, (mean, low, high, p) in found.items()
                ]
                yield f"{ROWS[record.row][0]} minus {best}: {'; '.join(parts)} (paired bootstrap over sessions).\n"
        yield from table("model | 1-5 clicks | 6+ clicks | coverage | popularity | novelty")
        for record in members:
            yield line(
                title(record),
                *(pair(100 * record.by_length[length][name] for name in METRICS) for length in LENGTHS),
                *(f"{100 * record.metrics[name]:.1f}" for name in OTHERS[:2]),
                f"{record.metrics[OTHERS[2]]:.1f}",
            )
        yield ""


def title(record: Record) -> str:
    """The name of a record's row."""
    return ROWS[record.row][0] + (f", seed {record.seed}" if record.seed else "")


def pair(values: Iterable[float]) -> str:
    """Recall@20 / mrr@20."""
    return " / ".join(f"{value:.2f}" for value in values)


def table(names: str) -> tuple[str, str]:
    """The first two lines of a table with these columns."""
    return f"| {names} |", "|" + " --- |" * (names.count("|") + 1)


def line(*cells: str) -> str:
    """A row of a table."""
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main(sys.argv[1:])
