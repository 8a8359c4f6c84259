import sys
from types import SimpleNamespace

import pytest
import torch

from srgnn import memory


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the settings are those of glibc")
def test_settings_that_the_allocator_refuses_are_reported(caplog, monkeypatch):
    assert memory.keep_freed_memory()
    monkeypatch.setattr("ctypes.CDLL", lambda name: SimpleNamespace(mallopt=lambda setting, value: 0))
    assert not memory.keep_freed_memory()
    assert "refused" in caplog.text


def test_peak_memory_is_in_gigabytes():
    torch.ones(250_000_000)  # 1 GB
    assert 1.0 < memory.peak_memory() < 100


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux forgets a peak")
def test_a_peak_can_be_forgotten():
    torch.ones(500_000_000)  # 2 GB
    before = memory.peak_memory()
    memory.forget_peak()
    assert memory.peak_memory() < before - 1
