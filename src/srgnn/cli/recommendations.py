"""Recommendations for a session or a file of sessions, and tables of similar items and embeddings."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from srgnn.cli.arguments import session_of
from srgnn.cli.config import plain
from srgnn.cli.errors import options_of
from srgnn.cli.runs import finished_run
from srgnn.cli.tables import print_recommendations, print_similar, say
from srgnn.data.log.arguments import check_dialect, unescaped
from srgnn.data.log.raw.files import RawFiles
from srgnn.data.log.raw.paths import find_files
from srgnn.errors import UserError, check_bool
from srgnn.item_tables import embedding_table, similar_table
from srgnn.memory import keep_freed_memory
from srgnn.recommender import Recommender
from srgnn.table_files import check_new_table, write_table


def recommend(config: DictConfig) -> None:
    """Does what one of the options `session`, `sessions`, `similar`, `similar_items` and `embeddings` asks for.

    Raises:
        UserError: if none or several of them are given.
    """
    options = plain(config)
    ways: dict[str, Callable[[Path, dict[str, Any]], None]] = {
        "session": _one_session,
        "sessions": _many_sessions,
        "similar": _similar,
        "similar_items": _similar_items,
        "embeddings": _embeddings,
    }
    given = [name for name in ways if options[name] is not None]
    if not given:
        raise UserError(
            "session is missing: give session=A,B,C, or sessions=FILE output=FILE for many (recommend.py --help shows "
            "all options)."
        )
    if len(given) > 1:
        raise UserError(f"{' and '.join(f'{name}=' for name in given)} are different commands: give one of them.")
    for name in ("output", "shard"):
        if options[name] is not None and given != ["sessions"]:
            raise UserError(f"{name}={options[name]} needs a file of sessions: give sessions=FILE, or leave it out.")
    with options_of(config):
        ways[given[0]](finished_run(config.checkpoint, config.paths.outputs), options)


def _one_session(checkpoint: Path, options: dict[str, Any]) -> None:
    session = session_of(options["session"])
    new_only = check_bool("new_only", options["new_only"])
    best = Recommender.load(checkpoint).recommend(session, options["k"], new_only=new_only, **_filters(options))
    print_recommendations(session, best)
    say(f"Checkpoint: {os.path.relpath(checkpoint)}")


def _filters(options: dict[str, Any]) -> dict[str, Any]:
    without, only = options["without"], options["only"]
    return {
        "without": [] if without is None else session_of(without),
        "only": None if only is None else session_of(only),
    }


def _many_sessions(checkpoint: Path, options: dict[str, Any]) -> None:
    from srgnn.scoring import Scorer  # pyarrow is an extra
    from srgnn.scoring.files import DIALECT, recommend_file
    from srgnn.scoring.sessions import SessionColumns, Shard

    if options["output"] is None:
        raise UserError("output is missing: give output=FILE, whose name ends in .parquet or .csv.")
    keep_freed_memory()
    started = time.perf_counter()
    scorer = Scorer(
        checkpoint, options["k"], new_only=options["new_only"], titles=options["titles"], **_filters(options)
    )
    shard = None if options["shard"] is None else Shard.parse(str(options["shard"]))
    columns = SessionColumns(**options["columns"])
    header, separator, quote, encoding = (options[name] for name in DIALECT)
    check_dialect(header, separator, quote, encoding)
    separator = None if separator is None else unescaped(separator)
    files = RawFiles(find_files("sessions", options["sessions"]), header, separator, quote, encoding=encoding)
    found = recommend_file(scorer, files, options["output"], columns, shard)
    if found.was_there:
        say(f"{found.path} is finished: there is nothing left to do.")
        return
    seconds = time.perf_counter() - started
    say(f"{found.path}: recommendations for {found.sessions:,} sessions, in {seconds:,.1f} s")
    if found.by_popularity:
        say(f"Sessions without a known click, which got the most clicked items: {found.by_popularity:,}")
    if found.skipped:
        say(f"Clicks on unknown items, which were skipped: {found.skipped:,}")


def _similar(checkpoint: Path, options: dict[str, Any]) -> None:
    item = str(options["similar"])
    recommender = Recommender.load(checkpoint)
    try:
        print_similar(item, recommender.similar_items(item, options["k"]))
    except UserError as error:
        raise error.renamed({"item": "similar"}) from error


def _similar_items(checkpoint: Path, options: dict[str, Any]) -> None:
    path = Path(options["similar_items"])
    check_new_table("similar_items", path)
    table = similar_table(Recommender.load(checkpoint), options["k"])
    write_table(path, "the similar items", table.lazy(), "items", "cosines")
    say(f"{path}: the most similar items of {len(table):,} items")


def _embeddings(checkpoint: Path, options: dict[str, Any]) -> None:
    path = Path(options["embeddings"])
    check_new_table("embeddings", path)
    table = embedding_table(Recommender.load(checkpoint), in_columns=path.suffix == ".csv")
    write_table(path, "the embeddings", table.lazy())
    say(f"{path}: the embeddings of {len(table):,} items")
