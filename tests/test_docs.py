"""The documentation: commands and code run, names and links exist, figures agree."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from srgnn import __version__
from srgnn.cli import CONF
from srgnn.cli.arguments import as_typed, encoder_option
from srgnn.cli.comparisons import runs_option
from srgnn.data import SyntheticLog
from srgnn.nn import LOSSES
from srgnn.training.protocols import PROTOCOLS

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "benchmarks" / "README.md",
    *sorted(ROOT.glob("docs/**/*.md")),
]
TESTED = "<!-- test -->"  # before a shell block that runs here
FENCE = re.compile(rf"^({TESTED}\n)?```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OWN = {"wide", "shop", "cluster"}  # names of files that a reader would add
SMALL = "max_epochs=1 model.hidden_size=16"
FINISHED_RUN = "outputs/2026-01-31/12-00-00-clicks"  # the one that README.md loads
CHOICES = {
    "loss": set(LOSSES),
    "protocol": set(PROTOCOLS),
    **{group.name: {path.stem for path in group.glob("*.yaml")} for group in CONF.iterdir() if group.is_dir()},
}
PAGES_OF_OPTIONS = ("settings", "models", "data", "scaling", "sweeps", "serving")
PROGRAMS = {path.stem for path in CONF.glob("*.yaml")}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    text: str
    tested: bool


def blocks(page: Path) -> list[Block]:
    return [Block(language, text, bool(mark)) for mark, language, text in FENCE.findall(page.read_text())]


def runs(page: Path) -> list[Block]:
    """The blocks of a page that run here."""
    with_python = page in (ROOT / "README.md", ROOT / "docs" / "python.md")
    return [block for block in blocks(page) if block.tested or (with_python and block.language == "python")]


def commands() -> list[str]:
    """Every command of a program, in blocks and in running text, without its comment."""
    lines = (
        line for page in PAGES for block in blocks(page) if block.language == "bash" for line in block.text.split("\n")
    )
    inline = (text for page in PAGES for text in re.findall(r"`([^`\n]+)`", page.read_text()))
    pattern = re.compile(rf"(?:python src/|srgnn )({'|'.join(PROGRAMS)})(?:\.py)?(?= )[^#]+")
    found = {match[0].strip() for text in (*lines, *inline) if (match := pattern.match(text))}
    return sorted(text for text in found if "..." not in text and "--" not in text)


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small log, its table of items, and a finished run."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "src").symlink_to(ROOT / "src")
    write_log(folder)
    shell_in(folder)(f"python src/train.py dataset=clicks dataset.path=log.csv hydra.run.dir={FINISHED_RUN}")
    return folder


def shell_in(folder: Path) -> Callable[[str], None]:
    """Runs shell blocks in a folder, with small data."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def run(text: str) -> None:
        small = SMALL if "dataset=" in text else f"{SMALL} dataset.sessions=300"
        text = re.sub(r"src/(?:train|tune)\.py( -m)?", rf"\g<0> {small}", text)
        process = subprocess.run(
            ["bash", "-ec", text], cwd=folder, env=environment, capture_output=True, text=True, timeout=100
        )
        assert process.returncode == 0, process.stderr[-3000:]

    return run


def write_log(folder: Path) -> None:
    """Writes the visits of a month to log.csv and the titles of their items to items.csv."""
    shop = SyntheticLog(sessions=1500, items_per_category=15).load()
    clicks = pl.concat(
        pl.DataFrame({"session": part.owner.numpy() + first, "item": [shop.vocabulary.ids[i] for i in part.items]})
        for part, first in ((shop.train, 0), (shop.test, len(shop.train)))
    )
    step = pl.int_range(pl.len()).over("session")
    clicks.with_columns(time=1_743_465_600 + 1800 * pl.col("session") + 40 * step).write_csv(folder / "log.csv")
    items = pl.DataFrame({"id": shop.vocabulary.ids})
    items.with_columns(title=pl.col("id").str.replace("-", " no. ")).write_csv(folder / "items.csv")


