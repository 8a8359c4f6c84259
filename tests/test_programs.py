"""The command-line programs, run as a user would, each in an empty folder."""

import json
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest
import torch

from srgnn.baselines import BASELINES
from srgnn.data import SyntheticLog

ROOT = Path(__file__).resolve().parents[1]
SMALL = ["dataset.sessions=600", "dataset.items_per_category=5", "max_epochs=2", "model.hidden_size=16"]


def result(folder: Path) -> dict:
    return json.loads((folder / "result.json").read_text())


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return torch.load(checkpoint, weights_only=True)["state_dict"]


def test_a_run_ends_with_a_table_a_checkpoint_and_what_to_type_next(program, tmp_path: Path):
    process = program.fresh("train.py", *SMALL)  # with the warnings of libraries that are imported
    assert process.returncode == 0, process.stderr
    for text in ("SR-GNN", *BASELINES, "recall@5", "mrr@20", "Checkpoint: outputs/", "Next:"):
        assert text in process.stdout
    assert "segments are reduced by torch" in process.stdout
    assert process.stderr == ""
    assert "\r" not in process.stdout  # no progress bar where it could not move

    # `last` is that run; the commands that it printed work unchanged.
    commands = [
        line.split()[2:] for line in process.stdout.splitlines() if line.startswith("  python src/recommend.py")
    ]
    found = program("recommend.py", *commands[0], "k=3")
    assert found.returncode == 0, found.stderr
    assert found.stdout.count("%") == 3
    unknown = program("recommend.py", "checkpoint=last", "session=music-01,nothing,it's", "k=2")
    assert "Skipped, because unknown: nothing, it's" in unknown.stdout

    evaluated = program("evaluate.py", "checkpoint=last")
    assert evaluated.returncode == 0, evaluated.stderr

    def row(text: str) -> str:
        return next(line for line in text.splitlines() if "SR-GNN" in line and "." in line)

    assert row(evaluated.stdout) == row(process.stdout)
    assert program("evaluate.py", "checkpoint=last", "recommendations=best.parquet").returncode == 0
    (tmp_path / "log.csv").write_text("mine")
    kept = program("evaluate.py", "checkpoint=last", "recommendations=log.csv")
    assert "recommendations=log.csv: expected a new file; delete this one, or choose another name." in kept.stderr
    assert (tmp_path / "log.csv").read_text() == "mine"
    best, data = pl.read_parquet(tmp_path / "best.parquet"), SyntheticLog(sessions=600, items_per_category=5).load()
    assert len(best) == data.counts["test_prefixes"]
    assert best["clicks"][0] == len(data.test[0]) - 1
    assert best["target"][0] == data.vocabulary.ids[data.test[0][-1]]
    for items, target, rank in best.select("items", "target", "rank").iter_rows():
        assert items[rank - 1 : rank] == [target] if rank <= 20 else target not in items
    recall = 100 * (best["rank"] <= 20).mean()
    assert f"{recall:.2f}" in row(evaluated.stdout)
    wrong = program("evaluate.py", "checkpoint=last", "dataset=synthetic", "dataset.items_per_category=6")
    assert wrong.returncode == 1
    assert "whose items are not those of" in wrong.stderr


def test_a_sweep_writes_one_folder_per_run_and_one_table(program, tmp_path: Path):
    process = program("train.py", *SMALL, "-m", "model.propagation_steps=0,1", "optimizer.lr=0.01,1e30")
    assert process.returncode == 1
    assert process.stderr.endswith("Error: 2 of 4 runs failed; the table says why.\n")
    assert "The sweep outputs/sweeps/" in process.stdout
    table = process.stdout.partition("The sweep")[2]
    assert table.count("became nan") == 2
    assert table.count("model.propagation_steps=") == 4
    folders = sorted(path.parent.name for path in tmp_path.glob("outputs/sweeps/*/*/result.json"))
    assert folders == ["0", "1", "2", "3"]


