"""Recommends the next items for one session: `python src/recommend.py checkpoint=last session=A,B,A k=10`."""

import os
import sys

import hydra
from omegaconf import DictConfig
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import door
from srgnn.recommender import Recommender


@hydra.main(version_base="1.3", config_path="../conf", config_name="recommend")
def main(config: DictConfig) -> None:
    with door.one_sentence():
        checkpoint = door.finished_run(config.checkpoint, config.paths.outputs)
        session = [raw.strip() for raw in str(config.session).split(",")]
        found = Recommender.load(checkpoint).recommend(session, config.k)
        table = Table(title=f"After {', '.join(session)}", box=box.SIMPLE_HEAD, title_justify="left")
        table.add_column("", justify="right")
        table.add_column("item")
        if found.titles:
            table.add_column("title")
        table.add_column("probability", justify="right")
        for place, (item, probability) in enumerate(found, start=1):
            title = [escape(found.titles[place - 1] or "")] if found.titles else []
            table.add_row(str(place), escape(str(item)), *title, f"{100 * probability:.2f} %")
        console = Console(soft_wrap=True, highlight=False)
        console.print(table)
        if found.skipped:
            console.print(f"Skipped, because unknown: {', '.join(map(str, found.skipped))}")
        console.print(f"Checkpoint: {os.path.relpath(checkpoint)}")


def quoted(argument: str) -> str:
    """Hydra would read the commas of session=A,B,A as a sweep."""
    if not argument.startswith("session="):
        return argument
    return "session='" + argument.removeprefix("session=").replace("\\", "\\\\").replace("'", "\\'") + "'"


if __name__ == "__main__":
    sys.argv[1:] = map(quoted, sys.argv[1:])
    door.open_door(main)
