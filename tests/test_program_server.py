"""A program that is forked does what it does with a Python of its own."""

import signal
from pathlib import Path

import pytest

SCRIPTS = {
    "arguments and folders": "print(sys.argv, sys.path, os.getcwd(), __name__, __file__)",
    "environment": "print(sorted(os.environ.items()))",
    "streams": "print([(s.isatty(), s.encoding, s.errors, s.line_buffering) for s in (sys.stdout, sys.stderr)])",
    "input": "print(repr(sys.stdin.read()))",
    "signals": "print([signal.getsignal(each) for each in signal.valid_signals()])",
    "threads of torch": "import torch; print(torch.get_num_threads())",
    "text for sys.exit": "print('a'); sys.exit('Error: é')",
    "number for sys.exit": "sys.exit(3)",
    "callback at the end": "atexit.register(print, 'last'); sys.exit()",
    "thread that runs on": "threading.Thread(target=lambda: (time.sleep(0.1), print('last'))).start()",
    "killed": "print('never written'); os.kill(os.getpid(), signal.SIGKILL)",
}


def script(folder: Path, text: str) -> str:
    path = folder / "script.py"
    path.write_text(f"import atexit, os, signal, sys, threading, time\n{text}\n")
    return str(path)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_forked_program_does_what_it_does_with_a_python_of_its_own(program, tmp_path: Path, name: str):
    path = script(tmp_path, SCRIPTS[name])
    forked, fresh = (run(path, "x=é 1", GIVEN="2") for run in (program, program.fresh))
    assert (forked.returncode, forked.stdout, forked.stderr) == (fresh.returncode, fresh.stdout, fresh.stderr)


def test_an_error_ends_it_with_a_traceback(program, tmp_path: Path):
    path = script(tmp_path, "raise ValueError('wrong')")
    forked, fresh = program(path), program.fresh(path)
    assert forked.returncode == fresh.returncode == 1
    assert forked.stderr.startswith("Traceback (most recent call last):\n")
    assert fresh.stderr.splitlines()[1:] == forked.stderr.splitlines()[-3:]  # without the frames of the server


def test_it_draws_other_random_numbers_than_the_next_one(program, tmp_path: Path):
    path = script(tmp_path, "import numpy, random, torch; print(random.random(), numpy.random.rand(), torch.rand(()))")
    one, other = (program(path).stdout.split() for _ in range(2))
    assert not set(one) & set(other)


def test_it_can_be_watched_and_stopped(program, tmp_path: Path):
    path = script(tmp_path, "print('begun', flush=True); open('file', 'w').close(); signal.pause()")
    process = program.start(path)
    process.wait_for("fi*")
    assert process.stdout == "begun\n"
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait() == -signal.SIGTERM
    assert process.kill() == process.poll() == -signal.SIGTERM


def test_one_that_does_not_end_is_killed(program, tmp_path: Path):
    process = program.start(script(tmp_path, "print('begun', flush=True); open('file', 'w').close(); signal.pause()"))
    process.wait_for("file")
    with pytest.raises(TimeoutError, match=r"did not end within 0\.01 s:\nbegun"):
        process.finish(0.01)
    assert process.poll() == -signal.SIGKILL


def test_what_a_starting_python_reads_needs_a_fresh_one(program):
    with pytest.raises(ValueError, match=r"PYTHONPATH.*program\.fresh"):
        program("train.py", PYTHONPATH="x")
