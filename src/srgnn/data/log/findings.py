"""Warnings about the files of a log: what they hold besides rows, and how it was read."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import polars as pl

from srgnn.data.log.raw.broken import Findings
from srgnn.data.log.raw.files import SAMPLE, RawFiles
from srgnn.data.log.raw.header import IS_HEADER
from srgnn.data.log.raw.json_lines import repeated_fields
from srgnn.data.log.raw.paths import JSON, TEXT
from srgnn.data.log.report import Notice
from srgnn.data.log.words import counted


def file_notices(files: RawFiles, findings: Findings) -> list[Notice]:
    """The warnings about files that were read.

    Args:
        files: The files, or copies of them without what was found.
        findings: What a search found in them.
    """
    heads = {known: file.head(file.paths[0]) for known, file in files.each()} if files.kind in TEXT else {}
    spaced = {known: names for known, file in files.each() if (names := file.spaced(file.paths[0]))}
    comments = {known: head.comments for known, head in heads.items() if head.comments}
    headers = [known for known, head in heads.items() if head.replaced]

    def name(paths: Iterable[Path]) -> str:
        return replace(files, paths=tuple(paths), named=()).name

    notices = []
    if comments:
        text = (
            f"{name(comments)}: {counted(sum(comments.values()), 'line')} at the top left out as comments, which start"
        )
        notices.append(Notice(f"{text} with #."))
    if spaced:
        found = [each for names in spaced.values() for each in names]
        shown = ", ".join(repr(each) for each in dict.fromkeys(found))
        is_plain = all(each.replace("\t", " ").isprintable() for each in found)
        what = "spaces" if is_plain else "invisible characters"
        text = f"{name(spaced)}: {what} removed from {counted(len(found), 'column name')} ({shown})"
        if files.kind not in TEXT:
            notices.append(Notice(f"{text}."))
        else:
            notices.append(Notice(f"{text}; header=[NAME,NAME] gives other names.", ("header",)))
    if headers:
        text = f"{name(headers)}: {counted(len(headers), 'header line')} left out because header= names the columns; "
        notices.append(Notice(f"{text}header=null takes the names of the file.", ("header",)))
    twice = (
        {known: repeated_fields(file.paths[0], SAMPLE) for known, file in files.each()} if files.kind in JSON else {}
    )
    twice = {known: lines for known, lines in twice.items() if lines}
    for known, lines in list(twice.items())[:1]:
        first = next(iter(lines))
        number = counted(sum(map(len, twice.values())), "line")
        text = f"{name(twice)}: the field {lines[first][0]} occurs more than once in {known.name} line {first}"
        if number != "1 line":
            text += f", and such fields in {number} of those at the top"
        notices.append(Notice(f"{text}; the first value was read: write each field once."))
    if findings.constants:
        number = counted(sum(findings.constants.values()), "line")
        text = f"{name(findings.constants)}: NaN or Infinity read as missing values in {number}"
        notices.append(Notice(f"{text}; write null or a value instead."))
    return notices


def header_notices(files: RawFiles, number: int) -> list[Notice]:
    """A warning about header lines among the rows, which were left out."""
    if not number:
        return []
    several = len(files.paths) > 1
    paths = [known for known, file in files.each() if not several or _has_header(file)]
    name = replace(files, paths=tuple(paths), named=()).name
    return [Notice(f"{name}: {counted(number, 'header line')} among the rows left out, as in files that were joined.")]


def _has_header(files: RawFiles) -> bool:
    rows = files.rows(marked=True).filter(pl.col(IS_HEADER)).select(IS_HEADER)
    return bool(rows.head(1).collect(engine="streaming").height)
