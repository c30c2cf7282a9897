# What a developer types. Needs Python 3.11 or later with its venv module, and make.
#
#   make test PYTHON=python3.13 VENV=/tmp/venv     another Python, another place for the environment
#   make test PYTEST_ARGS='-k callback -x'         only some tests
#   make demo ONCE=1                               the fixed course, which ends by itself
#   make demo SEED=7                               another life of the simulated house
#   make storm SEED=7 DAYS=2 HOUSES=50             fifty simulated houses for two days each, see docs/storm.md
#   make bench BENCH_ARGS='--only latency'         one part of the measurements, see docs/performance.md

.POSIX:
SHELL = /bin/sh

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=
ONCE ?=
SEED ?= 4
DAYS ?= 1
HOUSES ?= 20
STORM_ARGS ?=
BENCH_ARGS ?=

BIN = $(VENV)/bin
STAMP = $(VENV)/.set-up

.PHONY: help setup demo test interop storm mutations fuzz kills bench lint types docs clean

help:
	@echo 'make setup   create the environment in $(VENV)'
	@echo 'make demo    a broker, a simulated house and the gateway in one process; ONCE=1 ends by itself, SEED=N'
	@echo 'make test    ruff, mypy, then all tests; stops at the first failure'
	@echo 'make interop the simulated Bridge and cloud with clients that other people wrote; needs node and npm for two of them'
	@echo 'make storm   simulated days in which everything goes wrong; SEED, DAYS, HOUSES'
	@echo 'make mutations   every broken version of the source that the storm must find'
	@echo 'make fuzz    100,000 odd inputs for each reader'
	@echo 'make kills   kill -9 of the real process, a hundred times'
	@echo 'make bench   what the gateway costs beside bare programs; twelve minutes, ten of them idle'
	@echo 'make lint    ruff only'
	@echo 'make types   mypy only'
	@echo 'make docs    write the generated pages of docs/ anew'
	@echo 'make clean   remove the environment and all caches'

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'Python 3.11 or later is needed: make PYTHON=python3.13 ...' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP)
	@set -- --seed '$(SEED)'; if [ -n '$(ONCE)' ]; then set -- --once "$$@"; fi; exec $(BIN)/nuki2mqtt demo "$$@"

test: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# Without its requirements: it wants one version of requests only, and works with others.
interop: $(STAMP)
	$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps nuki-web-api==0.1.15
	NUKI2MQTT_INTEROP=1 $(BIN)/python -m pytest tests/interop

storm: $(STAMP)
	$(BIN)/python -m tests.storm --seed '$(SEED)' --days '$(DAYS)' --houses '$(HOUSES)' $(STORM_ARGS)

mutations: $(STAMP)
	NUKI2MQTT_MUTATIONS=all $(BIN)/python -m pytest -s tests/storm/test_mutations.py

fuzz: $(STAMP)
	NUKI2MQTT_FUZZ_EXAMPLES=100000 $(BIN)/python -m pytest tests/fuzz -k bytes --timeout 0

kills: $(STAMP)
	NUKI2MQTT_KILLS=100 $(BIN)/python -m pytest -s tests/stories/real/test_kills.py -k kills_in --timeout 0

bench: $(STAMP)
	$(BIN)/python -m tests.bench $(BENCH_ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

# A page is replaced only when its program succeeded.
docs: $(STAMP)
	$(BIN)/python -m nuki2mqtt.protocol.settings_reference > docs/settings.md.new
	mv docs/settings.md.new docs/settings.md
	$(BIN)/python -m nuki2mqtt.faces.reference > docs/topics.md.new
	mv docs/topics.md.new docs/topics.md

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	find nuki2mqtt tests -type d -name __pycache__ -prune -exec rm -rf {} +
