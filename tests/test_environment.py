"""environment.yml and pyproject.toml name the same packages, and set-up pins what must not move."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
CONDA_NAMES = {"torch": "pytorch", "torch-geometric": "pytorch_geometric", "matplotlib": "matplotlib-base"}


def test_environment_yml_keeps_step_with_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = set()
    for requirement in [*project["dependencies"], *extras["plots"], *extras["tensorboard"]]:
        name, version = re.fullmatch(r"([\w-]+)(.*)", requirement).groups()
        wanted.add(CONDA_NAMES.get(name, name) + version)
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *packages, pip = environment["dependencies"]
    assert environment["channels"] == ["conda-forge"]
    assert set(packages) == wanted | {f"python{project['requires-python']}", "pip", "pytorch_scatter=2.1.2"}
    assert pip == {"pip": ["--no-deps -e ."]}


def test_set_up_pins_torch_wherever_packages_are_installed():
    makefile = (ROOT / "Makefile").read_text()
    pinned = re.search(r"^TORCH := (torch==\S+)$", makefile, re.M)
    installs = [line for line in makefile.splitlines() if "$(PIP) install" in line and "scatter" not in line]
    assert pinned
    assert len(installs) == 2
    assert all("$(TORCH)" in line for line in installs if "--no-deps" not in line)
    assert f"torch-{pinned[1].removeprefix('torch==')}+cpu.html" in makefile
