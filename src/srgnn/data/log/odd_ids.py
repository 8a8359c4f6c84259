"""Warnings about ids that are read as they are written, and may not be what their owner means by an id."""

import narwhals as nw
import polars as pl

from srgnn.data.log.arguments import listed
from srgnn.data.log.columns.ids import RECORD, text_reader
from srgnn.data.log.columns.layout import Layout, LogFormat
from srgnn.data.log.columns.names import shown
from srgnn.data.log.engines import Frame, Tables
from srgnn.data.log.raw.paths import TEXT
from srgnn.data.log.raw.text import IN_QUOTES, SINGLE_QUOTE
from srgnn.data.log.report import Notice, Step, count_rows
from srgnn.errors import typed

# Ids that many programs write where there is none, but that a shop may use.
WORDS = (
    *("unknown", "none", "null", "nan", "empty", "blank", "missing", "not set", "not available", "not applicable"),
    *("no value", "n/d", "n.d.", "na.", "n.a", "undef", "void", "no data", "1.#qnan", "1.#ind", "nullptr", "nul"),
    *("inf", "infinity"),
    *("#null!", "#value!", "#ref!", "#name?", "#div/0!", "object object", "00000000-0000-0000-0000-000000000000"),
)
# The same with brackets, quotes or signs, such as (not set) and "null"; and signs alone, such as - and ??.
# The patterns mean the same to polars, DuckDB and Spark.
WORD = (
    "(?i)^(?:[-+(<\\[{\"'_]*(?:"
    + "|".join("".join(rf"\{sign}" if sign in ".?#/!" else sign for sign in word) for word in WORDS)
    + ")[)>\\]}\"'_]*|[-?._*]+)$"
)
SHORTENED = r"^-?\d(?:\.\d+[eE]\+?|[eE]\+)\d+$"  # a large integer as spreadsheets and floats show it
WHOLE = r"^-?\d+\.0+$"  # an integer as pandas writes it where another value is missing
COMMA = r"^-?\d+,0+$"  # the same where the decimal sign is a comma
NUMBERS = r"^\d+(?:(?:(?:[ ,;|]|-?>)+\d+){2,}|(?:[ ,;]|-?>)+\d+)$"  # a list of ids; one such as 12|34 may be a key
THOUSANDS = r"^[1-9]\d{0,2}(?:[ ,]\d{3})+$"  # a number with signs between the thousands, or such a list
IN_DOUBLE_QUOTES = r'^".+"$'  # as a reader leaves them behind a tab, or far below the header behind a space
NOTHING = (0, -1)  # numbers that stand for no session
NOTHING_SHARE = 0.01  # of the rows,
NOTHING_LENGTH = 10  # and times the clicks of a mean session: more than one visit has
MOST_WORDS = 5  # in a message


def odd_ids(tables: Tables, table: Frame, layout: Layout, form: LogFormat, step: Step, skip: bool) -> list[Notice]:
    """The warnings about ids that may stand for nothing, are shortened numbers or records, or have quotes.

    Args:
        tables: The tables of the engine.
        table: The rows that are clicks, with the ids in the columns `key` and `item`.
        layout: Their layout.
        form: The user's description of the log.
        step: The numbers of rows and sessions.
        skip: Whether rows without an id are left out instead of raising an error.
    """
    types = table.collect_schema()
    texts = [role for role in ("key", "item") if types[role] == nw.String]
    any_pattern = "|".join([WORD, SHORTENED, RECORD, NUMBERS, WHOLE, COMMA, IN_QUOTES, IN_DOUBLE_QUOTES])
    sums = {role: nw.col(role).str.contains(any_pattern).cast(nw.Int64).sum() for role in texts}
    found = tables.collect(table.select(**sums)).row(0, named=True) if texts else {}
    notices = []
    for role in [role for role in texts if found[role]]:
        notices += [
            *_of_words(tables, table, layout, form, role, skip),
            *_of_shortened(tables, table, layout, role),
            *_of_fractions(tables, table, layout, role),
            *_of_commas(tables, table, layout, role),
            *_of_records(tables, table, layout, role),
            *_of_quoted(tables, table, layout, role),
            *_of_double_quotes(tables, table, layout, role),
        ]
    return [*notices, *_of_nothing(tables, table, layout, form, step, skip)]


def _of_words(tables: Tables, table: Frame, layout: Layout, form: LogFormat, role: str, skip: bool) -> list[Notice]:
    if not listed(form.missing):  # the user wants such words as ids
        return []
    words = table.filter(nw.col(role).str.contains(WORD)).group_by(role).agg(rows=nw.len())
    counts = tables.collect(words).sort("rows", role, descending=[True, False])
    if not len(counts):
        return []
    ids = counts[role].to_list()
    examples = ", ".join(map(repr, ids[:MOST_WORDS])) + (" and others" if len(ids) > MOST_WORDS else "")
    text = (
        f"Ids in {shown(layout.names[role])} that may stand for no value, {examples}, were kept as ids "
        f"(rows: {int(counts['rows'].sum()):,}); leave such rows out with {_as_missing(layout, form, ids, skip)}."
    )
    return [Notice(text, ("missing", "on_error"))]


def _of_shortened(tables: Tables, table: Frame, layout: Layout, role: str) -> list[Notice]:
    number, example = _matches(tables, table, role, SHORTENED)
    if not number:
        return []
    text = (
        f"Ids in {shown(layout.names[role])} such as {example} were shortened by a spreadsheet or a float, so that "
        f"different ids may have become one (rows: {number:,}); they were read as they are: export the column as text."
    )
    return [Notice(text)]


