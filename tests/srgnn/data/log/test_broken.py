from pathlib import Path

from srgnn.data.log.broken import find_broken, without_broken
from srgnn.data.log.files import RawFiles


def test_broken_lines_are_found_and_can_be_left_out(tmp_path: Path):
    (tmp_path / "a.csv").write_text('session,item\n1,a\n\n1,b,surplus\n2,"b,c"\n3,"x,y",z\n')
    files = RawFiles.find("path", str(tmp_path / "a.csv"))
    assert [(line.number, line.text) for line in find_broken(files)] == [(4, "1,b,surplus"), (6, '3,"x,y",z')]
    whole = without_broken(files, find_broken(files), tmp_path)
    assert whole.rows(numbered=True).collect().rows() == [(2, "1", "a"), (5, "2", "b,c")]
    assert whole.name == files.name
    # A line that may be part of a quoted field stays.
    (tmp_path / "b.csv").write_text('session,item\n1,"l\nl,2,3,4"\n1,b,surplus\n')
    assert [line.number for line in find_broken(RawFiles.find("path", str(tmp_path / "b.csv")))] == [4]
    (tmp_path / "a.jsonl").write_text('{"session":1}\n{"session":2\n[3]\n\n{"session":4}\n')
    files = RawFiles.find("path", str(tmp_path / "a.jsonl"))
    assert [line.number for line in find_broken(files)] == [2, 3]
    assert without_broken(files, find_broken(files), tmp_path).rows().collect().rows() == [(1,), (4,)]


def test_a_carriage_return_and_a_long_field_are_text(tmp_path: Path):
    (tmp_path / "log.csv").write_bytes(b'session,item\n1,a\rb\n1,a\rb,c\n2,"' + b"x" * 200_000 + b'",c\n')
    broken = find_broken(RawFiles.find("path", tmp_path / "log.csv"))
    assert [line.number for line in broken] == [3, 4]
