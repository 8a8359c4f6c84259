"""The roles of columns: which column holds the sessions, items and times, and what to type if none is found."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

import polars as pl

from srgnn.data.log.columns.formats import detect
from srgnn.data.log.columns.names import enumerated, find_alike, is_clean, shown
from srgnn.data.log.columns.nesting import Types, all_paths
from srgnn.data.log.columns.times import plausible
from srgnn.data.log.raw.files import RawFiles
from srgnn.data.log.raw.paths import TEXT
from srgnn.data.log.raw.separators import (
    LINES,
    SEPARATORS,
    check_padding,
    find_signs,
    in_quotes,
    long_separator,
)
from srgnn.data.log.raw.text import IN_QUOTES, SINGLE_QUOTE, raw_lines
from srgnn.errors import UserError, typed

SQL_NAME = re.compile(r"\[.*\]|`.*`")  # as SQL Server and MySQL quote names
Possible = Mapping[str, Sequence[str]]


class MissingColumnsError(UserError):
    """A column was not found; a later row of JSON lines may still have it."""


def find_names(files: RawFiles, possible: Possible, types: Types, nested: str | None = None) -> dict[str, str]:
    """Finds the column of each role.

    Args:
        files: The log.
        possible: For each role, such as `session` or `item`, the possible names of its column.
        types: The types of the log's columns by their names.
        nested: The column whose lists have been unpacked, if any.

    Raises:
        MissingColumnsError: for a role without a column.
        UserError: for a column whose values are lists or records.
    """
    found = {role: next((name for name in names if name in types), None) for role, names in possible.items()}
    missing = [role for role in found if found[role] is None]
    if missing:
        raise _missing_columns(files, possible, missing, types)
    names = {role: str(name) for role, name in found.items()}
    for role in ("item", *names):  # a list of items comes first: other lists may be unpacked in step with it
        dtype = types[names[role]]
        if nested is None and role == "time" and isinstance(dtype, pl.List | pl.Array):
            raise UserError(
                f"{files.name}: the column {shown(names[role])} holds lists, not times: write them like 2014-04-01 "
                "10:00:00, or name another column with columns.time=NAME.",
                "columns.time",
            )
        if nested is None and isinstance(dtype, pl.List | pl.Array):
            remedy = f"make each value a row of its own with nested={typed(names[role])}"
            raise UserError(f"{files.name}: the column {shown(names[role])} holds lists: {remedy}.", "nested")
        check_type(files, f"columns.{role}", names[role], dtype)
    return names


def check_type(files: RawFiles, argument: str, name: str, dtype: pl.DataType) -> None:
    """Checks that a column holds single values.

    Args:
        files: The files of the column.
        argument: Name of the argument that gave its name.
        name: Its name.
        dtype: Its type.

    Raises:
        UserError: for lists, records, maps and durations.
    """
    if isinstance(dtype, pl.Struct):
        if dtype.fields and all(each.name.isdigit() for each in dtype.fields):
            raise UserError(
                f"{files.name} is written by columns: write it by rows, one object in each line, as pandas does with "
                "df.to_json(path, orient='records', lines=True)."
            )
        paths = enumerated([f"{argument}={typed(path)}" for path in all_paths({name: dtype})], " or ")
        raise UserError(
            f"{files.name}: the column {shown(name)} holds records: name a field of it with {paths}.", argument
        )
    if isinstance(dtype, getattr(pl, "Map", ())):  # older versions of polars read lists of records instead
        text = f"{files.name}: the column {shown(name)} holds maps: write the value that you need into a column of its"
        raise UserError(f"{text} own.", argument)
    what = "lists" if isinstance(dtype, pl.List | pl.Array) else "durations" if dtype == pl.Duration else None
    if what is not None:
        text = f"{files.name}: the column {shown(name)} holds {what}: name one of single values with {argument}=NAME."
        raise UserError(text, argument)


def name_yours(names: Mapping[str, Sequence[str]], columns: Sequence[str]) -> str:
    """What to type for columns that were not found; a column that differs in case, spaces or signs alone is suggested.

    Args:
        names: The possible names of each column, by the argument that gives them.
        columns: The columns that there are.
    """
    alike = {argument: find_alike(expected, columns) for argument, expected in names.items()}
    return "Name yours with " + " ".join(f"{argument}={typed(name or 'NAME')}" for argument, name in alike.items())


def check_header(files: RawFiles, possible: Iterable[Collection[str]]) -> None:
    """Checks that a text file, whose header lacks an expected name, has no other separator or quotes.

    Args:
        files: The files.
        possible: The possible names of each column that is read.

    Raises:
        UserError: if it has.
    """
    if files.kind not in TEXT or files.header is not None:
        return
    head, path = files.head(files.paths[0]), files.known_paths[0]
    if not any(set(names).isdisjoint(head.columns) for names in possible):
        return
    if all(map(SQL_NAME.fullmatch, head.columns)):
        raise _sql_names(files, head.columns)
    line = head.separator.join(head.fields)
    signs = find_signs(line)
    # Signs around the known separator are part of a longer one where they are between all fields.
    is_longer = len(set(signs)) > 1 and line.count(signs) * signs.count(head.separator) == len(head.columns) - 1 > 1
    if len(signs) > 1 and (len(head.columns) == 1 or is_longer):
        raise long_separator(path, signs)
    found = shown(*head.columns)
    if len(head.columns) == 1:
        in_name = [sign for sign in SEPARATORS if sign in head.columns[0]]
        lines = raw_lines(files.paths[0]).head(head.height + LINES).collect(engine="streaming")["line"].to_list()
        written, rows = lines[head.height - 1], lines[head.height :]
        if in_name and files.quote is not None and written[0] == written[-1] == files.quote:
            raise in_quotes(path, in_name[0])
        if signs and not signs.strip():
            check_padding(path, [written, *rows])
        separator = typed(signs) if len(signs) == 1 and signs.isascii() else "CHARACTER"
        if not signs.isprintable():
            separator = typed(f"\\x{ord(signs):02x}")
        text = f"{path}: expected several columns; found {found}: name the separator between them with"
        raise UserError(f"{text} separator={separator}.", "separator")
    if files.quote != "'" and all(re.search(IN_QUOTES, name) for name in head.columns):
        text = f"{path} has its names in single quotes ({found}): read the file without them with"
        raise UserError(f"{text} quote={SINGLE_QUOTE}.", "quote")


def _sql_names(files: RawFiles, names: Sequence[str]) -> UserError:
    """The error for a file whose names, or all of whose fields, are in brackets or backticks."""
    text = f"{files.known_paths[0]} has its names in brackets or backticks ({shown(*names)}): "
    with files.one_sentence():
        rows = files.rows().head(1).collect()
    if not all(SQL_NAME.fullmatch(value or "") for row in rows.rows() for value in row):
        header = typed([name[1:-1] for name in names])
        return UserError(f"{text}name the columns without them with header={header}.", "header")
    if all(name.startswith("`") for name in names):
        return UserError(f"{text}read the file without them with quote={typed('`')}.", "quote")
    return UserError(f"{text}write names and values without them.")


def _missing_columns(files: RawFiles, possible: Possible, missing: Sequence[str], types: Types) -> MissingColumnsError:
    expected = ", ".join(" or ".join(map(shown, names or [role])) for role, names in possible.items())
    paths = list(dict.fromkeys(all_paths(types)))
    text = f"{files.name}: expected the columns {expected}; found {shown(*paths)}"
    first = files.head(files.paths[0]).columns if files.kind in TEXT and files.header is None else ()
    if _is_data(first):
        text = f"{files.name}: expected the columns {expected}; found {shown(*first)}"
        header = typed(_guessed_header(possible, first))
        text += f", which look like values: if the file has no header, name all its columns with header={header}"
        return MissingColumnsError(f"{text}.", "header")
    for name, fields in _lists(types).items():
        if all(set(possible[role]).intersection(fields) for role in missing):
            text += f": make each record in {shown(name)} a row of its own with nested={typed(name)}"
            return MissingColumnsError(f"{text}.", "nested")
    alike = {role: find_alike(possible[role] or [role], paths) for role in missing}
    unclean = {name: role for role, name in alike.items() if name is not None and not is_clean(name)}
    if unclean and files.kind in TEXT:
        better = [(possible[unclean[name]] or [unclean[name]])[0] if name in unclean else name for name in paths]
        text += f": {shown(*unclean)} has invisible characters, so name all columns with header={typed(better)}"
        return MissingColumnsError(f"{text}.", "header")
    text += ". " + name_yours({f"columns.{role}": possible[role] or [role] for role in missing}, paths)
    arguments = [f"columns.{role}" for role in missing]
    if "session" in missing and alike["session"] is None:
        text += ", or cut the visits of a user by time with columns.user=NAME session_gap=30m"
        arguments += ["columns.user", "session_gap"]
    return MissingColumnsError(f"{text}.", *arguments)


def lacking_column(
    files: RawFiles, place: int, columns: Sequence[str], name: str, argument: str | None
) -> MissingColumnsError:
    """The error for one of several files that lacks a column: none of its rows would count.

    Args:
        files: All files.
        place: The place of the file among them.
        columns: The columns that it has.
        name: The column that it lacks.
        argument: Name of the argument that needs the column; None for a role.
    """
    paths = "test_path" if place >= len(files.paths) - files.num_test else "path"
    arguments = [paths] if argument is None else [argument, paths]
    need = "other files have" if argument is None else f"{argument}= needs"
    text = f"{files.known_paths[place]} has no column {shown(name)}, which {need}"
    alike = find_alike([name], columns)
    if files.kind in TEXT and files.header is None and _is_data(columns):
        headers = (files.head(path).columns for path in files.paths)
        same = next((header for header in headers if name in header and len(header) == len(columns)), None)
        text += f"; its first line looks like values ({shown(*columns)}): if it has no header, "
        text += "write one above them" if same is None else f"name the columns of all files with header={typed(same)}"
        arguments += [] if same is None else ["header"]
    elif alike is not None:
        text += f": rename its column {shown(alike)} to {shown(name)}"
    else:
        text += f": add the column, or rename the one of {shown(*columns)} that holds it"
    return MissingColumnsError(f"{text}, or leave the file out of {paths}=.", *arguments)


def is_numbered(names: Sequence[str]) -> bool:
    """Whether a header is 0, 1, 2, as that of a pandas frame without names."""
    return [*names] == [str(place) for place in range(len(names))]


def _is_data(names: Sequence[str]) -> bool:
    """Whether a header is a row of values."""
    if is_numbered(names):
        return False
    return any(map(_is_time, names)) or all(re.fullmatch(r"-?\d+(\.\d+)?", name) for name in names)


def _is_time(value: str) -> bool:
    return detect(pl.Series("time", [value]), plausible()) is not None


def _guessed_header(possible: Possible, values: Sequence[str]) -> list[str]:
    """Names for all columns of a file without a header: the first time is the time, and the others come in order."""
    time = next((place for place, value in enumerate(values) if _is_time(value)), None)
    others = iter(names[0] if names else role for role, names in possible.items() if role != "time" or time is None)
    header = []
    for place, _ in enumerate(values):
        other = f"column_{place + 1}"
        header.append((possible["time"] or ["time"])[0] if place == time else next(others, other))
    return header


def _lists(types: Types) -> dict[str, list[str]]:
    """The fields of every column that is a list of records."""
    inner = {name: getattr(dtype, "inner", None) for name, dtype in types.items()}
    return {name: list(dtype.to_schema()) for name, dtype in inner.items() if isinstance(dtype, pl.Struct)}
