"""Answers over HTTP with a checkpoint: `python src/serve.py checkpoint=last port=8080`."""

from pathlib import Path

from omegaconf import DictConfig

from srgnn.cli.config import build, plain, program
from srgnn.cli.errors import options_of
from srgnn.cli.runs import finished_run
from srgnn.errors import UserError, check_int


@program("serve")
def main(config: DictConfig) -> None:
    import torch  # PyG and torch take seconds to load

    try:
        from srgnn.serving.limits import Limits
        from srgnn.serving.model import ServedModel
        from srgnn.serving.server import serve
        from srgnn.serving.service import Service
        from srgnn.serving.telemetry import log_json_lines
    except ModuleNotFoundError as error:
        if error.name not in ("fastapi", "uvicorn", "prometheus_client", "pydantic", "starlette"):
            raise
        raise UserError("The service needs FastAPI and more: pip install 'srgnn[serve]'.") from error
    with options_of(config, "limits"):
        limits = Limits(**plain(config.limits))
    if config.threads is not None:
        torch.set_num_threads(check_int("threads", config.threads, 1))
    store = build(config, "store") if "store" in config else None
    api_key = None if config.api_key is None else str(config.api_key)
    index = None if config.index is None else Path(str(config.index))
    compiled = None if config.compiled is None else Path(str(config.compiled))
    model = ServedModel(lambda: finished_run(config.checkpoint, config.paths.outputs), index, compiled)
    log_json_lines()
    with options_of(config):
        serve(Service(model, limits, store, api_key), str(config.host), config.port)


if __name__ == "__main__":
    main()