def test_a_killed_sweep_continues_with_the_runs_that_are_missing(program, tmp_path: Path):
    options = ["-m", *SMALL[:2], "model.hidden_size=8,12,16", "max_epochs=8", "patience=8", "refit=false"]
    whole = program("train.py", *options, "paths.outputs=whole")
    assert whole.returncode == 0, whole.stderr
    sweep = program.start("train.py", *options)
    sweep.wait_for("outputs/sweeps/*/1/last.ckpt")
    sweep.kill()
    first = next(tmp_path.glob("outputs/sweeps/*/0/result.json"))
    written = first.stat().st_mtime_ns
    continued = program("train.py", "resume=last")
    assert continued.returncode == 0, continued.stderr
    assert first.stat().st_mtime_ns == written  # it had finished
    assert continued.stdout.partition("The sweep")[2].count("hidden_size=") == 3
    for number in range(3):
        ours, theirs = (result(next(tmp_path.glob(f"{outputs}/sweeps/*/{number}"))) for outputs in ("outputs", "whole"))
        assert ours["metrics"] == theirs["metrics"]


def test_two_runs_of_one_second_have_a_folder_each(program, tmp_path: Path):
    with ThreadPoolExecutor() as pool:
        runs = [
            pool.submit(program, "train.py", *SMALL, "refit=false", f"seed={seed}", "paths.outputs=o")
            for seed in (0, 1)
        ]
    assert [each.result().returncode for each in runs] == [0, 0]
    overrides = [result(path.parent)["overrides"] for path in tmp_path.rglob("result.json")]
    assert sorted(each[-2] for each in overrides) == ["seed=0", "seed=1"]


def test_a_run_resumes_only_with_what_it_was_trained_with(program, tmp_path: Path):
    assert program("train.py", *SMALL, "refit=false").returncode == 0
    (folder,) = (path.parent for path in tmp_path.rglob("result.json"))
    stored = (folder / ".hydra" / "overrides.yaml").read_text()
    (folder / "result.json").unlink()
    refused = program("train.py", "resume=last", "model.hidden_size=8")
    assert "model.hidden_size=8: the run was trained with model.hidden_size=16" in refused.stderr
    assert (folder / ".hydra" / "overrides.yaml").read_text() == stored
    unused = program("train.py", *SMALL, f"hydra.run.dir={folder.relative_to(tmp_path)}")
    assert "is the folder of another run: continue that one with resume=outputs/" in unused.stderr
    longer = program("train.py", "resume=last", "max_epochs=3", "trainer.enable_progress_bar=false")
    assert longer.returncode == 0, longer.stderr
    assert "Epoch  3 of 3" in longer.stdout
    assert "max_epochs=3" in (folder / ".hydra" / "overrides.yaml").read_text()


def test_an_option_that_is_refused_is_not_kept_by_the_run(program, tmp_path: Path):
    write_shop_log(tmp_path)
    first = program("train.py", *OWN, "max_epochs=1", "refit=false", "model.hidden_size=8")
    assert first.returncode == 0, first.stderr
    (folder,) = (path.parent for path in tmp_path.rglob("result.json"))
    stored = (folder / ".hydra" / "overrides.yaml").read_text()
    (folder / "result.json").unlink()
    lines = (tmp_path / "log.csv").read_text().splitlines()
    (tmp_path / "less.csv").write_text("\n".join(lines[:-1]) + "\n")
    for option, sentence in (
        ("dataset.path=none.csv", "There is no file none.csv"),
        ("dataset.path=less.csv", "was trained on other data"),
        ("model=gru4rec", "model=gru4rec: the run was trained with"),
        ("dataset=synthetic", "dataset=synthetic: the run was trained with dataset=clicks, which cannot change"),
    ):
        refused = program("train.py", "resume=last", option)
        assert sentence in refused.stderr
        assert (folder / ".hydra" / "overrides.yaml").read_text() == stored
    resumed = program("train.py", f"resume={folder.relative_to(tmp_path)}")
    assert resumed.returncode == 0, resumed.stderr


