"""Warnings about the files of a log: what they hold besides rows, and how it was read."""

import polars as pl

from srgnn.data.log.raw.broken import Findings
from srgnn.data.log.raw.files import RawFiles
from srgnn.data.log.raw.header import cleaned
from srgnn.data.log.raw.paths import PARQUET, TEXT
from srgnn.data.log.report import Notice


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
        text = f"{files.name}: {_number(comments, 'line')} at the top left out as comments, which start with #"
        notices.append(Notice(f"{text}."))
    if spaced:
        shown = ", ".join(repr(name) for name in dict.fromkeys(spaced))
        text = f"{files.name}: spaces removed from {_number(len(spaced), 'column name')} ({shown})"
        if files.kind == PARQUET:
            notices.append(Notice(f"{text}."))
        else:
            notices.append(Notice(f"{text}; header=[NAME,NAME] gives other names.", ("header",)))
    if headers:
        text = f"{files.name}: {_number(headers, 'header line')} left out because header= names the columns; "
        notices.append(Notice(f"{text}header=null takes the names of the file.", ("header",)))
    repeated = files.repeated_headers()
    if repeated:
        text = f"{files.name}: {_number(repeated, 'header line')} among the rows left out"
        notices.append(Notice(f"{text}, as in files that were joined."))
    if findings.constants:
        text = f"{files.name}: NaN or Infinity read as missing values in {_number(findings.constants, 'line')}"
        notices.append(Notice(f"{text}; write null or a value instead."))
    return notices


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
