"""Errors about an engine name its own options, though a data set holds the engine."""

import pytest
from hydra import compose, initialize_config_dir

from srgnn.cli import CONF
from srgnn.cli.errors import options_of
from srgnn.errors import UserError


@pytest.mark.parametrize(
    ("argument", "option"),
    [("memory_limit", "engine.memory_limit"), ("engine", "engine"), ("test_days", "dataset.rules.test_days")],
)
def test_an_error_while_a_log_is_prepared_names_the_option(argument: str, option: str):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("prepare", ["dataset=clicks", "engine=duckdb"])
    with pytest.raises(UserError) as error, options_of(config, "dataset"):
        raise UserError(f"Give it more with {argument}=VALUE.", argument)
    assert str(error.value) == f"Give it more with {option}=VALUE."