def test_a_moved_log_is_evaluated_by_its_path_alone(program, tmp_path: Path):
    write_shop_log(tmp_path)
    columns = [f"dataset.columns.{name}" for name in ("session=visit", "item=sku", "time=at")]
    trained = program(
        "train.py", "dataset=clicks", "dataset.path=log.csv", *columns, "dataset.rules.test_days=2", *SMALL[2:]
    )
    assert trained.returncode == 0, trained.stderr
    (tmp_path / "day=1").mkdir()
    (tmp_path / "log.csv").rename(tmp_path / "day=1" / "log (1).csv")
    moved = program(
        "evaluate.py", "checkpoint=last", "dataset.path=day=1/log (1).csv", "recommendations=best.csv", "k=2"
    )
    assert moved.returncode == 0, moved.stderr
    best = pl.read_csv(tmp_path / "best.csv")
    assert best["place"].to_list()[:4] == [1, 2, 1, 2]
    log = pl.read_csv(tmp_path / "day=1" / "log (1).csv").group_by("visit", maintain_order=True).agg("sku")
    session = log.filter(visit=best["session"][0])["sku"].item()
    assert best["target"][0] == session[best["clicks"][0]]
    other = program(
        "evaluate.py",
        "checkpoint=last",
        "dataset.path=day=1/log (1).csv",
        "dataset=clicks",
        *columns,
        "dataset.rules.test_days=3",
    )
    assert "sessions that it was trained on could be tested" in other.stderr
    rules = program("evaluate.py", "checkpoint=last", "dataset.path=day=1/log (1).csv", "dataset.rules.test_days=3")
    assert "of which only dataset.path" in rules.stderr
    for path in ("none/best.csv", "best.txt"):
        wrong = program("evaluate.py", "checkpoint=last", "dataset.path=day=1/log (1).csv", f"recommendations={path}")
        assert "expected a file in an existing folder" in wrong.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["model.hiden_size=5"], "model.hiden_size=5: there is no option model.hiden_size; model has hidden_size, "),
        (["model.hidden_size=0"], "model.hidden_size=0: expected an integer of at least 1."),
        (["model.propagation_steps=-1"], "model.propagation_steps=-1: expected an integer of at least 0."),
        (
            ["dataset=foo"],
            "dataset=foo: expected one of amazon, clicks, diginetica, diginetica_log, ml100k, ml1m, nowplaying, ",
        ),
        (["dataset=clicks"], "dataset.path is missing: give dataset.path=..."),
        (["dataset=clicks", "dataset.path=log.csv"], "no file log.csv: name yours with dataset.path=FILE."),
        (
            ["dataset=yoochoose_log"],
            "no file data/yoochoose-clicks.dat: name yours with dataset.path=FILE. Download it from https://",
        ),
        (["dataset=clicks", "dataset.rules.suport=once"], "dataset.rules has duplicates, repeats, "),
        (["dataset=clicks", "dataset.path=x", "dataset.rules.support=2"], "dataset.rules.support=2: expected one of"),
        (
            ["dataset=diginetica", "k=50000"],
            "k=50000: the data has only 43,097 items, and a cut-off cannot be larger: give smaller",
        ),
        (["dataset=diginetica", "trainer=gpu"], "trainer=gpu is not available here"),
        (["trainer=gpu"], "use trainer=cpu, or install a build of torch for your GPU (docs/install.md)."),
        (["trainer.precision=8"], "Error: trainer.precision=8: expected one of 32-true, "),
        (["model=srgnn_fast"], "model=srgnn_fast is now called recipe=srgnn_fast."),
        (["dataset=yoochoose1_4"], "dataset=yoochoose1_4 is now called dataset=yoochoose1_4_log."),
        (
            ["dataset=diginetica", "dataset.path=log.csv"],
            "choose its raw log with dataset=diginetica_log dataset.path=",
        ),
        (["preset=reference"], "preset=reference: dataset=synthetic has no rules; leave the preset out."),
        (["sampling.negatives=0"], "sampling.negatives=0: expected an integer of at least 1."),
        (["dataset.seed=-1"], "Error: dataset.seed=-1: expected"),
        (["seed=-1"], "Error: seed=-1: expected"),
        (["optimizer=adam"], "optimizer"),
        (["lr=0.1"], "lr=0.1: there is no option lr at the top; use optimizer.lr=0.1."),
        (["k=5,10"], "k=5,10: give a list, k=[5,10], or -m for one run per value."),
        (["dataset.path=log.csv"], "for a log of your own add dataset=clicks."),
        (["trainer.foo=1"], "trainer.foo=1: expected an argument of Lightning's Trainer"),
        (["optimizer.lr=fast"], "optimizer.lr=fast: expected a number greater than 0."),
        (["paths.outputs=/proc/x"], "paths.outputs=FOLDER"),
        (["dataset=diginetica", "paths.data=/proc/x"], "paths.data=FOLDER"),
        (["resume=last"], "there is no unfinished run"),
    ],
)
def test_wrong_input_gives_one_sentence(program, tmp_path: Path, arguments: list[str], sentence: str):
    if "trainer=gpu" in arguments and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    process = program("train.py", *arguments)
    assert process.returncode == 1
    *_, last = process.stderr.strip().splitlines()
    assert last.startswith("Error: ")
    assert sentence in last
    assert "Traceback" not in process.stderr
    assert not (tmp_path / "data").exists()  # nothing was loaded


