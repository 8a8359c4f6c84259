"""The command `srgnn train ...`, which runs the program `train.py` as `python src/train.py ...` does."""

import re
import runpy
import sys

import srgnn
from srgnn.cli import PACKAGE

PROGRAMS = next(path for path in (PACKAGE / "programs", PACKAGE.parent) if path.is_dir())  # installed, or a clone


is_running = False


def as_started(text: str) -> str:
    """A text in which programs are started as this one was: by the command, if that runs."""
    return re.sub(r"(?:python src/(\w+)\.py|\b(\w+)\.py(?= --help))", r"srgnn \1\2", text) if is_running else text


def main() -> None:
    """Runs the program that the first argument names, with the others as its options."""
    global is_running
    names = sorted(path.stem for path in PROGRAMS.glob("*.py") if path.stem != "__init__")
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    usage = f"Usage: srgnn {'|'.join(names)} [option=value ...]; srgnn train --help shows the options."
    if name in ("-h", "--help", "--version"):
        print(f"srgnn {srgnn.__version__}" if name == "--version" else usage)
        return
    if name not in names:
        sys.exit(usage)
    is_running = True
    sys.argv = [str(PROGRAMS / f"{name}.py"), *sys.argv[2:]]
    runpy.run_path(sys.argv[0], run_name="__main__")
