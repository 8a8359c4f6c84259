"""Errors about the rows of a log: how many rows are affected, and the first three with their lines."""

from collections.abc import Sequence

import narwhals as nw
import polars as pl

from srgnn.data.log.causes import Cause, as_text, find_causes
from srgnn.data.log.columns.ids import text_reader
from srgnn.data.log.columns.layout import Layout, LogFormat
from srgnn.data.log.engines import Frame, Tables
from srgnn.data.log.raw.json_lines import constant_in
from srgnn.data.log.raw.paths import JSON, PARQUET
from srgnn.data.log.words import counted
from srgnn.errors import UserError

EXAMPLES = 3


def bad_rows(layout: Layout, form: LogFormat, tables: Tables, table: Frame, skip: bool) -> UserError:
    """The error for rows without session, item or readable time, which are null in `table`."""
    key = "session" if form.session_gap is None else "user"
    faults = {
        "key": f"no {key}",
        "item": "no item",
        "time": "a time that cannot be read",
        "order": "no number to order by",
    }
    counts = table.select(nw.len(), *(nw.col(role).is_null().cast(nw.Int64).sum() for role in layout.readers))
    rows, *nulls = map(int, tables.collect(counts).row(0))
    kinds: list[str] = []
    causes: list[Cause] = []
    for role, number in zip(layout.readers, nulls, strict=True):
        if number:
            examples, their_causes = _examples(layout, form, role)
            kinds.append(f"{number:,} {'has' if number == 1 else 'have'} {faults[role]} ({examples})")
            causes += their_causes
            if number == rows:
                name = f"columns.{key if role == 'key' else role}"
                causes.append(Cause(pl.lit(True), remedy=f"name another column with {name}=NAME", argument=name))
    remedies = ["Fix them", *dict.fromkeys(cause.remedy for cause in causes if cause.remedy)]
    return UserError(
        f"{layout.files.name}: of {counted(rows, 'row')}, {'; '.join(kinds)}. "
        f"{', or '.join(remedies)}{_or_skip(skip)}.",
        *dict.fromkeys(cause.argument for cause in causes if cause.argument),
        "on_error",
    )


def other_header(layout: Layout, form: LogFormat) -> UserError | None:
    """The error for a row that names the columns in another order than the header, where tables were joined."""
    roles = {role: layout.names[role] for role in layout.readers}
    for known_path, file in layout.files.each():
        names = [name.lower() for name in file.head(file.paths[0]).columns]
        rows = form.unpacked(file.rows(numbered=True))
        if set(roles.values()) - set(rows.collect_schema()):
            continue
        texts = {role: as_text(layout, name).str.to_lowercase() for role, name in roles.items()}
        are_names = pl.all_horizontal(text.is_in(names) for text in texts.values())
        are_others = pl.any_horizontal(texts[role] != name.lower() for role, name in roles.items())
        found = rows.filter(are_names & are_others).select("_line").head(1).collect(engine="streaming")
        if len(found):
            return UserError(
                f"{known_path} line {found.item()} names the columns in another order than the header: write the table "
                "that begins there as a file of its own."
            )
    return None


def no_clicks(layout: Layout, form: LogFormat) -> UserError:
    """The error for a log without any row that is a click."""
    events, where = form.events or "null", form.where or "null"
    message = f"No row of {layout.files.name} is a click under events={events} and where={where}"
    if form.events:
        name = layout.names["event"]
        event = text_reader(layout.frame.select(name).head(0).collect().to_series())
        found = layout.frame.select(event.unique()).head(10).collect(engine="streaming").to_series().sort()
        message += "; the log has the events " + ", ".join(map(str, found))
    return UserError(f"{message}.", "events", "where")


def _or_skip(skip: bool) -> str:
    return "" if skip else ", or leave them out with on_error=skip"


def _examples(layout: Layout, form: LogFormat, role: str) -> tuple[str, list[Cause]]:
    """The first rows whose value for a role cannot be read, as `line 7: 'yesterday'`, and the causes."""
    examples: list[tuple[str, Cause]] = []
    files, name = layout.files, layout.names[role]
    unit = "row" if files.kind == PARQUET else "line"
    is_bad = layout.readers[role].is_null() & (True if layout.is_click is None else layout.is_click)
    causes = find_causes(layout, form, role)
    place = pl.coalesce(pl.when(cause.condition).then(index) for index, cause in enumerate(causes))
    for known_path, part in files.each():
        prefix = "" if len(files.paths) == 1 else f"{known_path.name} "
        rows = form.unpacked(part.rows(numbered=True))
        if name not in rows.collect_schema():  # objects without any field
            continue
        bad = rows.filter(is_bad).select("_line", as_text(layout, name), place.alias("_cause")).head(EXAMPLES)
        for line, text, index in bad.collect(engine="streaming").iter_rows():
            constant = constant_in(known_path, line, name) if text is None and files.kind in JSON else None
            value = (constant or "nothing") if text is None else repr(text)
            examples.append((f"{prefix}{unit} {line}: {value}", causes[index]))
    return _joined(examples[:EXAMPLES]), [cause for _, cause in examples[:EXAMPLES]]


def _joined(examples: Sequence[tuple[str, Cause]]) -> str:
    """The examples in one text, with what is said about a cause after the last of its examples in a row."""
    parts = []
    for place, (text, cause) in enumerate(examples):
        is_last = place + 1 == len(examples) or examples[place + 1][1] is not cause
        parts.append(f"{text}, {cause.words}" if cause.words and is_last else text)
    return ", ".join(parts)