def write_shop_log(folder: Path) -> None:
    """A shop's click log with string ids, and its table of items."""
    data = SyntheticLog(sessions=600, items_per_category=5).load()
    lines = ["visit,sku,at"]
    for visit, session in enumerate([*data.train, *data.test]):
        at = 1_743_465_600 + 3600 * visit
        lines += [f"v{visit},{data.vocabulary.ids[i]},{at + 30 * n}" for n, i in enumerate(session.tolist())]
    (folder / "log.csv").write_text("\n".join(lines) + "\n")
    items = "".join(f"{sku},The {sku} of the shop\n" for sku in data.vocabulary.ids)
    (folder / "items.csv").write_text("id,title\n" + items)


OWN = ["dataset=clicks", "dataset.path=log.csv", "dataset.columns={session: visit, item: sku, time: at}"]


def test_your_own_log_is_prepared_and_used_to_train_and_recommend(program, tmp_path: Path):
    write_shop_log(tmp_path)
    own = [*OWN, "dataset.items.path=items.csv", "dataset.rules.test_days=2"]
    prepared = program("prepare.py", *own)
    assert prepared.returncode == 0, prepared.stderr
    for text in (
        "Reading log.csv",
        "rows of the log",
        "items of 5 clicks or more (once)",
        "█",
        "never seen in training",
    ):
        assert text in prepared.stdout
    folder = tmp_path / prepared.stdout.split()[-1]
    assert sorted(path.name for path in folder.iterdir()) == [
        *("checksums.txt", "manifest.json", "test.items.npy", "test.ptr.npy", "test_ids.parquet"),
        *("train.items.npy", "train.ptr.npy", "vocabulary.parquet"),
    ]
    manifest = json.loads((folder / "manifest.json").read_text())
    for step in manifest["steps"]:
        assert f"{step['rule']} " in prepared.stdout
        assert f" {step['clicks']:,} " in prepared.stdout

    trained = program("train.py", *own, "max_epochs=1", "model.hidden_size=16")
    assert trained.returncode == 0, trained.stderr
    assert "Reading" not in trained.stdout  # it was prepared
    found = program("recommend.py", "session=music-01,music-02", "k=3")
    assert found.stdout.count(" of the shop ") == 3


