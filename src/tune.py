"""Searches for good values of options on the validation set: `python src/tune.py dataset=diginetica trials=50`."""

import logging
import sys
import warnings

from omegaconf import DictConfig

from srgnn.cli.arguments import as_typed
from srgnn.cli.config import build_data_set, load, program
from srgnn.cli.errors import one_sentence, options_of
from srgnn.cli.tables import say
from srgnn.memory import keep_freed_memory
from srgnn.training.callbacks import Interrupted

try:
    from srgnn.cli.search import ConfiguredSearch
    from srgnn.cli.search_options import joined
except ModuleNotFoundError as error:
    if error.name != "optuna":
        raise
    sys.exit("Error: A search needs Optuna: pip install 'srgnn[tune]'.")
from srgnn.search.study import Stopped


@program("tune")
def main(config: DictConfig) -> None:
    keep_freed_memory()
    for name in ("lightning.pytorch", "optuna"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("srgnn.training.callbacks").setLevel(logging.WARNING)  # a line per trial, not per epoch
    warnings.filterwarnings("ignore", module=r"lightning\.")
    data_set = build_data_set(config)
    search = ConfiguredSearch(config, data_set.num_items)
    try:
        with options_of(config):
            search.open()
            search.run(load(config, data_set))
    except (Interrupted, Stopped, KeyboardInterrupt) as stop:
        if not search.can_resume:
            raise
        say(f"{str(stop) or 'Interrupted.'} Continue with:\n  {search.resume}")
        sys.exit(130)  # what shells expect after Ctrl-C
    search.report()


if __name__ == "__main__":
    with one_sentence("tune"):
        sys.argv[1:] = joined(as_typed(sys.argv[1:], ["trainer", "space"]))
    main()
