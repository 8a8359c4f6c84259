"""Times of several files that are written in ways which do not fit together: the error that names two of them."""

import shlex
from dataclasses import replace
from pathlib import Path

from srgnn.data.log.columns.formats import detect
from srgnn.data.log.columns.layout import Layout, LogFormat
from srgnn.data.log.columns.names import shown
from srgnn.data.log.columns.times import UNITS, gives_zone, plausible
from srgnn.data.log.raw import files as raw
from srgnn.data.log.raw.files import RawFiles
from srgnn.data.log.raw.paths import JSON, PARQUET, TEXT
from srgnn.data.log.raw.text import plain_name, python
from srgnn.errors import UserError

WITH_ZONE, WITHOUT_ZONE = "times with a time zone", "times without a time zone"


def mixed_times(layout: Layout, form: LogFormat) -> UserError | None:
    """The error for a file whose times are with a zone, without one or numbers of a unit, unlike those of another.

    Args:
        layout: The layout of the log, by which a time cannot be read.
        form: The user's description.

    Returns:
        None for a log of one file, or of files whose first times fit together.
    """
    name = layout.names["time"]
    found: dict[str, tuple[Path, RawFiles, str]] = {}  # of each way, the first file and its format
    for number, (known_path, file) in enumerate(layout.files.each() if len(layout.files.paths) > 1 else ()):
        rows = form.unpacked(file.rows())
        if name not in rows.collect_schema():
            continue
        sample = rows.select(name).drop_nulls().head(raw.SAMPLE).collect(engine="streaming").to_series()
        written = detect(sample, plausible()) if len(sample) and not sample.dtype.is_temporal() else None
        if written is None:
            continue
        found.setdefault(_words(written), (known_path, file, written))
        if len(found) > 1:
            (first, (path, _, _)), (second, _) = found.items()
            argument = "test_path" if number >= len(layout.files.paths) - layout.files.num_test else "path"
            text = f"The column {shown(name)} has {first} in {path} and {second} in {known_path}: expected one kind"
            return UserError(f"{text}; {_remedy(layout, name, found)}, or leave the file out of {argument}=.", argument)
    return None


def _words(written: str) -> str:
    if written in UNITS:
        return f"numbers in {written}"
    return WITH_ZONE if gives_zone(written) else WITHOUT_ZONE


def _remedy(layout: Layout, name: str, found: dict[str, tuple[Path, RawFiles, str]]) -> str:
    """What to do about two files: the command that adds the zone, where one of them lacks it alone."""
    if found.keys() != {WITH_ZONE, WITHOUT_ZONE} or name not in layout.files.rows().collect_schema():
        return "write the times of both in one format"
    path, file, naive = found[WITHOUT_ZONE]
    plain = plain_name(path)
    target = plain.with_name(f"{plain.stem}-utc{plain.suffix}")
    code = _conversion(replace(file, paths=(path,)), name, naive, found[WITH_ZONE][2], layout.time.zone, target)
    return (
        f"if the times of {path.name} are in {layout.time.zone}, give instead of it the file "
        f"{shlex.quote(target.name)} written by {python(code)}"
    )


def _conversion(file: RawFiles, name: str, naive: str, zoned: str, zone: str, target: Path) -> str:
    """The line of Python that writes the times of a file in UTC, in the format of another file."""
    path = str(file.paths[0])
    if file.kind in TEXT:
        head = file.head(file.paths[0])
        scan = (
            f"pl.scan_csv({path!r}, glob=False, has_header=False, skip_lines={head.height}, "
            f"schema=dict.fromkeys({list(head.columns)!r}, pl.String), missing_columns='insert', "
            f"separator={head.separator!r}, quote_char={file.quote!r})"
        )
        sink = f"sink_csv({str(target)!r}, separator={head.separator!r})"
    elif file.kind in JSON:
        scan = f"pl.scan_ndjson({path!r}, infer_schema_length=None)"
        sink = f"sink_ndjson({str(target)!r})"
    else:
        assert file.kind == PARQUET
        scan, sink = f"pl.scan_parquet({path!r}, glob=False)", f"sink_parquet({str(target)!r})"
    local = f"pl.col({name!r}).str.strip_chars().str.to_datetime({naive!r}, time_unit='us', strict=False)"
    in_utc = f"dt.replace_time_zone({zone!r}, ambiguous='earliest', non_existent='null').dt.convert_time_zone('UTC')"
    written = zoned.replace("%#z", "%:z")  # which is for reading alone
    return f"import polars as pl; {scan}.with_columns({local}.{in_utc}.dt.to_string({written!r})).{sink}"
