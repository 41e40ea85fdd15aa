# `make run` makes the quickstart report, `make test` runs the quick tests. Both make their own environment first.

SHELL := /bin/bash
.DEFAULT_GOAL := run
.PHONY: run test check lint bench

RECIPE ?= quickstart
# Installed before the rest, so that the CPU build is taken where pip is configured with one.
TORCH ?= torch==2.13.0
PYTHON ?= $(shell for name in python3.11 python3 python3.12 python3.13 python3.14; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)

VENV := .venv
# Written last, so its presence says that the environment is whole; its text says how long the installation took.
INSTALLED := $(VENV)/setup-seconds
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check install -qq --constraint constraints.txt
PYTEST := OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n 2

run: $(INSTALLED)
	@$(VENV)/bin/textvae run $(RECIPE) --setup-seconds "$$(cat $(INSTALLED))"

test: $(INSTALLED)
	$(PYTEST) -m "not slow"

check: lint
	$(PYTEST)

lint: $(INSTALLED)
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy

bench: $(INSTALLED)
	@$(VENV)/bin/python benchmarks/bench.py

$(INSTALLED): setup.cfg constraints.txt
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "textvae needs Python 3.11 or newer; name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@set -e; start=$$SECONDS; rm -f $@; \
	echo "Installing into $(VENV) with $$($(PYTHON) --version): $(TORCH) ..." >&2; \
	$(PYTHON) -m venv $(VENV); \
	$(PIP) $(TORCH) setuptools; \
	echo "Installing the other packages of constraints.txt ..." >&2; \
	$(PIP) --no-build-isolation --editable ".[dev]"; \
	echo $$((SECONDS - start)) > $@.part; mv $@.part $@; \
	echo "Installed in $$(cat $@) s." >&2
