PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo docs test unit test-larq test-qkeras soak prove mutate figures figures-check lint coverage clean

demo: .venv/installed  ## compile the shipped MNIST network and prove it bit-exact in Verilator
	$(BIN)/python examples/demo.py

test: .venv/installed  ## everything but the long soaks
	$(BIN)/pytest -n auto --dist worksteal -m "not soak"

UNIT := dataflow estimate folding importers ir lower nn targets

unit: .venv/installed  ## the tests of the passes and of the training side, without those of synthesis and boards
	$(BIN)/pytest -n auto --dist worksteal -m "not soak" $(UNIT:%=tests/%) tests/test_house.py

# Larq wants another NumPy than the compiler does, so only what the training side needs is installed there.
test-larq: .venv-larq/installed  ## the training side against Larq itself, which needs Keras 2 beside Keras 3
	TF_USE_LEGACY_KERAS=1 .venv-larq/bin/pytest tests/nn/larq -m larq

# QKeras wants another TensorFlow than the compiler does.
test-qkeras: .venv-qkeras/installed  ## models of QKeras in memory against the package itself
	.venv-qkeras/bin/pytest -n0 tests/importers/packages

SCHEDULER ?= local

soak: .venv/installed  ## the long runs, on all cores or on the workers of SCHEDULER=tcp://host:8786
	$(BIN)/python -m tests.soak --scheduler $(SCHEDULER)

prove: .venv/installed  ## proofs of small instances of all ops: for all inputs and all stalls, or up to a bound
	$(BIN)/python benchmarks/proofs.py

mutate: .venv/installed  ## small faults in the sources: how many the tests find (an hour)
	$(BIN)/python benchmarks/mutation.py

figures: .venv/installed  ## measure the recorded figures that are stale
	$(BIN)/python benchmarks/figures.py

figures-check: .venv/installed  ## list the recorded figures that are stale
	$(BIN)/python benchmarks/figures.py --check

lint: .venv/installed  ## style, types and spelling, and the generated Verilog under slang
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/python -m tests.backends.lint_verilog

docs: .venv/installed  ## the documentation site (build/site/index.html); a broken link is an error
	$(BIN)/sphinx-build -q -W --keep-going -c docs -d build/doctrees . build/site

coverage: .venv/installed  ## the tests once more, slower: which lines they run (build/coverage/index.html)
	$(BIN)/pytest -n auto --dist worksteal -m "not soak" --cov --cov-report=term --cov-report=html

clean:
	rm -rf .venv .venv-larq .venv-qkeras build

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -e ".[dev]"
	touch $@

.venv-larq/installed: pyproject.toml
	$(PYTHON) -m venv .venv-larq
	.venv-larq/bin/pip install -q "larq>=0.14" "tf-keras>=2.16" "keras>=3.11" tensorflow-cpu pytest pytest-timeout
	touch $@

.venv-qkeras/installed: pyproject.toml
	$(PYTHON) -m venv .venv-qkeras
	.venv-qkeras/bin/pip install -q -e ".[test,onnx]" "qkeras-v3>=1.2"
	touch $@
