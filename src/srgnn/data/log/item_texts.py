"""The texts of a table of items: the columns that describe an item, joined."""

from collections.abc import Collection, Sequence

import polars as pl

from srgnn.data.log.columns.ids import MISSING, id_reader, text_reader
from srgnn.data.log.columns.roles import check_type
from srgnn.data.log.items import ItemTable, opened
from srgnn.data.log.raw.files import SAMPLE, RawFiles
from srgnn.errors import ArgumentError


def item_texts(
    table: ItemTable, files: RawFiles, columns: Sequence[str], missing: Collection[str] = MISSING
) -> pl.LazyFrame:
    """The table as the columns `id` and `text`, both text; null where there is none.

    The values of the columns are joined by `. `, those of a list by `, `; missing ones are left out.

    Args:
        table: The description of the table; its titles are one column among others.
        files: Its files.
        columns: The names of the columns, or paths of fields of records, in the order of the text.
        missing: The words that stand for a missing value.

    Raises:
        UserError: for a table that cannot be read, or lacks a column.
    """
    if not columns:
        raise ArgumentError("text", "[]", "the names of columns, such as title")
    id_column = table.id or "id"
    names = {"items.id": [id_column], "text": list(dict.fromkeys(columns))}
    frame = opened(files, names)
    types = frame.collect_schema()
    for argument, given in names.items():
        for name in given:
            dtype = types[name]
            is_list = argument == "text" and isinstance(dtype, pl.List | pl.Array)
            check_type(files, argument, name, dtype.inner if is_list else dtype)  # type: ignore[attr-defined]
    with files.one_sentence():
        sample = frame.select(list(dict.fromkeys([id_column, *columns]))).head(SAMPLE).collect(engine="streaming")
    parts: list[pl.Expr] = []
    for name in names["text"]:
        column = pl.col(name)
        if isinstance(types[name], pl.List | pl.Array):
            values = column.cast(pl.List(pl.String)).list.drop_nulls().list.join(", ")
            parts.append(pl.when(values.str.strip_chars() != "").then(values))
        else:
            parts.append(text_reader(sample[name], missing))
    joined = pl.concat_str(parts, separator=". ", ignore_nulls=True)
    return frame.select(
        id_reader(sample[id_column], True, ()).cast(pl.String).alias("id"),
        pl.when(joined != "").then(joined).alias("text"),
    )