def _of_fractions(tables: Tables, table: Frame, layout: Layout, role: str) -> list[Notice]:
    """A warning about ids such as 65 and 65.0 in a column of text, where they are two ids."""
    ids = table.select(role).unique()
    whole = ids.filter(nw.col(role).str.contains(WHOLE)).select(nw.col(role).str.replace_all(r"\.0+$", ""))
    both = ids.join(whole.unique(), on=role, how="semi")
    number = count_rows(tables, both)
    if not number:
        return []
    example = tables.collect(both.sort(role).head(1))[role][0]
    text = (
        f"Ids in {shown(layout.names[role])} that occur with and without .0, such as {example} and {example}.0, are "
        f"two ids each (ids: {number:,}), because the column holds text, too: write them in one way."
    )
    return [Notice(text)]


def _of_commas(tables: Tables, table: Frame, layout: Layout, role: str) -> list[Notice]:
    number, example = _matches(tables, table, role, COMMA)
    if not number:
        return []
    text = (
        f"Ids in {shown(layout.names[role])} such as {example} look like whole numbers with a decimal comma, and were "
        f"read as text (rows: {number:,}): write them without it, if another file has them so."
    )
    return [Notice(text)]


def _of_records(tables: Tables, table: Frame, layout: Layout, role: str) -> list[Notice]:
    table = table.filter(~nw.col(role).str.contains(f"{WORD}|{COMMA}"))
    number, example = _matches(tables, table, role, f"{RECORD}|{NUMBERS}")
    if not number:
        return []
    thousands, one = _matches(tables, table, role, THOUSANDS)
    if thousands == number:
        text = (
            f"Ids in {shown(layout.names[role])} such as {one} look like numbers with signs between the thousands, and"
        )
        return [
            Notice(f"{text} were read as text (rows: {number:,}): write them without these signs, if other files do.")
        ]
    text = (
        f"Ids in {shown(layout.names[role])} such as {example} are the text of records or lists, and were read as "
        f"single ids (rows: {number:,}); export the id in them as a column of its own"
    )
    if role == "item" and (example.startswith("[") or example[0].isdigit()):
        text += f", or make each value of a list a row with nested={typed(layout.names[role])}"
        return [Notice(f"{text}.", ("nested",))]
    return [Notice(f"{text}.")]


def _of_quoted(tables: Tables, table: Frame, layout: Layout, role: str) -> list[Notice]:
    number, example = _matches(tables, table, role, IN_QUOTES)
    if not number:
        return []
    text = (
        f"Ids in {shown(layout.names[role])} such as {example} are in single quotes, which were read as a part of them "
        f"(rows: {number:,}); "
    )
    if layout.files.kind not in TEXT:
        return [Notice(f"{text}if they are not, write the ids without them.")]
    return [Notice(f"{text}if they are not, read the file without them with quote={SINGLE_QUOTE}.", ("quote",))]


def _of_double_quotes(tables: Tables, table: Frame, layout: Layout, role: str) -> list[Notice]:
    words = nw.col(role).str.contains(WORD)  # of which there is a warning
    number, example = _matches(tables, table.filter(~words), role, IN_DOUBLE_QUOTES)
    if not number:
        return []
    text = (
        f"Ids in {shown(layout.names[role])} such as {example} are in quotes, which were read as a part of them (rows: "
        f"{number:,}); if they are not, write the ids without the quotes, or without the blanks before these."
    )
    return [Notice(text)]


def _of_nothing(tables: Tables, table: Frame, layout: Layout, form: LogFormat, step: Step, skip: bool) -> list[Notice]:
    """A warning about a session 0 or -1 that is far larger than others; a user may have many clicks."""
    if form.session_gap is not None or not step.sessions:
        return []
    is_text = table.collect_schema()["key"] == nw.String
    ids = [str(number) if is_text else number for number in NOTHING]
    sums = {str(one): (nw.col("key") == one).cast(nw.Int64).sum() for one in ids}
    counts = tables.collect(table.select(**sums)).row(0, named=True)
    least = max(NOTHING_SHARE * step.clicks, NOTHING_LENGTH * step.clicks / step.sessions)
    return [
        Notice(
            f"The session {one} has {int(counts[one]):,} of {step.clicks:,} rows: if it stands for clicks without a "
            f"session, leave them out with {_as_missing(layout, form, [one], skip)}.",
            ("missing", "on_error"),
        )
        for one in counts
        if (counts[one] or 0) > least
    ]


def _matches(tables: Tables, table: Frame, role: str, pattern: str) -> tuple[int, str]:
    """The number of ids that match a pattern, and the first one, in quotes."""
    rows = table.filter(nw.col(role).str.contains(pattern))
    number = int(tables.collect(rows.select(nw.len())).item())
    first = tables.collect(rows.select("row", role).sort("row").head(1))[role]
    return number, first[0][:60] if number else ""


def _as_missing(layout: Layout, form: LogFormat, ids: list[str], skip: bool) -> str:
    """The arguments that leave out rows with ids, besides the rows that are left out by now."""
    words = {word.lower(): word for word in listed(form.missing)}
    types = layout.frame.collect_schema()
    known: set[str] = set()
    for name in [layout.names[role] for role in layout.wide] if skip else []:  # else there are none
        text = text_reader(pl.Series(name, [], types[name])).str.to_lowercase()
        found = layout.frame.select(text.alias("word")).filter(pl.col("word").is_in([*words])).unique()
        known.update(found.collect(engine="streaming")["word"])
    return f"missing={typed([*(words[word] for word in sorted(known)), *ids])} on_error=skip"