def test_a_log_that_cannot_be_used_gives_one_sentence(program, tmp_path: Path):
    (tmp_path / "log.csv").write_text("visit,sku,at\nv1,a,now\n")
    for options, sentence in (
        ([], "dataset.path is missing: give dataset.path=... (prepare.py --help shows all options)"),
        (["datset=clicks"], "there is no option datset; the configuration has "),
        (OWN, "column at cannot be read, such as 'now': name their format with dataset.time_format="),
        (OWN[:2], "found visit, sku, at. Name yours with dataset.columns.session=NAME"),
        ([*OWN, "dataset.where=x"], "dataset.where=x: expected an SQL expression over the columns visit, sku, at"),
    ):
        process = program("prepare.py", *options)
        assert process.returncode == 1
        assert sentence in process.stderr
        assert process.stderr.startswith("Error: ")
        assert process.stderr.count("\n") == 1
    assert list((tmp_path / "data" / "prepared").iterdir()) == []


def test_a_rule_for_a_set_published_as_sessions_is_rejected(program):
    for option in ("dataset.rules.test_days=3", "preset=reference"):
        process = program("prepare.py", "dataset=diginetica", option)
        assert f"Error: {option}: diginetica is published as sessions" in process.stderr


def test_a_traceback_is_shown_on_request(program):
    assert "Traceback" in program("train.py", "model.hidden_size=0", SRGNN_TRACEBACK="1").stderr


