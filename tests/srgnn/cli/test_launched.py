"""Processes of one training that something other than Lightning has started."""

import pytest

from srgnn.cli.launched import check_count, in_one_folder, is_main_process
from srgnn.errors import UserError

VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "NODE_RANK", "SLURM_PROCID", "SLURM_NTASKS")
NAMED = ["trainer=sharded", "hydra.run.dir=run"]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in request.param.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("environment", "is_main"),
    [
        ({}, True),
        ({"RANK": "0", "LOCAL_RANK": "0"}, True),
        ({"RANK": "2", "LOCAL_RANK": "0"}, False),  # the first process on the second machine
        ({"LOCAL_RANK": "0", "NODE_RANK": "0"}, True),
        ({"LOCAL_RANK": "1", "NODE_RANK": "0"}, False),
        ({"NODE_RANK": "1"}, False),  # before Lightning has started the others there
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, True),
        ({"SLURM_PROCID": "3", "SLURM_NTASKS": "4"}, False),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1", "LOCAL_RANK": "1"}, False),  # Lightning's, within a job
    ],
    indirect=["environment"],
)
def test_one_process_of_all_machines_is_the_first(environment: None, is_main: bool):
    assert is_main_process() is is_main


STARTED = [{"RANK": "0"}, {"SLURM_PROCID": "0", "SLURM_NTASKS": "2"}, {"NODE_RANK": "0"}]


@pytest.mark.parametrize("environment", STARTED, indirect=True)
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["trainer=sharded"], "need one folder for the run: name it with hydra.run.dir=outputs/NAME."),
        (["resume=last"], "need the same checkpoint; give its path."),
        (["-m", "seed=0,1", "hydra.run.dir=run"], "leave -m out."),
    ],
)
def test_what_processes_would_decide_differently_is_refused(environment: None, arguments: list[str], sentence: str):
    with pytest.raises(UserError) as error:
        in_one_folder(arguments)
    assert str(error.value).endswith(sentence)


@pytest.mark.parametrize("environment", STARTED, indirect=True)
def test_the_first_process_keeps_its_arguments(environment: None):
    assert in_one_folder(NAMED) == NAMED
    assert in_one_folder(["resume=run/last.ckpt"]) == ["resume=run/last.ckpt"]


@pytest.mark.parametrize("environment", [{"RANK": "1"}, {"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}], indirect=True)
def test_the_others_write_no_options(environment: None):
    assert in_one_folder(NAMED) == [*NAMED, "hydra.output_subdir=null", "hydra.job.name=other_process"]


@pytest.mark.parametrize(
    "environment",
    [{}, {"LOCAL_RANK": "1", "NODE_RANK": "0"}, {"SLURM_PROCID": "0", "SLURM_NTASKS": "1"}],
    indirect=True,
)
def test_processes_of_lightning_and_single_ones_decide_as_before(environment: None):
    assert in_one_folder(["resume=last", "-m"]) == ["resume=last", "-m"]


TORCHRUN = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2"}


@pytest.mark.parametrize(
    ("environment", "processes", "machines", "sentence"),
    [
        (TORCHRUN, 1, 1, "torchrun has started 2 processes, but the trainer has 1"),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, 2, 1, "srun has started 4 processes, but the trainer has 2"),
        ({}, 4, 2, "trainer.num_nodes=2: start the program on each machine"),
        ({"RANK": "1", "WORLD_SIZE": "2"}, 2, 2, "RANK=1 is set, but not LOCAL_RANK"),  # without torchrun
        (TORCHRUN, 2, 1, None),
        ({"NODE_RANK": "1"}, 4, 2, None),
        ({"NODE_RANK": "1", "LOCAL_RANK": "1"}, 4, 2, None),
        ({}, 2, 1, None),
    ],
    indirect=["environment"],
)
def test_the_processes_are_those_of_the_trainer(environment: None, processes: int, machines: int, sentence: str | None):
    if sentence is None:
        check_count(processes, machines)
        return
    with pytest.raises(UserError) as error:
        check_count(processes, machines)
    assert str(error.value).startswith(sentence)
