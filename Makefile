# Everything runs in .venv in this folder. Needed: Python 3.11 or newer, make, and a package index.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PYTEST ?= $(BIN)/python -m pytest

.PHONY: demo test test-live test-engines test-rest lint check bench clean

## demo: classify handwritten digits from PNG files, on this machine and then with two Ray replicas
demo: $(VENV)/.demo
	$(BIN)/gristmill demo
	$(BIN)/gristmill demo --pool ray

LIVE := tests/airflow/live tests/dagster/live
ENGINES := tests/engines

## test: set up and run all tests, two suites at a time: those of live servers and then the engines' beside the others
test: $(VENV)/.test
	$(MAKE) --no-print-directory -j2 --keep-going test-live test-rest test-engines

test-live: $(VENV)/.test
	$(PYTEST) -q -p no:cacheprovider $(LIVE)

test-engines: $(VENV)/.test
	$(PYTEST) -q -p no:cacheprovider $(ENGINES)

test-rest: $(VENV)/.test
	$(PYTEST) -q $(addprefix --ignore=,$(LIVE) $(ENGINES))

## lint: formatting, style and types
lint: $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

## check: what must pass before a change goes in
check: lint test

## bench: measure against plain loops, Daft and Ray Data (takes about an hour)
bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q --upgrade 'pip>=25.1'

$(VENV)/.demo: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) install -q -c constraints.txt -e '.[demo]'
	@touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml constraints.txt tests/dbt.txt tests/s3-server.txt $(wildcard tests/setup/*)
	$(BIN)/python tests/setup/install.py -e . --group test --group lint
	$(BIN)/python -m venv $(VENV)/s3-server
	$(VENV)/s3-server/bin/python -m pip --disable-pip-version-check install -q -r tests/s3-server.txt
	$(BIN)/python -m venv $(VENV)/dbt
	$(VENV)/dbt/bin/python -m pip --disable-pip-version-check install -q -r tests/dbt.txt -e '.[mlflow,openai,sklearn,sql]'
	@touch $@

$(VENV)/.bench: $(VENV)/.test
	$(BIN)/python tests/setup/install.py --group bench
	@touch $@

clean:
	rm -rf $(VENV) gristmill-demo benchmarks/data
