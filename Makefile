# Commands for contributors. They require Python, make and a package index.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
STREAMING := .venv-streaming
REPLAY := .venv-replay
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
# --no-deps: the locks are complete, and pip would treat an extra (typepy[datetime]) as not locked.
LOCKED := $(PIP) install --require-hashes --no-deps
C_SOURCE := monitor/ingest/decode/native/_fields.c monitor/ingest/decode/native/plans/_plan.c \
	monitor/ingest/style/_style.c monitor/ingest/decode/formats/otlp/reading/_wire.c \
	detectors/_strides.c
# The project is built with the locked setuptools, so that a build downloads nothing.
EDITABLE := rm -f $(C_SOURCE:.c=.*.so) && $(PIP) install --no-deps --no-build-isolation --editable .

# Three workers for the two cores of CI: tests with a broker mostly wait. Tests of a file run on one
# worker and share its fixtures.
PYTEST_FLAGS ?= -n 3 --dist loadfile
DEMO_FLAGS ?=
ALERTS_FLAGS ?=
BENCH_FLAGS ?=
DETECTOR_FLAGS ?= --form quick
EXPERIMENT_FLAGS ?=
REPLAY_FLAGS ?=
SANITIZE_EXAMPLES ?= 3000
REVIEW_FLAGS ?=
WEB_FLAGS ?=

UV_VERSION := 0.13.8
UV := $(VENV)/uv-$(UV_VERSION)/bin/uv
UV_FLAGS ?=
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(UV_FLAGS)
BUILD_REQUIRES := $(BIN)/python -c 'import tomllib; \
	print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")'

# Tests start hundreds of processes, and without compiled modules each would compile all it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test coverage chaos test-replay lint format alerts chart bench bench-detectors bench-judges bench-experiments bench-replay bench-review bench-web peers streaming-peers sanitize soak lock clean

help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' Makefile

setup: $(VENV)/dev.stamp ## Install the locked development set and the project into .venv
	@echo "Ready: $(BIN)/plumbline"

demo: $(VENV)/demo.stamp ## Run a demo with an embedded broker, traffic and a drift (DEMO_FLAGS=...)
	@$(BIN)/plumbline demo $(DEMO_FLAGS)

test: lint ## Check style and types, run the tests (PYTEST_FLAGS=...)
	$(BIN)/python -m pytest $(PYTEST_FLAGS)

coverage: setup ## Run the tests and report line and branch coverage (PYTEST_FLAGS=...)
	$(BIN)/python -m pytest $(PYTEST_FLAGS) --cov --cov-report=term

chaos: setup ## Run the files that have long tests: killed processes, lost brokers (three quarters of an hour)
	PLUMBLINE_CHAOS=long $(BIN)/python -m pytest -n 0 $$(grep -rl tests.long_form tests --include "test_*.py")

test-replay: $(REPLAY)/gpu.stamp ## Test the replay of a tiny model with torch, in .venv-replay
	$(REPLAY)/bin/python -m pytest tests/replay_gpu

lint: setup ## Check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: setup ## Format the code and fix what can be fixed automatically
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

alerts: setup ## Generate Grafana's alerting from the alert rules (ALERTS_FLAGS=...)
	$(BIN)/python -m grafana.alerts build $(ALERTS_FLAGS)

bench: setup streaming-peers ## Measure throughput, restarts and the cost of checkpoints (BENCH_FLAGS=...)
	$(BIN)/python -m benchmarks.throughput $(BENCH_FLAGS)
	$(BIN)/python -m benchmarks.restart

bench-detectors: setup peers ## Compare the detectors with other libraries (DETECTOR_FLAGS=...)
	$(BIN)/python -m benchmarks.detectors.run $(DETECTOR_FLAGS)

bench-judges: setup ## Measure the rate of judge calls against the client of the anthropic package
	$(BIN)/python -m benchmarks.judges.run

bench-experiments: setup ## Simulate experiments: false winners, time to a decision (EXPERIMENT_FLAGS=...)
	$(BIN)/python -m benchmarks.experiments.run $(EXPERIMENT_FLAGS)

