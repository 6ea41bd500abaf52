# Everything a contributor runs. It needs Python, make and a package index, and nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
LOCKED := $(PIP) install --require-hashes
IN_C := monitor/decode/_scan.c
# The project itself is built with the locked setuptools, so that no build fetches anything.
EDITABLE := rm -f $(IN_C:.c=.*.so) && $(PIP) install --no-deps --no-build-isolation --editable .

# Two workers because CI has two cores; a file stays on one worker, which shares its fixtures.
PYTEST_FLAGS ?= -n 2 --dist loadfile
DEMO_FLAGS ?=
ALERTS_FLAGS ?=
DETECTOR_FLAGS ?= --form quick

UV_VERSION := 0.13.8
UV := $(VENV)/uv-$(UV_VERSION)/bin/uv
UV_FLAGS ?=
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(UV_FLAGS)
BUILD_REQUIRES := $(BIN)/python -c 'import tomllib; \
	print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")'

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test chaos lint format alerts chart bench bench-detectors peers soak lock clean

help: ## Say what there is to make
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

setup: $(VENV)/dev.stamp ## Install the locked development set and the project into .venv
	@echo "Ready: $(BIN)/plumbline"

demo: $(VENV)/core.stamp ## Show it at work: an embedded broker, traffic, a drift (DEMO_FLAGS=...)
	@$(BIN)/plumbline demo $(DEMO_FLAGS)

test: lint ## Lint, check types, run the tests (PYTEST_FLAGS=...)
	$(BIN)/python -m pytest $(PYTEST_FLAGS)

chaos: setup ## Kill, stop and cut off processes and broker for some minutes, and count
	PLUMBLINE_CHAOS=long $(BIN)/python -m pytest -n 0 tests/integration/test_chaos.py

lint: setup ## Check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: setup ## Format the code and mend what can be mended
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

alerts: setup ## Make Grafana's alerting from the alert rules (ALERTS_FLAGS=...)
	$(BIN)/python -m grafana.alerts build $(ALERTS_FLAGS)

bench: setup ## Measure the throughput, restarts and what checkpoints cost
	$(BIN)/python -m benchmarks.throughput
	$(BIN)/python -m benchmarks.restart

bench-detectors: setup peers ## Compare the detectors with other libraries' (DETECTOR_FLAGS=...)
	$(BIN)/python -m benchmarks.detectors.run $(DETECTOR_FLAGS)

peers: $(PEERS)/peers.stamp ## Install those libraries into .venv-peers, apart from the project
	@echo "Ready: $(PEERS)"

soak: setup ## Put twenty million records through one daemon and watch its memory
	$(BIN)/python -m benchmarks.soak

chart: setup ## Renew what in the chart follows from other files, and the golden renders
	$(BIN)/python -m helm.build
	$(BIN)/python -m tests.helm.render

# Pins that still fit are kept; `make lock UV_FLAGS=--upgrade` renews them all. all.txt comes first
# and bounds the others, so that a package has one version throughout.
lock: $(UV) ## Lock the dependencies anew, with hashes, after a change of pyproject.toml
	@$(BUILD_REQUIRES) | $(COMPILE) pyproject.toml - --extra all \
		--output-file constraints/all.txt
	@$(BUILD_REQUIRES) | $(COMPILE) pyproject.toml - --constraints constraints/all.txt \
		--output-file constraints/core.txt
	@$(BUILD_REQUIRES) | $(COMPILE) pyproject.toml - --constraints constraints/all.txt \
		--extra dev --output-file constraints/dev.txt
	@$(COMPILE) constraints/peers.in --output-file constraints/peers.txt
	@echo "Locked: constraints/core.txt, constraints/dev.txt, constraints/all.txt, constraints/peers.txt"

clean: ## Remove the environment and whatever else was made
	rm -rf $(VENV) $(PEERS) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -f $(IN_C:.c=.*.so)
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps say which lock is installed, and that what is in C was built of the source as it is. The
# development set holds the core, hence both stamps.
$(VENV)/dev.stamp: constraints/dev.txt pyproject.toml $(IN_C) $(VENV)/python.stamp
	@echo "Installing constraints/dev.txt into $(VENV)"
	@$(LOCKED) --requirement constraints/dev.txt
	@$(EDITABLE)
	@touch $(VENV)/core.stamp $@

$(VENV)/core.stamp: constraints/core.txt pyproject.toml $(IN_C) $(VENV)/python.stamp
	@echo "Installing constraints/core.txt into $(VENV)"
	@$(LOCKED) --requirement constraints/core.txt
	@$(EDITABLE)
	@touch $@

# --no-deps: the lock is complete, and pip takes an extra (pandas[parquet]) for a new requirement.
$(PEERS)/peers.stamp: constraints/peers.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || { \
		echo "alibi-detect needs Python 3.11 or 3.12: try make PYTHON=python3.12 peers" >&2; exit 1; }
	@echo "Installing constraints/peers.txt into $(PEERS) (2 GB)"
	@$(PYTHON) -m venv --clear $(PEERS)
	@$(PEERS)/bin/python -m pip --quiet --disable-pip-version-check install --require-hashes \
		--no-deps --requirement constraints/peers.txt
	@touch $@

$(VENV)/python.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Plumbline needs Python 3.11 or newer, and '$(PYTHON)' is none:" \
			"try make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(UV): $(VENV)/python.stamp
	@$(BIN)/python -m venv $(VENV)/uv-$(UV_VERSION)
	@$(@D)/python -m pip --quiet --disable-pip-version-check install uv==$(UV_VERSION)
