# Two commands do everything on a machine with git, make and Python 3.11:  make demo  and  make test
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin

# Small problems on few cores: a second BLAS thread would only wait for the test beside it.
export OPENBLAS_NUM_THREADS ?= 1

.PHONY: demo test check test-slow bench clean

demo: $(VENV)/.runtime
	$(BIN)/spillover demo --out spillover-demo

test: check
	$(BIN)/python -m pytest -n 2

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 -m slow

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/panel_sdm.py
	$(BIN)/python benchmarks/start_up.py

$(VENV)/.runtime: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) .ci-venv spillover-demo
