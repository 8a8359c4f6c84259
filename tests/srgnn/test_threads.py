import multiprocessing
import time

import pytest
import torch

from srgnn.threads import num_parts, run_parts


@pytest.mark.parametrize("threads", [1, 3])
def test_every_part_is_done_once_and_no_two_at_a_time_have_one_thread(threads: int, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    done, busy = [], set()

    def work(part: int, thread: int) -> None:
        assert thread not in busy
        busy.add(thread)
        time.sleep(0.001)
        done.append(part)
        busy.remove(thread)

    run_parts(work, num_parts())
    assert sorted(done) == list(range(num_parts()))


def test_an_error_in_a_part_is_raised(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    with pytest.raises(ZeroDivisionError):
        run_parts(lambda part, thread: 1 // (part - 3), 5)


def test_a_forked_process_has_threads_of_its_own(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    run_parts(lambda part, thread: None, 4)
    child = multiprocessing.get_context("fork").Process(target=run_parts, args=(lambda part, thread: None, 4))
    child.start()
    child.join(20)
    assert child.exitcode == 0
