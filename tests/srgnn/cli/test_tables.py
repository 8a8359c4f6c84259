import pytest

from srgnn.cli.tables import say


def test_ids_and_paths_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]):
    say("[bold]a[/bold] [/x] :smile: \x1b[31mred")
    assert capsys.readouterr().out == "[bold]a[/bold] [/x] :smile: \\x1b[31mred\n"
