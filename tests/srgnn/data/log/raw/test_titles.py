"""Titles above the header."""

from pathlib import Path

import pytest
from raw_rows import CSV, ROWS, ids, typed, written

from srgnn.errors import UserError


@pytest.mark.parametrize(("above", "fields"), [("Report 2014,,", "1 field"), ("Report,2014,,", "2 fields")])
def test_a_padded_title_has_the_fields_that_are_not_blank(tmp_path: Path, above: str, fields: str):
    with pytest.raises(UserError, match=rf"\) has {fields}, and the rows below have 4: remove") as error:
        ids(written(tmp_path / "log.csv", f"{above}\n{CSV}"))
    assert ids(typed(error.value)) == ROWS
