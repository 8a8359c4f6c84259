"""What the doors share: sentences instead of tracebacks, tables, and the way to a run's files."""

import ctypes
import json
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, HydraException, InstantiationException, MissingConfigException
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich import box
from rich.console import Console
from rich.table import Table

from srgnn.errors import OptionError, UserError

CONF = Path(__file__).resolve().parents[1] / "conf"
RESULT = "result.json"


def open_door(main: Any) -> None:
    """Calls a Hydra main. What a user can mend becomes one sentence; HYDRA_FULL_ERROR=1 asks for the traceback."""
    wants_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands its errors on instead of printing them
    keep_freed_memory()
    # Lightning's advice on DataLoader workers and on small logs: batches need no workers here.
    warnings.filterwarnings("ignore", module="lightning.*")
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Interrupted.")
    except Exception as error:
        sentence = _sentence(error, Path(sys.argv[0]).stem)
        if wants_traceback or sentence is None:
            raise
        if os.environ.get("LOCAL_RANK", "0") != "0":  # one process speaks for all
            sys.exit(1)
        sys.exit(f"Error: {sentence}")


def keep_freed_memory() -> None:
    """Stops glibc from handing the large buffers of every step back to the kernel: their page faults cost a tenth."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        mallopt(-4, 0)  # M_MMAP_MAX: no buffer gets a mapping of its own
        mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD: up to 1 GiB of free memory stays


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
        return instantiate(OmegaConf.to_container(config[group], resolve=True))


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
        if isinstance(cause, MissingConfigException) and cause.missing_cfg_file:
            group, _, name = cause.missing_cfg_file.rpartition("/")
            return f"{group}={name}: expected one of {', '.join(cause.options or ())}."
    if isinstance(error, ConfigCompositionException):
        return _unknown_option(error, config_name)
    if isinstance(error, (HydraException, OmegaConfBaseException)):
        return " ".join(str(error).split())
    if isinstance(error, OSError):
        return f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}."
    return None


def _unknown_option(error: Exception, config_name: str) -> str:
    """Names the options that there are beside the one that is not."""
    key = str(error).partition("'")[2].partition("'")[0]
    given = next((text for text in sys.argv[1:] if text.lstrip("+~").startswith(key)), key)
    group = key.rpartition(".")[0]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(config_name)
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


def print_results(title: str, metrics: Mapping[str, Mapping[str, float]], k: Sequence[int], note: str = "") -> None:
    """A table of recall and mrr in percent, one row per model."""
    table = Table(title=title, caption=note or None, box=box.SIMPLE_HEAD, title_justify="left", caption_justify="left")
    table.add_column("Test, percent")
    names = [f"{metric}@{cut}" for metric in ("recall", "mrr") for cut in sorted(set(k))]
    for name in names:
        table.add_column(name, justify="right")
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
