"""Published benchmark sets: found or downloaded, verified, read safely, converted once."""

import hashlib
import io
import logging
import pickle
import pickletools
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import pooch
import torch

from srgnn.data.sessions import SessionData, Sessions, Vocabulary
from srgnn.errors import UserError
from srgnn.progress import Progress
from srgnn.saving import whole_file

RECIPE = 4  # increase it when the conversion changes, so that older caches are no longer used

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PublishedSet:
    """One published data set of the SR-GNN protocol: pickled training sessions and test prefixes.

    Args:
        name: Name of the data set and of its folder.
        num_items: Number of candidates; their raw ids are 1 to `num_items`.
        train_url, train_sha256: Address and hash of the pickled list of training sessions, oldest first.
        test_url, test_sha256: Address and hash of the pickled pair (prefixes, targets).
        train_sessions, train_prefixes, test_prefixes: The published counts, which :meth:`load` checks.
        data: Folder of the sources `<name>/all_train_seq.txt` and `<name>/test.txt`.
        cache: Folder for the converted data.
    """

    name: str
    num_items: int
    train_url: str
    train_sha256: str
    test_url: str
    test_sha256: str
    train_sessions: int
    train_prefixes: int
    test_prefixes: int
    data: str = "data"
    cache: str = "data/prepared"

    def load(self) -> SessionData:
        """Returns the sessions of the set, from the cache if the same sources were converted by the same recipe before.

        Raises:
            UserError: if a source is not available, is not the published file, or its counts differ.
        """
        recipe = hashlib.sha256(f"{RECIPE} {self.train_sha256} {self.test_sha256}".encode()).hexdigest()[:12]
        folder = Path(self.cache) / f"{self.name}-{recipe}"
        if folder.is_dir():
            data = SessionData.load(folder)
            self._check_counts(data)
            return data
        train = read_pickle(self._source("all_train_seq.txt", self.train_url, self.train_sha256))
        test = read_pickle(self._source("test.txt", self.test_url, self.test_sha256))
        data = self._convert(train, test)
        self._check_counts(data)
        return data.save(folder)

    def _convert(self, train: Any, test: Any) -> SessionData:
        ids = list(range(1, self.num_items + 1))
        sessions = {"train": Sessions.from_lists(train), "test": Sessions.from_lists(sessions_of_prefixes(*test))}
        for name, part in sessions.items():
            if part.items.numel() and not 1 <= int(part.items.min()) <= int(part.items.max()) <= self.num_items:
                raise UserError(f"{self.name}: the {name} sessions have item ids outside of 1 to {self.num_items:,}.")
        shifted = {name: Sessions(part.items - 1, part.ptr) for name, part in sessions.items()}
        count = torch.bincount(torch.cat([part.items for part in shifted.values()]), minlength=self.num_items)
        vocabulary = Vocabulary(ids, pl.DataFrame({"count": count.numpy()}))
        data = SessionData(shifted["train"], shifted["test"], vocabulary)
        manifest = {
            "name": self.name,
            "protocol": "every prefix of every session; test sessions are later in time; full ranking",
            **data.facts(),
            "sources": {"all_train_seq.txt": self.train_sha256, "test.txt": self.test_sha256},
            "recipe": RECIPE,
        }
        return replace(data, manifest=manifest)

    def _check_counts(self, data: SessionData) -> None:
        expected = {key: value for key, value in asdict(self).items() if key in data.counts} | {"items": self.num_items}
        if data.counts != expected:
            wrong = [f"{key}={n} (found {data.counts[key]})" for key, n in expected.items() if data.counts[key] != n]
            raise UserError(
                f"{self.name} does not have the published counts: expected {', '.join(wrong)}; correct these numbers, "
                "or name other files."
            )

    def _source(self, file: str, url: str, sha256: str) -> Path:
        path = Path(self.data) / self.name / file
        if path.is_file():
            got = pooch.file_hash(str(path))
            if got != sha256:
                raise UserError(
                    f"{path} is not the published file: expected SHA-256 {sha256}, got {got}; delete or move it."
                )
            return path
        return self._download(path, url, sha256)

    def _download(self, path: Path, url: str, sha256: str) -> Path:
        logger.info("Downloading %s", url)
        # A bar of our own: pooch's would ignore the encoding of the terminal. pooch sets the total.
        file = whole_file(path, "the download", "data")
        with file as partial, Progress(desc=path.name, total=1, unit="B", unit_scale=True) as bar:
            try:
                pooch.HTTPDownloader(progressbar=bar, timeout=30)(url, str(partial), None)
            except _network_errors() as error:
                raise UserError(
                    f"Could not download {self.name} ({type(error).__name__}): put {self.train_url} and "
                    f"{self.test_url} into the folder {path.parent.resolve()} under their own names, "
                    "or name the folder above it with data=FOLDER.",
                    "data",
                ) from error
            got = pooch.file_hash(str(partial))
            if got != sha256:
                raise UserError(
                    f"The download of {url} is not the published file: expected SHA-256 {sha256}, got {got}; "
                    "nothing was kept, please try again."
                )
        return path


def _network_errors() -> tuple[type[Exception], ...]:
    from requests import RequestException  # comes with pooch; takes half a second, which only a download pays for

    return (RequestException, ValueError)


def sessions_of_prefixes(prefixes: list[list[int]], targets: list[int]) -> list[list[int]]:
    """The sessions behind published (prefix, target) pairs, which come session by session, the longest prefix first.

    Raises:
        UserError: if the pairs are not every prefix of whole sessions.
    """
    sessions: list[list[int]] = []
    previous: list[int] = []  # the preceding prefix, which must equal the next prefix and its target
    for prefix, target in zip(prefixes, targets, strict=True):
        clicks = [*prefix, target]
        if len(previous) <= 1:
            sessions.append(clicks)
        elif clicks != previous:
            raise UserError("The test prefixes are not all prefixes, session by session, the longest first.")
        previous = prefix
    if len(previous) > 1:
        raise UserError("The test prefixes end within a session.")
    return sessions


# The opcodes of lists and tuples of integers. No globals, no calls, no reads of the memo: nothing can be run, and no
# object can be repeated to turn a small file into a large object.
_ALLOWED = {
    *("PROTO", "FRAME", "STOP", "MARK", "EMPTY_LIST", "LIST", "APPEND", "APPENDS"),
    *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1"),
    *("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"),
}
_MAX_BYTES = 2 << 30  # the largest published file is 9 MB


class _NoGlobals(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> Any:
        raise UserError(f"refused {module_name}.{global_name}")


def read_pickle(path: Path) -> Any:
    """Reads a pickle of lists, tuples and integers; anything else is refused before it is built.

    Raises:
        UserError: for a file that holds anything else, is damaged or too large.
    """
    if path.stat().st_size > _MAX_BYTES:
        raise UserError(f"{path} is larger than {_MAX_BYTES:,} bytes: not one of the published files.")
    raw = path.read_bytes()
    try:
        # pickletools walks through the opcodes without executing them.
        for opcode, argument, _ in pickletools.genops(raw):
            if opcode.name not in _ALLOWED or (opcode.name in ("PUT", "LONG_BINPUT") and int(argument or 0) > len(raw)):
                raise UserError(
                    f"{path} holds more than lists of integers (pickle opcode {opcode.name}): "
                    "refused; none of it was run."
                )
        return _NoGlobals(io.BytesIO(raw)).load()
    except (ValueError, IndexError, EOFError, TypeError, pickle.UnpicklingError) as error:
        raise UserError(f"{path} is damaged: not a readable pickle ({error}).") from error
