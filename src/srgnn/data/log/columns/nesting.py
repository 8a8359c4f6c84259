"""Nested columns: lists as rows, and fields of records by their paths, such as `item_id.sku`."""

from collections.abc import Collection, Iterator, Mapping

import polars as pl

from srgnn.data.log.columns.text_lists import SAMPLE, find_form, in_step
from srgnn.data.log.raw.header import IS_HEADER
from srgnn.errors import ArgumentError

TEXTS = (pl.String, pl.Categorical, pl.Enum)
Types = Mapping[str, pl.DataType]


def unpacked(frame: pl.LazyFrame, nested: str | None, names: Collection[str]) -> pl.LazyFrame:
    """One row per click, where the column `nested` holds a list of them; and a column for each path in `names`.

    A list of records gives a column per field, which replaces a column of the same name. A list of plain values gives
    a row per value; the other lists among the columns in `names` are unpacked in step with it. Lists may be text.

    Args:
        frame: The rows of the log.
        nested: The column or path of the lists; None if a row is one click.
        names: The names that the user gave for columns; those of no column or field are ignored.

    Raises:
        ArgumentError: if there is no such column of lists.
    """
    if nested is None:
        return _with_paths(frame, names)
    frame, columns = _as_lists(frame, nested, names)
    types = frame.collect_schema()
    element = _element(types[nested])
    has_values = pl.col(nested).list.len() > 0
    if IS_HEADER in types:  # such a line has no values, and is counted
        has_values |= pl.col(IS_HEADER)
    frame = frame.filter(has_values).explode(*columns)
    if isinstance(element, pl.Struct):
        fields = _fields(element)
        frame = _with_paths(frame, [name for name in names if _type(fields, name) is None])
        frame = frame.drop(set(fields).intersection(types) - {nested}).unnest(nested)
    return _with_paths(frame, names)


def lists_in_step(frame: pl.LazyFrame, nested: str, names: Collection[str]) -> list[str]:
    """The columns that are unpacked together: `nested`, and those in `names` that hold lists, too."""
    return _as_lists(frame, nested, names)[1]


def find_ragged(frame: pl.LazyFrame, nested: str, names: Collection[str]) -> tuple[pl.LazyFrame, list[str]]:
    """The rows whose lists have different lengths, as these lengths after the row's other columns; and their names.

    Args:
        frame: The rows of the log.
        nested: The column or path of the lists.
        names: The names that the user gave for columns.
    """
    frame, columns = _as_lists(frame, nested, names)
    # A list that is missing or empty gives one row without a value.
    lengths = [pl.max_horizontal(pl.col(name).list.len().fill_null(0), 1) for name in columns]
    is_ragged = pl.any_horizontal(length != lengths[0] for length in lengths[1:]) if columns[1:] else pl.lit(False)
    ragged = frame.filter((pl.col(nested).list.len() > 0) & is_ragged)
    return ragged.with_columns(pl.col(name).list.len().fill_null(0) for name in columns), columns


def all_paths(types: Types) -> Iterator[str]:
    """The names of all columns; for a column of records, the paths of its fields."""
    for name, dtype in types.items():
        if isinstance(dtype, pl.Struct):
            yield from (f"{name}.{path}" for path in all_paths(_fields(dtype)))
        else:
            yield name


def has_path(types: Types, path: str) -> bool:
    """Whether there is such a column or field."""
    return _type(types, path) is not None


def _as_lists(frame: pl.LazyFrame, nested: str, names: Collection[str]) -> tuple[pl.LazyFrame, list[str]]:
    """The rows with the lists that are unpacked together as such, and the names of these columns."""
    frame = _with_paths(frame, [nested])
    types = frame.collect_schema()
    element = _element(types.get(nested))
    texts = [name for name in dict.fromkeys([nested, *names]) if types.get(name) in TEXTS]
    if texts and nested in types and not isinstance(element, pl.Struct):
        known = frame.select({nested, *texts}).filter(pl.col(nested).is_not_null())
        sample = known.head(SAMPLE).collect(engine="streaming")
        form = find_form(sample[nested]) if element is None else None
        if form is not None:
            reader = form.reader(nested).alias(nested)
            frame, sample = frame.with_columns(reader), sample.with_columns(reader)
            element = pl.String()
        if element is not None:
            forms = {name: in_step(sample, nested, name) for name in texts if name != nested}
            readers = [form.reader(name).alias(name) for name, form in forms.items() if form is not None]
            frame = frame.with_columns(readers)
            types = frame.collect_schema()
    if element is None:
        lists = [path for path in all_paths(types) if _element(_type(types, path)) is not None]
        found = f"such as {', '.join(lists)}" if lists else f"but {', '.join(types)} hold none"
        raise ArgumentError("nested", nested, f"a column of lists, {found}")
    elements = {nested: element}
    if not isinstance(element, pl.Struct):
        others = {name: _element(types.get(name)) for name in names}
        elements |= {name: dtype for name, dtype in others.items() if dtype is not None}
    return frame.with_columns(pl.col(name).cast(pl.List(dtype)) for name, dtype in elements.items()), [*elements]


def _with_paths(frame: pl.LazyFrame, names: Collection[str]) -> pl.LazyFrame:
    types = frame.collect_schema()
    paths = [name for name in names if name not in types and _type(types, name) is not None]
    return frame.with_columns(_field(types, name).alias(name) for name in paths) if paths else frame


def _split(types: Types, path: str) -> tuple[str, str]:
    """The column that a path starts with and the rest of the path; both empty if there is none."""
    for name, dtype in types.items():
        if path.startswith(f"{name}.") and isinstance(dtype, pl.Struct):
            return name, path.removeprefix(f"{name}.")
    return "", ""


def _type(types: Types, path: str) -> pl.DataType | None:
    """The type of a column or field; None if there is none."""
    if path in types:
        return types[path]
    name, rest = _split(types, path)
    dtype = types.get(name)
    return _type(_fields(dtype), rest) if isinstance(dtype, pl.Struct) else None


def _field(types: Types, path: str) -> pl.Expr:
    """The expression for a column or field that exists."""
    name, rest = _split(types, path)
    field, dtype = pl.col(name), types[name]
    while rest and isinstance(dtype, pl.Struct):
        fields = _fields(dtype)
        name, deeper = (rest, "") if rest in fields else _split(fields, rest)
        field, dtype, rest = field.struct.field(name), fields[name], deeper
    return field


def _element(dtype: pl.DataType | None) -> pl.DataType | None:
    """The type of the values in a list; None if a type is not that of lists."""
    if isinstance(dtype, pl.List | pl.Array):
        return pl.Schema({"": dtype.inner})[""]
    return None


def _fields(dtype: pl.Struct) -> dict[str, pl.DataType]:
    return dict(pl.Schema(dtype.to_schema()))