bench-replay: setup ## Simulate replays: false verdicts, items until a verdict (REPLAY_FLAGS=...)
	$(BIN)/python -m benchmarks.replay.run $(REPLAY_FLAGS)

bench-review: setup ## Simulate review queues: bias and coverage of the estimated mean (REVIEW_FLAGS=...)
	$(BIN)/python -m benchmarks.review $(REVIEW_FLAGS)

bench-web: setup ## Measure the pages of the web application, with 30 annotators on 100,000 items (WEB_FLAGS=...)
	$(BIN)/python -m benchmarks.web $(WEB_FLAGS)

peers: $(PEERS)/peers.stamp ## Install these libraries into .venv-peers, separate from the project
	@echo "Ready: $(PEERS)"

streaming-peers: $(STREAMING)/peers.stamp ## Install Quix Streams and Bytewax into .venv-streaming
	@echo "Ready: $(STREAMING)"

soak: setup ## Send 20 million records through one daemon and measure its memory
	$(BIN)/python -m benchmarks.soak

# Python allocates with malloc, so that every access beyond an object is found.
sanitize: setup ## Fuzz the C sources, built with checks of all accesses to memory (SANITIZE_EXAMPLES=...)
	rm -rf build/sanitize && mkdir -p build/sanitize
	cp -a detectors monitor tests pyproject.toml build/sanitize/
	for source in $(C_SOURCE:.c=); do $(CC) -std=c11 -g -O1 -fsanitize=address,undefined \
		-fno-sanitize-recover=undefined -fPIC -shared -DPy_LIMITED_API=0x030b0000 \
		-I"$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_paths()["include"])')" \
		$$source.c -o build/sanitize/$$source.abi3.so || exit 1; done
	cd build/sanitize && ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 PYTHONMALLOC=malloc \
		PYTHONPATH=. PLUMBLINE_FUZZ_EXAMPLES=$(SANITIZE_EXAMPLES) \
		LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so)" \
		../../$(BIN)/python -m pytest -n 0 -p no:cacheprovider tests/monitor/ingest/decode/formats/otlp \
		tests/monitor/ingest/decode/formats/mapping/test_usual.py \
		tests/monitor/ingest/decode/test_readers.py tests/monitor/ingest/decode/native \
		tests/monitor/ingest/style/test_counts.py tests/detectors/test_strides.py

chart: setup ## Generate the dependent files of the chart and its golden renders
	$(BIN)/python -m helm.build
	$(BIN)/python -m tests.helm.render

# Valid pins are kept; `make lock UV_FLAGS=--upgrade` upgrades all. all.txt is locked first and
# constrains the others, so that a package has the same version in all locks.
lock: $(UV) ## Lock the dependencies with hashes, after a change of pyproject.toml
	@$(BUILD_REQUIRES) | $(COMPILE) pyproject.toml - --extra all \
		--output-file constraints/all.txt
	@$(BUILD_REQUIRES) | $(COMPILE) pyproject.toml - --constraints constraints/all.txt \
		--extra samples --output-file constraints/core.txt
	@$(BUILD_REQUIRES) | $(COMPILE) pyproject.toml - --constraints constraints/all.txt \
		--extra judges --output-file constraints/judges.txt
	@$(BUILD_REQUIRES) | $(COMPILE) pyproject.toml - --constraints constraints/all.txt \
		--extra web --output-file constraints/web.txt
	@$(BUILD_REQUIRES) | $(COMPILE) pyproject.toml - --constraints constraints/all.txt \
		--extra judge-client --extra web --output-file constraints/demo.txt
	@$(BUILD_REQUIRES) | $(COMPILE) pyproject.toml - --constraints constraints/all.txt \
		--extra dev --output-file constraints/dev.txt
	@$(BUILD_REQUIRES) | $(COMPILE) pyproject.toml - --constraints constraints/all.txt \
		--extra replay-gpu --output-file constraints/replay-gpu.txt
	@$(COMPILE) constraints/peers.in --output-file constraints/peers.txt
	@$(COMPILE) constraints/streaming-peers.in --output-file constraints/streaming-peers.txt
	@echo "Locked in constraints: core.txt, demo.txt, judges.txt, web.txt, dev.txt, all.txt, replay-gpu.txt, peers.txt, streaming-peers.txt"

