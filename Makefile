# `make run` and `make test` need nothing but Python 3.11 to 3.13, git and make.

PYTHON ?= python3
BIN := .venv/bin
LINKS := $(addprefix .src/signalbox/,actors domain eventstore http ops projections)

.DEFAULT_GOAL := help
# Most tests wait for something: two halves, each about half of the time, share two cores well.
FIRST := tests/http tests/domain tests/eventstore tests/peers tests/processes tests/test_architecture.py

.PHONY: help setup run test test-first test-second check bench autobahn clean

help:  ## Show this list
	@sed -n 's/^\([a-z]*\):.*##/\1\t/p' $(MAKEFILE_LIST) | expand -t 10

setup: .venv/.installed $(LINKS)  ## Install everything into .venv

run: setup  ## Start everything, with a demo SMSC and one SMS to it; Ctrl-C stops it
	@$(BIN)/signalbox up --demo

test: setup  ## Run the whole test suite, its two halves at the same time
	@$(MAKE) --no-print-directory --output-sync=target --jobs=2 test-first test-second

test-first: setup
	$(BIN)/pytest $(FIRST)

test-second: setup
	$(BIN)/pytest $(addprefix --ignore=,$(FIRST))

check: setup  ## Run what needs no test: format, lint, types, imports
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	PYTHONPATH=.src $(BIN)/lint-imports

bench: setup  ## Run the benchmarks in tests/benchmarks, one after the other
	@set -e; for file in tests/benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file; done

autobahn: setup  ## Try the WebSockets with Autobahn's test suite; PYTHON2 is a Python 2.7
	PYTHONPATH=tests $(BIN)/python tests/peers/autobahn/run.py

clean:  ## Remove what `make` and the tools have made
	rm -rf .venv .src build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	  .import_linter_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "Python 3.11, 3.12 or 3.13 is needed: make PYTHON=/path/to/python3 …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "Python's venv is missing: apt install python3-venv" >&2; exit 1; }
	@echo "installing into .venv, once"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . --group dev
	@touch $@

# The root is the package: tools that run no import hooks (mypy, import-linter) find it here.
$(LINKS): .src/signalbox/%:
	@mkdir -p .src/signalbox
	@ln -sfn ../../$* $@
