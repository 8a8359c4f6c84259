"""The training benchmark runs and prints what it should; measured figures are in docs/performance.md."""

import pytest

BENCHMARK = "../benchmarks/train.py"
TINY = ["dataset=synthetic", "dataset.sessions=300", "dataset.items_per_category=5", "--rounds=2", "--steps=1"]


@pytest.mark.parametrize("loss", ["cross_entropy", "sampled_softmax"])
def test_training_is_measured_against_the_rate_of_the_machine(program, loss: str):
    run = program.fresh if loss == "cross_entropy" else program
    process = run(BENCHMARK, *TINY, f"loss={loss}", "--batch-sizes", "10", "20")
    assert process.returncode == 0, process.stderr
    for text in ("Batch 10, d = 100, 100 items", "Batch 20", "GFLOP/s", "prefixes/s", "this project", "Evaluation: "):
        assert text in process.stdout
    assert ("with all scores: " in process.stdout) is (loss == "cross_entropy")  # the ratio to the plain path


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--reference", "nowhere"], "--reference nowhere: expected a checkout of CRIPAC-DIG/SR-GNN"),
        (["trainer=gpu"], "trainer=gpu: torch sees no GPU here"),
        (["model.readout=x"], "model.readout=x: expected one of"),
    ],
)
def test_a_setting_that_cannot_be_measured_is_reported(program, arguments: list[str], sentence: str):
    process = program(BENCHMARK, *TINY, *arguments)
    assert process.returncode == 1
    assert sentence in process.stderr
    assert "Traceback" not in process.stderr
