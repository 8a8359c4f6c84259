"""Prepares a click log and reports what every rule left of it: `python src/prepare.py dataset=diginetica`."""

import os
import time

from omegaconf import DictConfig

from srgnn.cli.config import build_data_set, load, program
from srgnn.cli.tables import print_preparation


@program("prepare")
def main(config: DictConfig) -> None:
    started = time.perf_counter()
    data = load(config, build_data_set(config))
    print_preparation(data)
    if data.folder:
        seconds = time.perf_counter() - started
        print(f"{seconds:,.1f} s; sessions, vocabulary and manifest are in {os.path.relpath(data.folder)}")


if __name__ == "__main__":
    main()
