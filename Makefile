PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test soak lint clean

demo: .venv/installed  ## compile the shipped MNIST network and prove it bit-exact in Verilator
	$(BIN)/python examples/demo.py

test: .venv/installed  ## everything but the long soaks
	$(BIN)/pytest -n auto -m "not soak"

soak: .venv/installed  ## the long runs
	$(BIN)/pytest -n auto -m soak

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv build

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -e ".[dev]"
	touch $@
