"""The built and imported package: the direction of imports, and the contents of an installed copy."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import srgnn

ROOT = Path(__file__).resolve().parents[1]


def test_imports_point_downward_without_cycles():
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    pytest.importorskip("importlinter")
    process = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout


@pytest.mark.parametrize(
    ("module", "unneeded"),
    [
        ("srgnn.data", ["torch_geometric", "lightning", "hydra"]),
        ("srgnn.recommender", ["lightning", "hydra", "omegaconf", "wandb"]),
        ("srgnn.serving.server", ["lightning", "hydra", "omegaconf", "wandb"]),
        ("srgnn.training.protocols", ["hydra", "omegaconf", "wandb"]),
        ("srgnn.cli.config", ["torch_geometric", "lightning", "wandb"]),
    ],
)
def test_a_module_loads_only_what_it_needs(module: str, unneeded: list[str]):
    code = f"import sys, {module}; print([name for name in {unneeded} if name in sys.modules])"
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "src", capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"


def test_an_installed_copy_has_the_programs_and_their_configuration(tmp_path: Path):
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = [*pip, "wheel", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    process = subprocess.run(build, capture_output=True, text=True)
    if process.returncode and "hatchling" in process.stderr:
        pytest.skip("needs hatchling, which pip could not download")
    assert process.returncode == 0, process.stderr
    wheel = tmp_path / f"srgnn-{srgnn.__version__}-py3-none-any.whl"
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    names = {str(path.relative_to(tmp_path / "site")) for path in (tmp_path / "site").rglob("*") if path.is_file()}
    programs = {f"srgnn/programs/{path.name}" for path in (ROOT / "src").glob("*.py")}
    settings = {f"srgnn/conf/{path.relative_to(ROOT / 'conf')}" for path in (ROOT / "conf").rglob("*.yaml")}
    page = {f"srgnn/serving/page/{name}" for name in ("index.html", "app.js", "style.css")}
    assert programs | settings | page | {"srgnn/py.typed"} <= names

    code = f"""
import sys
sys.path[0] = {str(tmp_path / "site")!r}
from srgnn.cli.command import main
assert {str(tmp_path)!r} in sys.modules["srgnn"].__file__
main()
"""
    for arguments in (["prepare", "dataset=synthetic", "dataset.sessions=300"], ["recommend", "--help"]):
        process = subprocess.run([sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True)
        assert process.returncode == 0, process.stderr
    lost = subprocess.run(
        [sys.executable, "-c", code, "recommend", "session=A"], cwd=tmp_path, capture_output=True, text=True
    )
    assert lost.stderr == "Error: There is no finished run in outputs: train one with srgnn train.\n"
    process = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert "Usage: srgnn compare|embed|evaluate|export|prepare|recommend|serve|train|tune" in process.stderr
