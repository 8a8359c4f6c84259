"""environment.yml and pyproject.toml name the same packages."""

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
    for requirement in [*project["dependencies"], *extras["plots"], *extras["tensorboard"], *extras["tune"]]:
        name, version = re.fullmatch(r"([\w-]+)(.*)", requirement).groups()
        wanted.add(CONDA_NAMES.get(name, name) + version)
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *packages, pip = environment["dependencies"]
    assert environment["channels"] == ["conda-forge"]
    assert set(packages) == wanted | {f"python{project['requires-python']}", "pip", "pytorch_scatter=2.1.2"}
    assert pip == {"pip": ["--no-deps -e ."]}
