"""The benchmark of the service runs and prints what it should."""

import pytest


def test_the_service_is_measured_under_load(program):
    pytest.importorskip("fastapi")
    sizes = ["--items=300", "--width=8", "--rate=10", "--seconds=1"]
    process = program.fresh("../benchmarks/serve.py", *sizes, "--no-search", "threads=1")
    assert process.returncode == 0, process.stderr
    head, names, figures = process.stdout.splitlines()
    assert head == "300 items, d = 8, k = 20, 1 s per load"
    measured = dict(zip(names.replace(" ms", "").split(), map(float, figures.split()), strict=True))
    assert measured["due/s"] == 10
    assert measured["refused"] == 0
    assert 0 < measured["p50"] <= measured["p90"] <= measured["p99"]
