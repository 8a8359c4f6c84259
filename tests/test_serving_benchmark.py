"""The benchmark of the service runs and prints what it should."""

import os

import pytest


def test_the_service_is_measured_under_load(program):
    pytest.importorskip("fastapi")
    sizes = ["--items=300", "--width=8", "--rate=10", "--seconds=1"]
    process = program.fresh("../benchmarks/serve.py", *sizes, "--no-search")
    assert process.returncode == 0, process.stderr
    head, names, figures = process.stdout.splitlines()
    assert head == f"300 items, d = 8, k = 20, 1 s per load, torch threads: 1, cores: {os.cpu_count()}"
    measured = dict(zip(names.replace(" ms", "").split(), map(float, figures.split()), strict=True))
    assert measured["due/s"] == 10
    assert measured["refused"] == 0
    assert 0 < measured["p50"] <= measured["p90"] <= measured["p99"]
