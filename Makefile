# `make train`, then `make demo` for its page in the browser; `make test`. Each sets up .venv on its first run.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
TORCH := torch==2.13.0

.PHONY: train demo test check docs pictures scatter clean

train: $(VENV)/.ready
	$(BIN)/python src/train.py
	@echo "These commands need the environment: source $(BIN)/activate"

demo: $(VENV)/.ready
	$(BIN)/python src/serve.py checkpoint=last

test: check docs
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

# What pre-commit runs: formatting, linters, types, and the direction of imports.
check: $(VENV)/.ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy benchmarks
	$(BIN)/lint-imports

docs: $(VENV)/.ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

pictures: $(VENV)/.ready
	$(BIN)/python docs/pictures.py

# torch-scatter has no wheels on the package index. Its source build needs the installed torch, a C++ compiler and
# five to ten minutes; pip keeps the built wheel.
scatter: $(VENV)/.ready
	$(BIN)/python -c "import torch_scatter" 2>/dev/null || $(PIP) install --no-build-isolation torch-scatter==2.1.2

# torch comes first, as the CPU build, and is named again with the rest so that nothing replaces it with a newer build
# of several GB. A prebuilt torch-scatter is installed if there is one for this torch; it is optional.
$(VENV)/.ready: pyproject.toml Makefile
	$(PYTHON) -c "import sys; assert sys.version_info >= (3, 11), 'Python 3.11 or newer is needed'"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet $(TORCH) --extra-index-url https://download.pytorch.org/whl/cpu --retries 1 --timeout 15
	$(PIP) install --quiet $(TORCH) setuptools wheel -e ".[dev]"
	$(BIN)/python -c "import torch_scatter" 2>/dev/null || \
	  $(PIP) install --quiet --only-binary=:all: --no-deps --retries 0 --timeout 5 torch-scatter \
	    -f https://data.pyg.org/whl/torch-2.13.0+cpu.html 2>/dev/null || \
	  echo "No prebuilt torch-scatter for this torch: continuing without it ('make scatter' builds it)."
	touch $@

clean:
	rm -rf $(VENV) site