clean: ## Remove the environment and all generated files
	rm -rf $(VENV) $(PEERS) $(STREAMING) $(REPLAY) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -rf .import_linter_cache .coverage htmlcov
	rm -f $(C_SOURCE:.c=.*.so)
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps record the installed lock and the build of the C extension from its current source. The
# development set includes that of the demo, hence both stamps.
$(VENV)/dev.stamp: constraints/dev.txt constraints/embeddings.txt pyproject.toml $(C_SOURCE) $(VENV)/python.stamp
	@echo "Installing constraints/dev.txt into $(VENV)"
	@$(LOCKED) --requirement constraints/dev.txt
	@$(LOCKED) --requirement constraints/embeddings.txt
	@$(EDITABLE)
	@touch $(VENV)/demo.stamp $@

$(VENV)/demo.stamp: constraints/demo.txt pyproject.toml $(C_SOURCE) $(VENV)/python.stamp
	@echo "Installing constraints/demo.txt into $(VENV)"
	@$(LOCKED) --requirement constraints/demo.txt
	@$(EDITABLE)
	@touch $@

$(PEERS)/peers.stamp: constraints/peers.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || { \
		echo "alibi-detect requires Python 3.11 or 3.12: run make PYTHON=python3.12 peers" >&2; exit 1; }
	@echo "Installing constraints/peers.txt into $(PEERS) (2 GB)"
	@$(PYTHON) -m venv --clear $(PEERS)
	@$(PEERS)/bin/python -m pip --quiet --disable-pip-version-check install --require-hashes \
		--no-deps --requirement constraints/peers.txt
	@touch $@

$(STREAMING)/peers.stamp: constraints/streaming-peers.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || { \
		echo "Bytewax requires Python 3.11 or 3.12: run make PYTHON=python3.12 streaming-peers" >&2; \
		exit 1; }
	@echo "Installing constraints/streaming-peers.txt into $(STREAMING) (160 MB)"
	@$(PYTHON) -m venv --clear $(STREAMING)
	@$(STREAMING)/bin/python -m pip --quiet --disable-pip-version-check install --require-hashes \
		--no-deps --requirement constraints/streaming-peers.txt
	@touch $@

# uv installs the 4.5 GB several times faster than pip. Packages that torch needs only to compile for a
# GPU, or to solve linear systems there, are left out: they save 1.7 GB. The development lock gives the
# versions of the test runner. The path file replaces an editable install, which would build the C
# extension for this environment in the source tree.
$(REPLAY)/gpu.stamp: constraints/replay-gpu.txt constraints/dev.txt $(UV)
	@echo "Installing constraints/replay-gpu.txt into $(REPLAY) (4.5 GB)"
	@$(PYTHON) -m venv --clear $(REPLAY)
	@printf 'triton\nnvidia-cusolver\nnvidia-nvjitlink\n' >$(REPLAY)/excluded.txt
	@$(UV) pip install --quiet --python $(REPLAY)/bin/python --excludes $(REPLAY)/excluded.txt \
		--requirement constraints/replay-gpu.txt --constraints constraints/dev.txt \
		hypothesis pytest pytest-timeout
	@echo "$(CURDIR)" >"$$($(REPLAY)/bin/python -c 'import site; print(site.getsitepackages()[0])')/plumbline.pth"
	@touch $@

$(VENV)/python.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Plumbline requires Python 3.11 or newer, and '$(PYTHON)' is older or missing:" \
			"run make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(UV): $(VENV)/python.stamp
	@$(BIN)/python -m venv $(VENV)/uv-$(UV_VERSION)
	@$(@D)/python -m pip --quiet --disable-pip-version-check install uv==$(UV_VERSION)