def test_sigterm_leaves_a_checkpoint_to_resume_from(program, tmp_path: Path):
    arguments = [*SMALL, "dataset.sessions=4000", "max_epochs=2"]
    whole = program("train.py", *arguments, "hydra.run.dir=outputs/whole")
    assert whole.returncode == 0, whole.stderr
    stopped = program.start("train.py", *arguments, "hydra.run.dir=outputs/stopped")
    stopped.wait_for("outputs/stopped/last.ckpt")
    stopped.send_signal(signal.SIGTERM)  # in the second epoch
    assert stopped.wait() == 130, stopped.stderr
    assert "python src/train.py resume=outputs/stopped/last.ckpt" in stopped.stdout

    resumed = program("train.py", "resume=last")
    assert resumed.returncode == 0, resumed.stderr
    one, other = (weights(tmp_path / "outputs" / name / "best.ckpt") for name in ("whole", "stopped"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert result(tmp_path / "outputs" / "whole")["metrics"] == result(tmp_path / "outputs" / "stopped")["metrics"]
    # The loss of the epoch that was resumed is the mean over its second part.
    logs = [pl.read_csv(tmp_path / "outputs" / name / "logs" / "metrics.csv") for name in ("whole", "stopped")]
    assert logs[0].drop("loss_epoch").equals(logs[1].drop("loss_epoch"))
    assert logs[0]["loss_epoch"].is_not_null().equals(logs[1]["loss_epoch"].is_not_null())


def test_two_processes_train_like_one(program, tmp_path: Path):
    train, _ = SyntheticLog(sessions=600, items_per_category=5).load().train.split_latest(0.1)
    # A batch size that leaves one prefix for the last batch: one process gets none of it.
    batch_size = next(size for size in range(100, train.num_prefixes) if train.num_prefixes % size == 1)
    for run, trainer in ((program, "cpu"), (program.fresh, "ddp")):
        process = run("train.py", *SMALL, f"batch_size={batch_size}", f"trainer={trainer}", f"hydra.run.dir={trainer}")
        assert process.returncode == 0, process.stderr
        assert process.stdout.count("Checkpoint:") == 1
    one, two = (weights(tmp_path / name / "best.ckpt") for name in ("cpu", "ddp"))
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=0, atol=1e-5)
    metrics = [result(tmp_path / name)["metrics"]["SR-GNN"] for name in ("cpu", "ddp")]
    assert metrics[0] == pytest.approx(metrics[1], abs=1e-3)


@pytest.mark.parametrize("mode", ["no key", "disabled"])
def test_wandb_never_asks(program, tmp_path: Path, mode: str):
    variables = {"HOME": str(tmp_path), "NETRC": str(tmp_path / "netrc"), "WANDB_API_KEY": ""}
    if mode == "disabled":
        variables["WANDB_MODE"] = "disabled"
    process = program("train.py", *SMALL, "logger=wandb", "hydra.run.dir=run", **variables)
    assert process.returncode == 0, process.stderr
    assert ("kept offline" in process.stdout) is (mode == "no key")
    assert bool(list(tmp_path.rglob("*.wandb"))) is (mode == "no key")
    if mode == "no key":
        (tmp_path / "run" / "result.json").unlink()
        resumed = program("train.py", "resume=run/last.ckpt", "max_epochs=3", **variables)
        assert resumed.returncode == 0, resumed.stderr
        parts = {path.name.rpartition("-")[2].removesuffix(".wandb") for path in tmp_path.rglob("*.wandb")}
        assert parts == {(tmp_path / "run" / "wandb-id.txt").read_text()}  # both parts are one run of wandb
        assert len(list(tmp_path.rglob("*.wandb"))) == 2


def test_tensorboard_writes_its_events(program, tmp_path: Path):
    pytest.importorskip("tensorboard")
    process = program("train.py", *SMALL, "logger=tensorboard")
    assert process.returncode == 0, process.stderr
    assert list(tmp_path.rglob("events.out.tfevents.*"))


def test_wandb_is_not_imported_unless_it_is_chosen(program, tmp_path: Path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "wandb.py").write_text("raise SystemExit('wandb was imported')\n")
    process = program.fresh("train.py", *SMALL, "max_epochs=1", PYTHONPATH=str(tmp_path / "broken"))
    assert process.returncode == 0, process.stderr


def test_a_full_disk_gives_one_sentence(program, tmp_path: Path):
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    (tmp_path / "run").mkdir()
    (tmp_path / "train.py").write_text(f"""
import pathlib, runpy, sys
sys.argv = ["{ROOT}/src/train.py", *{SMALL!r}, "hydra.run.dir=run"]
sys.path.insert(0, "{ROOT}/src")
opened = pathlib.Path.open
def full(self, mode="r", *arguments, **options):
    if self.suffix == ".ckpt" and "w" in mode:
        return open("/dev/full", "wb", buffering=0)
    return opened(self, mode, *arguments, **options)
pathlib.Path.open = full
runpy.run_path(sys.argv[0], run_name="__main__")
""")
    process = program(str(tmp_path / "train.py"))
    assert process.returncode == 1
    *_, last = process.stderr.strip().splitlines()
    assert last.startswith("Error: Cannot write")
    assert "No space left" in last
    assert not list(tmp_path.rglob("*.ckpt"))


def test_a_wrong_option_does_not_end_the_unfinished_runs_of_a_sweep(program, tmp_path: Path):
    swept = program("train.py", "-m", *SMALL, "seed=0,1", "hydra.sweep.dir=outputs/x")
    assert swept.returncode == 0, swept.stderr
    sweep = tmp_path / "outputs" / "x"
    whole = result(sweep / "1")["metrics"]
    for folder in (sweep, sweep / "1"):  # as after a kill
        (folder / "result.json").unlink()
    wrong = program("train.py", "resume=last", "patience=0")
    assert wrong.returncode == 1
    assert "patience=0: expected an integer of at least 1" in wrong.stderr
    assert not (sweep / "1" / "result.json").exists()
    again = program("train.py", "-m", *SMALL, "seed=5,6", "hydra.sweep.dir=outputs/x")
    assert "a sweep is in this folder; continue it with resume=outputs/x" in again.stderr
    continued = program("train.py", "resume=last")
    assert continued.returncode == 0, continued.stderr
    assert result(sweep / "1")["metrics"] == whole
    assert result(sweep) == {"runs": 2, "failed": 0}
