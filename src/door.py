"""What the doors share: sentences instead of tracebacks, tables, and the way to a run's files."""

import ctypes
import json
import os
import resource
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, HydraException, InstantiationException, MissingConfigException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from rich import box
from rich.console import Console
from rich.table import Table

from srgnn.data import ClickLog, SessionData
from srgnn.errors import OptionError, UserError

CONF = Path(__file__).resolve().parents[1] / "conf"
RESULT = "result.json"


def open_door(main: Callable[[], None]) -> None:
    """Calls a Hydra main: what a user can mend becomes one sentence."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands its errors on instead of printing them itself
    with one_sentence():
        main()


@contextmanager
def one_sentence() -> Iterator[None]:
    """Ends the program with one sentence for an error that a user can mend; SRGNN_TRACEBACK=1 asks for the traceback.

    A door enters it outside of Hydra for errors of the configuration, and again inside of the task for its own,
    or else Hydra prints a line of its own before the sentence.
    """
    try:
        yield
    except KeyboardInterrupt:
        sys.exit("Interrupted.")
    except Exception as error:
        sentence = _sentence(error, Path(sys.argv[0]).stem)
        if sentence is None or os.environ.get("SRGNN_TRACEBACK") == "1":
            raise
        if not is_main_process():  # one process speaks for all
            sys.exit(1)
        sys.exit(f"Error: {sentence}")


def is_main_process() -> bool:
    return os.environ.get("LOCAL_RANK", "0") == "0"


def keep_freed_memory() -> None:
    """Stops glibc from handing the buffers of every step back to the kernel: their page faults cost a tenth.

    Larger ones, of evaluations and of large catalogues, still come and go: kept, they would pile up beside each other.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        mallopt(-3, 32 << 20)  # M_MMAP_THRESHOLD: the largest that glibc takes; the gradient of 80,000 items of 100
        mallopt(-1, 256 << 20)  # M_TRIM_THRESHOLD: so much free memory stays