@pytest.mark.parametrize("page", [page for page in PAGES if runs(page)], ids=lambda page: page.name)
def test_the_examples_of_a_page_run(page: Path, finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "reader"
    shutil.copytree(finished_run, folder, symlinks=True)  # of its own: pages name the same files
    run = shell_in(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MPLBACKEND", "agg")
    names: dict[str, object] = {"__name__": "__main__"}
    for block in runs(page):
        if block.language == "bash":
            run(block.text)
        else:
            exec(compile(block.text, str(page), "exec"), names)


@pytest.mark.parametrize("command", commands())
def test_every_command_has_options_that_exist(command: str, monkeypatch: pytest.MonkeyPatch):
    program, *arguments = shlex.split(command.removeprefix("srgnn ").removeprefix("python src/"))
    if "-m" in arguments:  # the first run of a sweep
        arguments = [argument.split(",")[0] for argument in arguments if argument != "-m"]
    arguments = ["session=A" if argument.startswith("session=") else argument for argument in arguments]
    arguments = encoder_option(arguments) if program.startswith("embed") else arguments
    arguments = as_typed(runs_option(arguments) if program == "compare.py" else arguments, ["space"])
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(program.removesuffix(".py"), arguments)
    assert OmegaConf.is_config(config)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_choice_that_a_page_names_exists(page: Path):
    text = re.sub(r"embed\.py[^`\n]*", "", page.read_text())  # whose model is another one
    named = re.findall(rf"(?<![\w.+])({'|'.join(CHOICES)})=([a-z]\w*)", text)
    assert [f"{group}={name}" for group, name in named if name not in CHOICES[group] | OWN] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(page: Path):
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", re.sub(FENCE, "", page.read_text()))
    relative = [link for link in links if "://" not in link]
    assert [link for link in relative if not (page.parent / link).exists()] == []


@pytest.mark.parametrize(
    ("program", "choices"),
    [
        ("train", ["dataset=clicks", "dataset.path=log.csv"]),
        ("prepare", ["dataset.path=log.csv", "engine=duckdb"]),
        ("prepare", ["dataset.path=log.csv", "engine=spark"]),
        ("train", []),
        *(("train", [f"model={name}"]) for name in sorted(CHOICES["model"])),
        ("tune", []),
        ("evaluate", []),
        ("recommend", []),
        ("embed", []),
        ("serve", ["store=memory"]),
        ("serve", ["store=redis"]),
    ],
)
def test_every_option_is_described(program: str, choices: list[str]):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = OmegaConf.to_container(compose(program, choices))
    text = "".join((ROOT / "docs" / f"{name}.md").read_text() for name in PAGES_OF_OPTIONS)
    skipped = ("logger.", "search.")  # of other libraries; names of options
    names = [name.replace("dataset.rules.", "") for name in options(config) if not name.startswith(skipped)]
    assert [name for name in names if not re.search(rf"`{re.escape(name)}\b", text)] == []


def options(values: dict, prefix: str = "") -> Iterator[str]:
    """The dotted names of a nested configuration that have a value."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from options(value, f"{prefix}{key}.")
        elif key != "_target_" and value != "${engine}":  # that group has options of its own
            yield f"{prefix}{key}"


def test_the_figures_of_the_readme_agree_with_the_docs():
    def figures(text: str) -> set[str]:
        return set(re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?(?= (?:ms|s|GB|%|times|million)\b)|\d+\.\d\d\b", text))

    readme = (ROOT / "README.md").read_text().partition("## Results")[2]
    docs = "".join((ROOT / "docs" / name).read_text() for name in ("results.md", "performance.md"))
    rounded = {
        "5.1": "5.12",
        "63": "**63 %**",
        "35": "35.0",
        "2.3": "2.29",
        "33": "33,000,000",
    }
    missing = {figure for figure in figures(readme) if rounded.get(figure, figure) not in docs}
    assert missing == set()


def test_the_readme_fits_on_three_screens():
    assert len((ROOT / "README.md").read_text().splitlines()) < 120


def test_the_citation_and_the_changelog_name_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == __version__
    assert f"\n## {__version__}" in (ROOT / "CHANGELOG.md").read_text()
