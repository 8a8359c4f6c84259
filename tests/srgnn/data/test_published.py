import functools
import hashlib
import http.server
import pickle
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from srgnn.data.published import PublishedSet, read_pickle, sessions_of_prefixes
from srgnn.errors import UserError

TRAIN = [[1, 2, 1], [3, 1]]
TEST = ([[2, 3], [2], [1]], [1, 3, 2])
CONF = Path(__file__).resolve().parents[3] / "conf" / "dataset"


@pytest.fixture
def server(tmp_path: Path):
    """Yields a small published set, on a local server."""
    folder = tmp_path / "web"
    folder.mkdir()
    digests = {}
    for name, content in (("all_train_seq.txt", TRAIN), ("test.txt", TEST)):
        raw = pickle.dumps(content, protocol=2)
        (folder / name).write_bytes(raw)
        digests[name] = hashlib.sha256(raw).hexdigest()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{httpd.server_port}"
        yield PublishedSet(
            "toy",
            num_items=3,
            train_url=f"{url}/all_train_seq.txt",
            train_sha256=digests["all_train_seq.txt"],
            test_url=f"{url}/test.txt",
            test_sha256=digests["test.txt"],
            train_sessions=2,
            train_prefixes=3,
            test_prefixes=3,
            data=str(tmp_path / "data"),
            cache=str(tmp_path / "cache"),
        )
        httpd.shutdown()


def test_a_set_is_downloaded_verified_and_converted(server: PublishedSet, capfd, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("srgnn.progress.shows_bars", lambda stream: True)
    data = server.load()
    assert [s.tolist() for s in data.train] == [[0, 1, 0], [2, 0]]
    assert [s.tolist() for s in data.test] == [[1, 2, 0], [0, 1]]
    assert data.vocabulary.ids == [1, 2, 3]
    assert data.manifest["counts"]["test_prefixes"] == 3
    assert "100%" in capfd.readouterr().err  # the progress bar


def test_the_cache_is_used_afterwards(server: PublishedSet):
    server.load()
    for file in Path(server.data, "toy").iterdir():
        file.unlink()
    offline = replace(server, train_url="http://127.0.0.1:1/", test_url="http://127.0.0.1:1/")
    assert offline.load().num_items == 3


def test_a_cache_that_lost_a_file_is_not_taken_for_none(server: PublishedSet):
    (server.load().folder / "manifest.json").unlink()
    with pytest.raises(UserError, match="delete that folder"):
        server.load()


def test_existing_files_need_no_network(server: PublishedSet):
    server.load()
    offline = replace(server, train_url="http://127.0.0.1:1/", cache=server.cache + "2")
    assert offline.load().num_items == 3


def test_a_file_other_than_the_published_one_is_reported(server: PublishedSet):
    path = Path(server.data, "toy", "test.txt")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"else")
    got = hashlib.sha256(b"else").hexdigest()
    with pytest.raises(UserError, match=f"test.txt is not .*expected SHA-256 {server.test_sha256}, got {got}"):
        server.load()


def test_a_wrong_download_leaves_nothing_behind(server: PublishedSet):
    with pytest.raises(UserError, match="expected SHA-256 0000, got"):
        replace(server, train_sha256="0000").load()
    assert list(Path(server.data, "toy").iterdir()) == []


def test_without_network_both_urls_and_the_folder_are_named(server: PublishedSet):
    offline = replace(server, train_url="http://127.0.0.1:1/all_train_seq.txt")
    with pytest.raises(UserError) as error:
        offline.load()
    for part in (offline.train_url, offline.test_url, str(Path(server.data, "toy")), "data=FOLDER"):
        assert part in str(error.value)
    assert "\n" not in str(error.value)


def test_wrong_counts_are_refused(server: PublishedSet):
    with pytest.raises(UserError, match=r"published counts: expected train_prefixes=4 \(found 3\); correct"):
        replace(server, train_prefixes=4).load()
    assert not Path(server.cache).exists()


def test_ids_outside_the_catalogue_are_refused(server: PublishedSet):
    with pytest.raises(UserError, match="outside of 1 to 2"):
        replace(server, num_items=2).load()


class Hostile:
    def __reduce__(self):
        return exec, ("raise SystemExit('the file was run')",)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_hostile_pickle_runs_nothing(tmp_path: Path, protocol: int):
    path = tmp_path / "all_train_seq.txt"
    path.write_bytes(pickle.dumps([Hostile()], protocol=protocol))
    with pytest.raises(UserError, match="refused"):
        read_pickle(path)


def test_a_small_file_cannot_become_a_large_object(tmp_path: Path):
    bomb: list = [1]
    for _ in range(40):  # every list contains the one before twice
        bomb = [bomb, bomb]
    path = tmp_path / "test.txt"
    path.write_bytes(pickle.dumps(bomb))
    with pytest.raises(UserError, match="refused"):
        read_pickle(path)
    path.write_bytes(b"(lr\xff\xff\xff\x7f.")  # a memo of two billion entries
    with pytest.raises(UserError, match="refused"):
        read_pickle(path)


@pytest.mark.parametrize("raw", [b"", b"\x80\x02]q\x00(K\x01", b"not a pickle"])
def test_a_damaged_pickle_is_reported(tmp_path: Path, raw: bytes):
    path = tmp_path / "test.txt"
    path.write_bytes(raw)
    with pytest.raises(UserError, match=r"test\.txt"):
        read_pickle(path)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_lists_of_integers_are_read_from_every_pickle_protocol(tmp_path: Path, protocol: int):
    path = tmp_path / "test.txt"
    path.write_bytes(pickle.dumps(([[1, 70_000], [2]], [3, 2**40]), protocol=protocol))
    assert read_pickle(path) == ([[1, 70_000], [2]], [3, 2**40])


def test_test_sessions_are_rebuilt_from_their_prefixes():
    assert sessions_of_prefixes(*TEST) == [[2, 3, 1], [1, 2]]
    with pytest.raises(UserError, match="longest first"):
        sessions_of_prefixes([[1, 2], [5]], [3, 2])
    with pytest.raises(UserError, match="end within"):
        sessions_of_prefixes([[1, 2]], [3])


@pytest.mark.parametrize("name", ["diginetica", "yoochoose1_64"])
def test_the_published_counts_hold_on_the_real_files(shared: Path, tmp_path: Path, name: str):
    options = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    options.pop("_target_")
    published = PublishedSet(**{**options, "data": str(shared / "data"), "cache": str(tmp_path)})
    data = published.load()  # raises if a count differs
    trained = {"diginetica": 43_097, "yoochoose1_64": 17_376}
    assert data.manifest["counts"]["trained_items"] == trained[name]