def peak_memory() -> float:
    """The most memory that this process has held so far, in GB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


@contextmanager
def within(group: str) -> Iterator[None]:
    """Names the configuration group of what is called inside in the errors that it raises."""
    try:
        yield
    except OptionError as error:
        raise error.within(group) from error
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, OptionError):
            raise cause.within(group) from error
        raise UserError(f"{group}: {cause or error}".splitlines()[0]) from error


def build(config: DictConfig, group: str) -> Any:
    """The object that a configuration group describes."""
    with within(group):
        return instantiate(OmegaConf.to_container(config[group], resolve=True, throw_on_missing=True))


def load(dataset: Any) -> SessionData:
    """The data of the dataset that :func:`build` made.

    Raises:
        UserError: for a rule that cannot be applied, since the set is published as sessions.
    """
    if isinstance(dataset, ClickLog) and dataset.as_published:
        for text in HydraConfig.get().overrides.task:
            if text.startswith(("dataset.", "preset=")) and not text.startswith(
                ("dataset.published.", "preset=default")
            ):
                raise UserError(
                    f"{text}: {dataset.name} is published as sessions, to which this cannot be applied; name its raw "
                    "log with dataset.path=FILE."
                )
    with within("dataset"):
        return dataset.load()


def _sentence(error: BaseException, config_name: str) -> str | None:
    """What to tell the user, or None for an error of the program itself."""
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    for cause in chain:
        if isinstance(cause, UserError):
            return str(cause)
        if isinstance(cause, MissingMandatoryValue):
            return f"{cause.full_key} is missing: say {cause.full_key}=... ({config_name}.py --help shows all options)."
        if isinstance(cause, MissingConfigException) and cause.missing_cfg_file:
            group, _, name = cause.missing_cfg_file.rpartition("/")
            return f"{group}={name}: expected one of {', '.join(cause.options or ())}."
    if isinstance(error, ConfigCompositionException):
        return _unknown_option(error, config_name)
    if isinstance(error, (HydraException, OmegaConfBaseException)):
        return " ".join(str(error).split())
    if isinstance(error, OSError):
        where = f" {error.filename}" if error.filename else ""
        return (
            f"Cannot write{where} ({error.strerror or error}): free some space or name another folder with "
            "paths.outputs=FOLDER."
        )
    return None


def _unknown_option(error: Exception, config_name: str) -> str:
    """Names the options that there are beside the one that is not."""
    key = str(error).partition("'")[2].partition("'")[0]
    given = next((text for text in sys.argv[1:] if text.lstrip("+~").startswith(key)), key)
    group = key.rpartition(".")[0]
    groups = [text for text in sys.argv[1:] if (CONF / text.partition("=")[0]).is_dir()]  # what has been chosen
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(config_name, groups)
    options = OmegaConf.select(config, group) if group else config
    if not isinstance(options, DictConfig):
        return " ".join(str(error).split())
    names = [str(name) for name in options if not str(name).startswith("_")]
    return f"{given}: there is no option {key}; {group or 'the configuration'} has {', '.join(names)}."


def plain(config: DictConfig) -> dict[str, Any]:
    """The configuration as plain values: nothing below the doors knows OmegaConf."""
    return OmegaConf.to_container(config, resolve=True)  # type: ignore[return-value]


def is_sweep() -> bool:
    return HydraConfig.get().mode == RunMode.MULTIRUN


def new_table(title: str, first: str, *others: str) -> Table:
    """A table of numbers: a column of names, and others on their right."""
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", collapse_padding=True)
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def print_results(title: str, metrics: Mapping[str, Mapping[str, float]], k: Sequence[int]) -> None:
    """A table of recall and mrr in percent, one row per model."""
    names = [f"{metric}@{cut}" for metric in ("recall", "mrr") for cut in sorted(set(k))]
    table = new_table(title, "test, percent", *names)
    for row, (model, values) in enumerate(metrics.items()):
        table.add_row(model, *(f"{100 * values[name]:.2f}" for name in names), style="bold" if row == 0 else None)
    Console().print(table)


def finished_run(checkpoint: str, outputs: str) -> Path:
    """The path of a checkpoint; `last` is that of the newest finished run.

    Raises:
        UserError: when there is none.
    """
    if checkpoint != "last":
        return Path(checkpoint)
    runs = sorted(Path(outputs).rglob(RESULT), key=lambda path: path.stat().st_mtime)
    for result in reversed(runs):
        saved = json.loads(result.read_text())
        if "checkpoint" in saved:
            return result.parent / saved["checkpoint"]
    raise UserError(f"There is no finished run in {outputs}: train one with python src/train.py.")


class SweepTable(Callback):
    """Hydra's hook after the last run of a sweep: one table of what was run."""

    def __init__(self) -> None:
        self.results: list[dict[str, Any]] = []

    def on_job_end(self, config: DictConfig, job_return: Any, **kwargs: Any) -> None:
        path = Path(config.hydra.runtime.output_dir) / RESULT
        if path.is_file():
            self.results.append(json.loads(path.read_text()))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        done = [result for result in self.results if "metrics" in result]
        cut = max((int(name.partition("@")[2]) for result in done for name in result["metrics"]["SR-GNN"]), default=20)
        names = [f"recall@{cut}", f"mrr@{cut}"]
        table = Table(title=f"The sweep {config.hydra.sweep.dir}", box=box.SIMPLE_HEAD, title_justify="left")
        for name in ("run", "options", *names, "seconds"):
            table.add_column(name, justify="left" if name == "options" else "right")
        best = max((result["metrics"]["SR-GNN"][names[1]] for result in done), default=None)
        for number, result in enumerate(self.results):
            options = " ".join(result["overrides"])
            if "error" in result:
                table.add_row(str(number), f"{options}\n{result['error']}", "", "", "", style="red")
                continue
            values = result["metrics"]["SR-GNN"]
            figures = [f"{100 * values[name]:.2f}" for name in names]
            style = "bold" if values[names[1]] == best else None
            table.add_row(str(number), options, *figures, f"{result['seconds']:,.0f}", style=style)
        Console().print(table)
