# Every target works in a fresh clone, with an empty HOME, as root or not; nothing outside of this folder is written.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help install install-dev demo cluster test soak soak-cluster check clean

# The environment's folder; docker-compose.test.yml puts it elsewhere.
VENV ?= .venv
BIN := $(VENV)/bin
DEMO := demo/region_03_conus/jobfiles/2m
# The demo has a broker of its own: a user's is not touched.
DEMO_HOME := $(CURDIR)/demo/home
# What `make test PYTESTARGS=…` and `make cluster CLUSTERARGS=…` add.
PYTESTARGS ?=
CLUSTERARGS ?=

# The first of these that is 3.11 or later and can make an environment; `make PYTHON=… install` names another.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -I -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$python && break; done)

help: ## lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(VENV)/.installed ## makes .venv and installs nunatak into it, with a server that fits this machine

install-dev: $(VENV)/.installed-dev ## the same, with what the tests and checks need

demo: install ## runs 40 sample jobfiles in ./demo, with a broker of their own; run again, it finds all of them done
	$(BIN)/python -I -m nunatak.samples demo --count 40
	export NUNATAK_HOME="$(DEMO_HOME)"; status=0; \
	$(BIN)/nunatak run $(DEMO) || status=$$?; \
	$(BIN)/nunatak broker stop || status=$$(( status ? status : $$? )); \
	exit $$status

# As root, with Debian's slurmctld, slurmd, munge and iproute2. What CLUSTERARGS may be: `make cluster CLUSTERARGS=--help`.
CLUSTER := PYTHONPATH=tests $(BIN)/python -P -m cluster.command
cluster: install ## a real Slurm cluster on this machine, with a shell on its login host; gone when the shell ends
	$(CLUSTER) play $(CLUSTERARGS)

# By file on two processes: most of the time tests wait, for leases of seconds and for daemons. On three some came too late for each other.
test: install-dev ## runs the tests
	$(BIN)/python -I -m pytest -n 2 --dist loadfile $(PYTESTARGS)

soak: export NUNATAK_SOAK_SECONDS ?= 3600
soak: install-dev ## random faults, seed after seed, for NUNATAK_SOAK_SECONDS (3600) from NUNATAK_SOAK_SEED on (docs/reliability.md)
	$(BIN)/python -I -m pytest tests/chaos/test_random_faults.py -k whatever $(PYTESTARGS)

# One file alone: make soak-cluster CLUSTERTESTS=tests/chaos/test_nodes_cut.py. By calculation, test by test: docs/reliability.md.
CLUSTERTESTS ?= $(shell grep -lw new_cluster tests/chaos/test_*.py)
soak-cluster: export NUNATAK_FULL_TIMES := 1
soak-cluster: install-dev ## the faults of a Slurm cluster with full times, leases of 300 s and cuts of 600 s: three to four hours (root, Debian)
	$(BIN)/python -I -m pytest -v $(CLUSTERTESTS) $(PYTESTARGS)

check: install-dev ## ruff, mypy --strict, and the tests of the layers and of what may stand in the repository
	$(BIN)/ruff check .
	$(BIN)/mypy --strict
	$(BIN)/python -I -m pytest -q tests/test_layers.py tests/test_repository.py

clean: ## removes what the other targets made (stops the demo's broker and takes the cluster down first)
	if [ -x $(BIN)/python ] && [ -e .cluster ]; then $(CLUSTER) down; fi
	if [ -x $(BIN)/nunatak ] && [ -e "$(DEMO_HOME)/address.json" ]; then \
	NUNATAK_HOME="$(DEMO_HOME)" $(BIN)/nunatak broker stop --force || echo "the demo's broker could not be stopped" >&2; fi
	rm -rf $(VENV) demo build nunatak.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# pip is what comes last into a new environment: one whose making was interrupted is made again.
$(BIN)/pip:
	@if [ -z "$(PYTHON)" ]; then \
	echo "nunatak needs Python 3.11 or later with its venv module, and none of python3.13, python3.12, python3.11, python3 is that." >&2; \
	echo "Install one (Debian, Ubuntu: apt install python3 python3-venv), or name it: make PYTHON=/path/of/python install" >&2; exit 2; fi
	$(PYTHON) -I -m venv $(VENV)

# Editable: a change to the code needs no new installation.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/pip
	$(BIN)/python -I -m pip install --quiet --constraint constraints.txt --editable .
	$(BIN)/python -I -m nunatak.install_server --constraint constraints.txt
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -I -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
