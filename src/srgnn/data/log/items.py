"""The table of items: their titles, and any further columns."""

from dataclasses import dataclass

import polars as pl

from srgnn.data.log.arguments import check_text
from srgnn.data.log.columns.ids import id_reader
from srgnn.data.log.columns.nesting import all_paths, unpacked
from srgnn.data.log.columns.roles import check_type, name_yours, shown
from srgnn.data.log.raw.files import RawFiles
from srgnn.data.log.raw.paths import PathNames, check_paths
from srgnn.errors import UserError

OURS = ("index", "id", "title", "count", "first_seen", "last_seen", "item")  # columns of the vocabulary


@dataclass(frozen=True)
class ItemTable:
    """A table of items; its further columns are kept in the vocabulary.

    Args:
        path: A file, a glob or a list of them, in any format that a log may have; None if there is no table.
        id: Name of the column of item ids.
        title: Name of the column of titles.

    Raises:
        ArgumentError: for a value that is not allowed.
    """

    path: PathNames | None = None
    id: str | None = "id"
    title: str | None = "title"

    def __post_init__(self) -> None:
        if self.path is not None:
            check_paths("path", self.path)
        check_text("id", self.id, "id", optional=True)
        check_text("title", self.title, "title", optional=True)


def read_items(table: ItemTable, files: RawFiles) -> pl.DataFrame:
    """Reads the table into the columns `id`, as text, `title` and all others, renamed if they clash with ours.

    Raises:
        UserError: for a table that cannot be read, or lacks a column.
    """
    columns = {"id": table.id or "id", "title": table.title or "title"}
    with files.one_sentence():
        frame = unpacked(files.rows(), None, [*columns.values()]).collect(engine="streaming")
        files.check_columns([*columns.values()])
    for role, name in columns.items():
        argument = f"items.{role}"
        paths = list(all_paths(frame.schema))
        if name not in frame.columns:
            text = f"{files.name}: expected the column {name}; found {shown(paths)}"
            raise UserError(f"{text}. {name_yours({argument: [name]}, paths)}.", argument)
        check_type(files, argument, name, frame.schema[name])
    ids = frame.select(id_reader(frame[columns["id"]]).cast(pl.String)).to_series()
    others = frame.drop(columns.values())
    for name in set(OURS).intersection(others.columns):
        free = f"item_{name}"
        while free in others.columns:
            free = f"item_{free}"
        others = others.rename({name: free})
    named = others.with_columns(ids.alias("id"), frame[columns["title"]].cast(pl.String).alias("title"))
    return named.select("id", "title", *others.columns).unique("id", keep="first", maintain_order=True)


def with_titles(known: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """Joins the table of items to the rows of `known`, by their column `item`."""
    known = known.with_columns(id=pl.col("item").cast(pl.String))
    return known.join(items, on="id", how="left", maintain_order="left").drop("id")
