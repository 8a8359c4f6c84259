"""Files that polars cannot read are read from copies, and errors name the user's own file."""

import gzip
from pathlib import Path

import polars as pl
import pytest

from srgnn.data.log.raw.converted import converted
from srgnn.data.log.raw.files import RawFiles
from srgnn.errors import UserError

TEXT = 'id::title\n1::Misérables, Les: a "film"\n2::7 €\n'


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
@pytest.mark.parametrize("is_packed", [False, True])
def test_text_in_any_encoding_and_with_any_separator_is_read(tmp_path: Path, encoding: str, is_packed: bool):
    path = tmp_path / ("movies.dat.gz" if is_packed else "movies.dat")
    content = TEXT.encode(encoding)
    path.write_bytes(gzip.compress(content) if is_packed else content)
    with converted(RawFiles((path,), separator="::", quote=None, encoding=encoding), tmp_path / "plain") as files:
        rows = files.rows().collect().rows()
    assert rows == [("1", 'Misérables, Les: a "film"'), ("2", "7 €")]
    assert files.name == str(path)


def test_other_files_are_not_copied(tmp_path: Path):
    pl.DataFrame({"id": [1]}).write_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.csv").write_text("id,title\n1,2\n")
    for files in (RawFiles((tmp_path / "a.parquet",), encoding="latin1"), RawFiles((tmp_path / "a.csv",))):
        with converted(files, tmp_path / "plain") as same:
            assert same is files
    assert not (tmp_path / "plain").exists()


def test_errors_about_a_copy_name_the_file_of_the_user(tmp_path: Path):
    path = tmp_path / "movies.dat"
    path.write_text("A list of movies\n" + TEXT)
    files = RawFiles((path,), separator="::", quote=None)
    with pytest.raises(UserError) as error, converted(files, tmp_path / "plain") as plain:
        plain.head(plain.paths[0])
    assert f"{path} line 1" in str(error.value)
    assert f"{tmp_path}/movies-rows.dat" in str(error.value)
    assert "plain" not in str(error.value)
    with pytest.raises(UserError) as error, converted(files, tmp_path / "again") as plain:
        raise UserError(f"{plain.paths[0]} line 3: {'1' + (plain.separator or '') + 'a'!r}", "header")
    assert str(error.value) == f"{path} line 3: '1::a'"
    assert error.value.arguments == ("header",)


def test_text_in_another_encoding_than_named_is_an_error_with_a_remedy(tmp_path: Path):
    path = tmp_path / "movies.dat"
    path.write_bytes(TEXT.encode("cp1252") + b"3::\x81\n")
    for encoding, sentence in (
        ("utf-8", r"is not UTF-8 text \(line 2: .*if its encoding is latin1, set encoding=latin1"),
        ("cp1252", r"is not cp1252 text \(below line \d\): name another with encoding=NAME"),
    ):
        files = RawFiles((path,), separator="::", quote=None, encoding=encoding)
        with pytest.raises(UserError, match=sentence) as error, converted(files, tmp_path / encoding):
            pass
        assert error.value.arguments == ("encoding",)


@pytest.mark.parametrize("name", ["movies.dat.gz", "movies.dat"])
def test_a_truncated_file_is_an_error(tmp_path: Path, name: str):
    path = tmp_path / name
    path.write_bytes(gzip.compress(TEXT.encode())[:-12])
    with (
        pytest.raises(UserError, match=r"is truncated or damaged"),
        converted(RawFiles((path,), encoding="latin1"), tmp_path / "plain"),
    ):
        pass


def test_zstd_data_is_unpacked_first(tmp_path: Path):
    path = tmp_path / "movies.dat.zst"
    pl.DataFrame({"id": [1]}).lazy().sink_csv(path, compression="zstd")
    with (
        pytest.raises(UserError, match=r"with zstd -dc < .*movies\.dat\.zst > .*movies-unpacked\.dat\."),
        converted(RawFiles((path,), encoding="latin1"), tmp_path / "plain"),
    ):
        pass
