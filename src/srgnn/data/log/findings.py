"""Warnings about the files of a log: what they hold besides rows, and how it was read."""

import polars as pl

from srgnn.data.log.raw.broken import Findings
from srgnn.data.log.raw.files import RawFiles
from srgnn.data.log.raw.header import cleaned
from srgnn.data.log.raw.paths import PARQUET, TEXT
from srgnn.data.log.report import Notice
from srgnn.data.log.words import counted


def file_notices(files: RawFiles, findings: Findings) -> list[Notice]:
    """The warnings about files that were read.

    Args:
        files: The user's own files.
        findings: What a search found in them.
    """
    heads = [files.head(path) for path in files.paths] if files.kind in TEXT else []
    spaced = [name for head in heads for name in head.spaced]
    if files.kind == PARQUET:
        spaced = [
            name for path in files.paths for name in cleaned(pl.scan_parquet(path, glob=False).collect_schema().names())
        ]
    comments, headers = sum(head.comments for head in heads), sum(head.replaced for head in heads)
    notices = []
    if comments:
        text = f"{files.name}: {counted(comments, 'line')} at the top left out as comments, which start with #"
        notices.append(Notice(f"{text}."))
    if spaced:
        shown = ", ".join(repr(name) for name in dict.fromkeys(spaced))
        text = f"{files.name}: spaces removed from {counted(len(spaced), 'column name')} ({shown})"
        if files.kind == PARQUET:
            notices.append(Notice(f"{text}."))
        else:
            notices.append(Notice(f"{text}; header=[NAME,NAME] gives other names.", ("header",)))
    if headers:
        text = f"{files.name}: {counted(headers, 'header line')} left out because header= names the columns; "
        notices.append(Notice(f"{text}header=null takes the names of the file.", ("header",)))
    if findings.constants:
        text = f"{files.name}: NaN or Infinity read as missing values in {counted(findings.constants, 'line')}"
        notices.append(Notice(f"{text}; write null or a value instead."))
    return notices


def header_notices(files: RawFiles, number: int) -> list[Notice]:
    """A warning about header lines among the rows, which were left out."""
    text = f"{files.name}: {counted(number, 'header line')} among the rows left out, as in files that were joined."
    return [Notice(text)] if number else []
