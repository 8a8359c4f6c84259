"""Prepares a click log and says what was done to it: `python src/prepare.py dataset=diginetica`."""

import os
import time

import hydra
from omegaconf import DictConfig
from rich.console import Console

import door
from srgnn.data import SessionData

BAR = 20  # characters of the longest bar


@hydra.main(version_base="1.3", config_path="../conf", config_name="prepare")
def main(config: DictConfig) -> None:
    with door.one_sentence():
        started = time.perf_counter()
        data = door.load(door.build(config, "dataset"))
        report(data, Console(soft_wrap=True, highlight=False))
        if data.folder:
            seconds = time.perf_counter() - started
            print(f"{seconds:,.1f} s; sessions, vocabulary and manifest are in {os.path.relpath(data.folder)}")


def report(data: SessionData, console: Console) -> None:
    """What the manifest says, as tables: what every rule left, how long the sessions are, the split."""
    manifest = data.manifest
    rules = door.new_table(manifest["name"], "rule", "clicks", "sessions", "items")
    for step in manifest.get("steps", []):
        rules.add_row(step["rule"], *(number(step[name]) for name in ("clicks", "sessions", "items")))
    for name, part in (("training set", manifest["sets"]["train"]), ("test set", manifest["sets"]["test"])):
        rules.add_row(name, *map(number, part.values()), style="bold")
    console.print(rules)

    lengths = door.new_table("Sessions by their clicks", "clicks", "training", "", "test", "")
    lengths.columns[2].justify = lengths.columns[4].justify = "left"
    train, test = manifest["lengths"]["train"], manifest["lengths"]["test"]
    for bucket in train:
        lengths.add_row(bucket, *share(train, bucket), *share(test, bucket))
    console.print(lengths)

    counts = manifest["counts"]
    console.print(
        f"{counts['train_prefixes']:,} training prefixes, {counts['test_prefixes']:,} test prefixes, "
        f"{counts['items']:,} candidates, of which {counts['trained_items']:,} occur in training"
    )
    if "titled_items" in manifest:
        console.print(
            f"The item table has titles of {manifest['titled_items']:,} of the {counts['items']:,} candidates"
        )
    unseen = manifest["unseen_test_targets"] / counts["test_prefixes"]
    console.print(f"Test targets never seen in training: {100 * unseen:.2f} %", end="")
    split = manifest.get("split")
    if split is None:
        console.print()
        return
    console.print(f" ({100 * split['unseen_share_before_rule']:.2f} % before the rule on test clicks)")
    console.print(
        f"Training sessions end from {split['train'][0]} to {split['train'][1]} UTC,\n"
        f"test sessions end from     {split['test'][0]} to {split['test'][1]} UTC; "
        f"{split['test_sessions_begun_before']:,} of them began before the split"
    )


def share(counts: dict[str, int], bucket: str) -> tuple[str, str]:
    """A count, and its bar beside the longest one."""
    return number(counts[bucket]), "█" * round(BAR * counts[bucket] / max(counts.values()))


def number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


if __name__ == "__main__":
    door.open_door(main)
