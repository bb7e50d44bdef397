.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

COMPILE := $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate pyproject.toml

FLOWS ?=
ROUNDS ?= 10
SEED ?=
STAY ?=
BENCH ?=
PEERS ?=
RECORDED ?=

.PHONY: help
help: ## Show what there is to do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "flowhawk needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) -V). Try: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "$(PYTHON) cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; rm -rf $(VENV); exit 1; }

$(VENV)/installed: $(BIN)/python requirements.lock pyproject.toml
	@echo "installing Flowhawk into $(VENV) ..." >&2
	@$(PIP) --require-hashes --requirement requirements.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed requirements-dev.lock
	@echo "installing the development tools into $(VENV) ..." >&2
	@$(PIP) --require-hashes --requirement requirements-dev.lock
	@touch $@

.PHONY: run
run: $(VENV)/installed ## Run on generated traffic, or on your files: make run FLOWS="a.log b.log.gz"
	@$(BIN)/flowhawk up $(if $(STAY),--stay) $(FLOWS)

.PHONY: test
test: $(VENV)/installed-dev ## Run the tests: make test TESTS="tests/detectors -k scan"
	@$(BIN)/pytest $(or $(TESTS),--numprocesses 2)

.PHONY: faults
faults: $(VENV)/installed-dev ## Break a real service in many ways, over and over: make faults ROUNDS=20 SEED=7
	@FAULT_ROUNDS=$(ROUNDS) $(if $(SEED),FAULT_SEED=$(SEED)) $(BIN)/pytest -s tests/faults

.PHONY: lint
lint: $(VENV)/installed-dev ## Check style, types and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/codespell

.PHONY: format
format: $(VENV)/installed-dev ## Put the code into its format
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

# What Flowhawk is measured beside lives apart, and where it cannot be had the rest is measured all the same.
.venv-peers/installed .venv-flink/installed: .venv-%/installed: $(VENV)/installed-dev pyproject.toml
	@echo "installing what Flowhawk is measured beside into $(@D) ..." >&2
	@$(PYTHON) -m venv $(@D)
	@$(BIN)/uv pip install --quiet --python $(@D)/bin/python --group $* && touch $@ || \
		echo "!!! $* CANNOT BE INSTALLED, AND WILL NOT BE MEASURED !!!" >&2

.PHONY: bench
bench: $(VENV)/installed-dev .venv-peers/installed $(if $(PEERS),.venv-$(PEERS)/installed) ## Measure beside others: make bench BENCH="service detect" PEERS=flink
	@PEERS=$(PEERS) $(BIN)/python -m benchmarks $(BENCH)

.PHONY: evaluate
evaluate: $(VENV)/installed-dev ## Measure what is found, how soon, and what is found wrongly: make evaluate RECORDED=my-flows
	@$(BIN)/python -m evaluation $(if $(RECORDED),--recorded $(RECORDED))

.PHONY: docs
docs: $(VENV)/installed-dev ## Write the generated pages of the docs anew
	@$(BIN)/python -m docs.generate

.PHONY: lock
lock: $(VENV)/installed-dev ## Refresh the lock files to the newest allowed versions
	@$(COMPILE) --group dev --output-file requirements-dev.lock
	@$(COMPILE) --group build --constraint requirements-dev.lock --output-file requirements.lock

.PHONY: clean
clean: ## Remove the virtual environment and everything that was made
	@rm -rf $(VENV) .venv-peers .venv-flink var dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache tests/kafka/target
