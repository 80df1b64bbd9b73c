# Set-up, run, tests. `make run` and `make test` do everything from a fresh clone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help run test lint types bench captures soak fuzz vectors clean

help: ## This list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 12

run: $(VENV)/.run ## Set up, then start a node (more options: make run ARGS="--no-mdns")
	@$(BIN)/p2pboard run $(ARGS)

# Tests between real hosts have clocks and captures to watch, so nothing else runs beside them.
test: $(VENV)/.dev lint types ## Set up, then lint, types and all tests
	$(BIN)/python -m pytest -n auto -m "not lan" $(ARGS)
	$(BIN)/python -m pytest -m lan $(ARGS)

lint: $(VENV)/.dev ## Style and common mistakes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev ## Types; strict for the protocol and the simulator
	$(BIN)/mypy

bench: $(VENV)/.dev ## Speed, as ratios in one run (one alone: .venv/bin/python -m bench NAME)
	$(BIN)/python -m bench all $(ARGS)

captures: $(VENV)/.dev ## Half an hour: does posting show in the packets of real nodes? (Linux, root)
	@mkdir -p build
	$(BIN)/python -m tests.lan.captures --json build/captures.json --doc docs/captures.md $(ARGS)

soak: $(VENV)/.dev ## Random simulated worlds until stopped (make soak ARGS="--seeds 1000")
	$(BIN)/python -m tests.simnet.soak $(ARGS)

fuzz: $(VENV)/.dev ## The property tests with random examples, many of them
	HYPOTHESIS_PROFILE=long $(BIN)/python -m pytest --timeout=0 tests/protocol $(ARGS)

vectors: $(VENV)/.dev ## Write the test vectors anew
	$(BIN)/python -m tests.vectors.generate

clean: ## Remove the environment and everything that is made
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "p2pboard needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "Python's venv module is missing; on Debian and Ubuntu: apt install python3-venv"; \
	    rm -rf $(VENV); exit 1; }

$(VENV)/.run: $(VENV)/bin/python pyproject.toml
	@echo "setting up in $(VENV) (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml
	@echo "setting up in $(VENV) (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.run
