"""The command line: the only modules that know Hydra, option names and the terminal."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
CONF = next(path for path in (PACKAGE / "conf", PACKAGE.parents[1] / "conf") if path.is_dir())  # installed, or a clone
