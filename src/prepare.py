"""Prepares a click log and says what was done to it: `python src/prepare.py dataset=diginetica`."""

import os
import time

import hydra
from omegaconf import DictConfig
from rich import box
from rich.console import Console
from rich.table import Table

import door
from srgnn.data import SessionData


@hydra.main(version_base="1.3", config_path="../conf", config_name="prepare")
def main(config: DictConfig) -> None:
    with door.one_sentence():
        started = time.perf_counter()
        data = door.build(config, "dataset").load()
        report(data, Console(soft_wrap=True, highlight=False))
        print(f"{time.perf_counter() - started:,.1f} s; the prepared data and its manifest are in {folder(config)}")


def folder(config: DictConfig) -> str:
    return os.path.relpath(config.paths.cache)


def report(data: SessionData, console: Console) -> None:
    """The manifest as tables: every rule with what it left, the split, the lengths."""
    manifest = data.manifest
    table = Table(title=manifest["name"], box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("rule", no_wrap=True)
    for column in ("clicks", "sessions", "items"):
        table.add_column(column, justify="right")
    for step in manifest.get("steps", []):
        table.add_row(step["rule"], *(number(step[name]) for name in ("clicks", "sessions", "items")))
    for name, part in (("training set", data.train), ("test set", data.test)):
        items = len(part.items.unique())
        table.add_row(name, number(part.items.numel()), number(len(part)), number(items), style="bold")
    console.print(table)
    if "lengths" in manifest:
        lengths = Table(title="Sessions by clicks", box=box.SIMPLE_HEAD, title_justify="left")
        lengths.add_column("")
        for bucket in manifest["lengths"]["train"]:
            lengths.add_column(bucket, justify="right")
        for part, counts in manifest["lengths"].items():
            lengths.add_row(part, *map(number, counts.values()))
        console.print(lengths)
    counts = data.counts
    console.print(
        f"{counts['train_prefixes']:,} training prefixes, {counts['test_prefixes']:,} test prefixes, "
        f"{counts['items']:,} candidates"
    )
    if "split" in manifest:
        split, unseen = manifest["split"], manifest["unseen_test_targets"]
        console.print(
            f"Training sessions from {split['train'][0]} to {split['train'][1]}, test sessions from "
            f"{split['test'][0]} to {split['test'][1]} (UTC, by their last click); "
            f"{split['test_sessions_begun_before']:,} test sessions began before the split\n"
            f"Test targets never seen in training: {100 * unseen['before']:.2f} % in the log, "
            f"{100 * unseen['after']:.2f} % in the test set"
        )


def number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


if __name__ == "__main__":
    door.open_door(main)
