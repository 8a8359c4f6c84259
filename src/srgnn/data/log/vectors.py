"""The table of the vectors of items, such as embeddings of their titles."""

from dataclasses import asdict, replace

import numpy as np
import polars as pl
import torch

from srgnn.data.log.columns.ids import id_reader
from srgnn.data.log.columns.names import shown
from srgnn.data.log.items import matched, of_few
from srgnn.data.log.raw.files import RawFiles
from srgnn.data.log.raw.paths import PARQUET
from srgnn.data.log.words import counted
from srgnn.data.sessions import SessionData
from srgnn.errors import ArgumentError, UserError

ARGUMENT = "items.vectors"
EXPECTED = "the columns id, of single values, and vector, of lists of numbers"


def with_vectors(data: SessionData, files: RawFiles) -> SessionData:
    """Adds the vectors of the items to prepared data; an item that the table lacks gets zeros.

    Ids are matched as those of the table of items are. The first vector of an item counts.

    Args:
        data: The prepared data.
        files: The Parquet files of the table, with the columns `id` and `vector`, a list or an array of numbers.

    Raises:
        UserError: for a table that lacks a column, has vectors of several widths or values that are not finite, or has
            no vector of any item.
    """
    known = pl.DataFrame({"item": data.vocabulary.ids}).with_row_index("place")
    _check_columns(files)
    with files.one_sentence():
        rows = files.rows().select("id", "vector").with_row_index("row")
        ids = rows.select("row", "id").collect(engine="streaming")
        ids = matched(known, ids.with_columns(id_reader(ids["id"], True, ()).cast(pl.String)))
        places = ids.join(known, on="item").select("row", "place", "item")
        vectors = rows.select("row", pl.col("vector").cast(pl.List(pl.Float32)))
        found = vectors.join(places.lazy(), on="row").filter(pl.col("vector").list.len() > 0)
        table = found.collect(engine="streaming").sort("row").unique("place", keep="first", maintain_order=True)
    if not len(table):
        other = f", such as {ids['id'].drop_nulls()[0]!r}," if ids["id"].count() else ""
        raise UserError(
            f"{files.name} has a vector of none of the {counted(len(known), 'item')}: its ids{other} have to be those "
            f"of the log, such as {str(known['item'][0])!r}; name another file with {ARGUMENT}=FILE.",
            ARGUMENT,
        )
    values = _values(files, table)
    filled = np.zeros((len(known), values.shape[1]), np.float32)
    filled[table["place"].to_numpy()] = values
    notices = [*data.manifest["notices"]]
    notices += [asdict(notice) for notice in of_few(f"{files.name} has vectors", known, ids, table["item"], ARGUMENT)]
    about = {"items": len(table), "width": values.shape[1], "sources": files.hashes()}
    manifest = data.manifest | {"notices": notices, "vectors": about}
    return replace(data, vectors=torch.from_numpy(filled), manifest=manifest)


def _check_columns(files: RawFiles) -> None:
    if files.kind != PARQUET:
        raise ArgumentError(ARGUMENT, files.name, f"a Parquet file with {EXPECTED}")
    with files.one_sentence():
        types = files.rows().collect_schema()
    number = getattr(types.get("vector"), "inner", pl.Null())
    if types.get("id", pl.List).is_nested() or not number.is_numeric():
        columns = ", ".join(f"{shown(name)} ({dtype})" for name, dtype in types.items())
        text = f"{files.name}: expected {EXPECTED}; found {columns}: write it anew, or name another file with"
        raise UserError(f"{text} {ARGUMENT}=FILE.", ARGUMENT)


def _values(files: RawFiles, table: pl.DataFrame) -> np.ndarray:
    """The vectors as an array, [n, t].

    Raises:
        UserError: if they are of several widths, or some of their values are missing or not finite.
    """
    widths = table.select("item", width=pl.col("vector").list.len()).unique("width", maintain_order=True)
    fault = ""
    if len(widths) > 1:
        (one, width), (other, second) = widths.head(2).rows()
        fault = f"expected vectors of one width; found {width} numbers for {one} and {second} for {other}"
    else:
        values = table["vector"].explode().to_numpy().reshape(len(table), -1)  # with NaN for missing values
        finite = np.isfinite(values).all(axis=1)
        if finite.all():
            return values
        fault = f"expected finite numbers; the vector of {table['item'][int(finite.argmin())]} has others"
    raise UserError(f"{files.name}: {fault}: write it anew, or name another file with {ARGUMENT}=FILE.", ARGUMENT)
