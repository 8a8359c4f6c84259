"""The table of items: their titles, and any further columns."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from srgnn.data.log.arguments import check_dialect, check_text, unescaped
from srgnn.data.log.columns.ids import MISSING, id_reader, integer_reader, text_reader
from srgnn.data.log.columns.names import shown
from srgnn.data.log.columns.nesting import all_paths, unpacked
from srgnn.data.log.columns.roles import check_header, check_type, is_numbered, name_yours
from srgnn.data.log.raw.converted import converted
from srgnn.data.log.raw.files import RawFiles
from srgnn.data.log.raw.paths import TEXT, PathNames, check_paths, find_files
from srgnn.data.log.report import Notice
from srgnn.data.log.words import counted
from srgnn.errors import UserError, typed

OURS = ("index", "id", "title", "count", "first_seen", "last_seen", "item")  # columns of the vocabulary


@dataclass(frozen=True)
class ItemTable:
    """A table of items; its further columns are kept in the vocabulary.

    Args:
        path: A file, a glob or a list of them, in any format that a log may have; None if there is no table.
        id: Name of the column of item ids.
        title: Name of the column of titles.
        header, separator, quote, encoding: As of a log, for a table in a text file.
        vectors: A Parquet file, a glob or a list of them, with a vector for each item: the columns `id` and `vector`,
            a list of numbers. None if there is none. It needs no `path`.

    Raises:
        ArgumentError: for a value that is not allowed.
    """

    path: PathNames | None = None
    id: str | None = "id"
    title: str | None = "title"
    header: Sequence[str] | None = None
    separator: str | None = None
    quote: str | None = '"'
    encoding: str = "utf-8"
    vectors: PathNames | None = None

    def __post_init__(self) -> None:
        for argument, path in (("path", self.path), ("vectors", self.vectors)):
            if path is not None:
                check_paths(argument, path)
        check_text("id", self.id, "id", optional=True)
        check_text("title", self.title, "title", optional=True)
        check_dialect(self.header, self.separator, self.quote, self.encoding, "items.")

    def files(self) -> RawFiles | None:
        """The files of the table, if there is one.

        Raises:
            UserError: if they cannot be found.
        """
        if not self.path:
            return None
        separator = None if self.separator is None else unescaped(self.separator)
        paths = find_files("items.path", self.path)
        return RawFiles(paths, self.header, separator, self.quote, encoding=self.encoding)

    def vector_files(self) -> RawFiles | None:
        """The files of the vectors, if there are any.

        Raises:
            UserError: if they cannot be found.
        """
        return RawFiles(find_files("items.vectors", self.vectors)) if self.vectors else None


def read_items(table: ItemTable, files: RawFiles, folder: Path, missing: Collection[str] = MISSING) -> pl.DataFrame:
    """Reads the table into the columns `id`, as text, `title` and all others, renamed if they clash with ours.

    Args:
        table: The description of the table.
        files: Its files.
        folder: A new folder for copies of files that polars cannot read.
        missing: The words that stand for a missing title.

    Raises:
        UserError: for a table that cannot be read, or lacks a column.
    """
    columns = {"id": table.id or "id", "title": table.title or "title"}
    needed = {f"items.{role}": [name] for role, name in columns.items()}
    with _as_options(), converted(files, folder) as plain:
        rows = opened(plain, needed)
        with plain.one_sentence():
            frame = rows.collect(engine="streaming")
    for argument, (name,) in needed.items():
        check_type(files, argument, name, frame.schema[name])
    ids, titles = frame[columns["id"]], frame[columns["title"]]
    ours = frame.select(
        id_reader(ids, True, ()).cast(pl.String).alias("id"), text_reader(titles, missing).alias("title")
    )
    others = frame.drop(columns.values())
    for name in set(OURS).intersection(others.columns):
        free = f"item_{name}"
        while free in others.columns:
            free = f"item_{free}"
        others = others.rename({name: free})
    return pl.concat([ours, others], how="horizontal")


def opened(files: RawFiles, needed: Mapping[str, Sequence[str]]) -> pl.LazyFrame:
    """The rows of a table of items that has some columns, each of them once.

    Args:
        files: The files of the table.
        needed: The names of the columns, by the argument that gives them.

    Raises:
        UserError: for a table that cannot be read, or lacks a column.
    """
    names = list(dict.fromkeys(name for given in needed.values() for name in given))
    with _as_options(), files.one_sentence():
        check_header(files, [[name] for name in names])
        rows = unpacked(files.rows(), None, names)
        types = rows.collect_schema()
        files.check_columns(names)
    paths = list(all_paths(types))
    for argument, given in needed.items():
        for name in given:
            if name not in types:
                text = f"{files.name}: expected the column {shown(name)}; found {shown(*paths)}"
                if (
                    files.kind in TEXT
                    and files.header is None
                    and not is_numbered(paths)
                    and any(map(str.isdigit, paths))
                ):
                    header = [*names, *(f"column_{place + 1}" for place in range(len(names), len(paths)))]
                    text += ", which look like values: if the file has no header, name all its columns with"
                    raise UserError(f"{text} items.header={typed(header[: len(paths)])}.", "items.header")
                raise UserError(f"{text}. {name_yours({argument: [name]}, paths)}.", argument)
    return rows


@contextmanager
def _as_options() -> Iterator[None]:
    """Names the arguments of raw files as those of the table."""
    try:
        yield
    except UserError as error:
        names = ("header", "separator", "quote", "encoding")
        raise error.renamed({name: f"items.{name}" for name in names}) from error


def with_titles(known: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """Joins the table of items to the rows of `known`, by their column `item`; the first title of an item counts."""
    found = matched(known, items).drop("id").drop_nulls("item").sort(pl.col("title").is_null(), maintain_order=True)
    found = found.unique("item", keep="first", maintain_order=True)
    return known.join(found, on="item", how="left", maintain_order="left")


def of_items(known: pl.DataFrame, items: pl.DataFrame, name: str) -> list[Notice]:
    """Warnings about the table of items.

    Args:
        known: The items of the log, with their ids in the column `item`.
        items: The table.
        name: Its name in messages.
    """
    table = matched(known, items)
    is_known = table["item"].is_in(known["item"].implode())
    notices = []
    without = items["id"].null_count()
    if without:
        notices.append(Notice(f"{name}: rows without an id were left out (rows: {without:,})."))
    titles = table.filter(is_known & table["title"].is_not_null()).unique(["item", "title"], maintain_order=True)
    several = titles.group_by("item", maintain_order=True).agg("title").filter(pl.col("title").list.len() > 1)
    if len(several):
        item, (first, second, *_) = several.row(0)
        text = f"{name}: the first title was taken of items that have several, such as {first!r} and {second!r} of"
        notices.append(Notice(f"{text} {item} (items: {len(several):,})."))
    remedy = ("items.id", "; name another column with items.id=NAME if they are in it")
    notices += of_few(f"{name} has titles", known, table, titles["item"], *remedy)
    return notices


def of_few(
    what: str, known: pl.DataFrame, items: pl.DataFrame, found: pl.Series, argument: str, remedy: str = ""
) -> list[Notice]:
    """A warning if a table has fewer than half of the items.

    Args:
        what: The table and what it has of them, such as `items.csv has titles`.
        known: The items, in the column `item`.
        items: The table, from :func:`matched`.
        found: Those of `known` that it has, once or several times.
        argument: Name of the argument that gave it.
        remedy: What to do if its ids are of another kind.
    """
    number = found.n_unique()
    if 2 * number >= len(known):
        return []
    text = f"{what} of only {number:,} of {counted(len(known), 'item')}"
    other = items["id"].filter(~items["item"].is_in(known["item"].implode()).fill_null(False)).drop_nulls()
    if len(other):
        missing = known["item"].filter(~known["item"].is_in(found.implode()))
        text += f": its ids, such as {other[0]!r}, have to be those of the log, such as {str(missing[0])!r}{remedy}"
    return [Notice(f"{text}.", (argument,))]


def matched(known: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """A table with the column `item` beside `id`: its ids, read as those of the log are."""
    whole = integer_reader(items["id"])
    if known.schema["item"] == pl.String:
        is_known = pl.col("id").is_in(known["item"].implode())
        item = pl.when(is_known).then("id").otherwise(whole.cast(pl.String))
    else:
        item = whole.cast(known.schema["item"], strict=False)
    return items.with_columns(item=item)
