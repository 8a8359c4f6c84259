from pathlib import Path

import pytest
from click_logs import LOG


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.csv"
    path.write_text("session,item,time\n" + "".join(f"{s},{i},{t}\n" for s, i, t in LOG))
    return path
