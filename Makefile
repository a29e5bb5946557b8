# `make help` lists the targets.
SHELL := bash
.SHELLFLAGS := -o pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The first, which runs what is `once`, compiles nothing.
BACKENDS ?= torch tensorflow jax
# Which tests, as an expression of pytest's markers.
TESTS ?= not slow
# The backend that the demo installs; the smallest to download.
DEMO_BACKEND ?= jax

.DEFAULT_GOAL := help
.PHONY: help demo test test-all suites bench pages lint format clean

help: ## List the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | column -t -s '|'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.demo-$(DEMO_BACKEND): $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[$(DEMO_BACKEND)]'
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(VENV)/.demo-$(DEMO_BACKEND) ## Install kcnn with one backend, train on digits, evaluate, predict.
	BIN=$(BIN) BACKEND=$(DEMO_BACKEND) sh docs/demo.sh

test: $(VENV)/.dev lint ## Install everything and run the tests on each backend, two backends at a time.
	@$(MAKE) --no-print-directory --jobs=2 suites

test-all: $(VENV)/.dev lint ## As test, with the slow tests.
	@$(MAKE) --no-print-directory --jobs=2 suites TESTS='slow or not slow'

suites: $(BACKENDS:%=suite-%)

# One backend's tests; what is `once` (tests/conftest.py) on the first backend alone. PyTorch's threads would spin while
# they wait, and take the other suite's time.
suite-%:
	@OMP_WAIT_POLICY=passive KERAS_BACKEND=$* $(BIN)/pytest --color=no -m "($(TESTS))$(if $(filter-out $(firstword $(BACKENDS)),$*), and not once)" \
		| sed -u 's/^/$*: /'

bench: $(VENV)/.dev ## Measure kcnn against plain loops and stock Keras; writes benchmarks/results.
	$(BIN)/python benchmarks/steps.py
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/decoding.py
	$(BIN)/python benchmarks/files.py
	$(BIN)/python benchmarks/epochs.py
	$(BIN)/python benchmarks/growth.py
	$(BIN)/python benchmarks/serving.py --backend torch

pages: $(VENV)/.dev ## Write docs/results.md from the runs that are in git, and docs/recipes.md from the code.
	$(BIN)/python docs/results.py
	$(BIN)/python docs/recipes.py

lint: $(VENV)/.dev ## Check style and, in the Keras-free half, types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev ## Put the code into its style.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove the environment and caches; runs stay.
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache dist
