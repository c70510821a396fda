# Sallyport. `make` alone says what there is. All that is needed on the machine is a python3 of 3.11 or later:
# the environment in .venv is made here, from locks with hashes, and made again only when a lock changes.

PYTHON ?= python3
VENV   := .venv
STAMP  := $(VENV)/.stamp
LOCKS  := requirements/bootstrap.txt requirements/dev.txt
# uv writes lock files without the address of the index that answered: a lock says what, not from where.
COMPILE := UV_CUSTOM_COMPILE_COMMAND="make lock" $(VENV)/bin/uv pip compile --quiet --universal --generate-hashes \
           --no-emit-index-url --no-emit-find-links --python-version 3.11
# `make test T=tests/unit ARGS="-k roster -x"` runs a part.
T    ?= tests
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test test-e2e simulate lint format bench bench-identity bench-identity-speed lock dev-up dev-down \
        dev-status images up down smoke status tools clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Each of these replaces the shell by the program itself (exec): a signal then reaches the program, which cleans up.
demo: $(STAMP) ## Show the whole path on a real Kafka and PostgreSQL (DEMO_EXIT=1 ends at the table)
	@exec $(VENV)/bin/python -m deploy.demo

test: $(STAMP) ## Run every test: unit, simulation, integration (T=tests/unit ARGS="-k name" for a part)
	@exec $(VENV)/bin/python -m pytest $(T) $(ARGS)

test-e2e: $(STAMP) ## Run what needs a container engine: the images, the whole on compose, integration on containers
	@exec $(VENV)/bin/python -m tests.e2e $(ARGS)

simulate: $(STAMP) ## Play 10,000 histories of faults in one process (ARGS="--seed 7" tells one)
	@exec $(VENV)/bin/python -m tests.simulation $(ARGS)

tools: $(STAMP) ## Build what tests use where Go is (helm, for the chart; 11 minutes the first time); else they are skipped
	@exec $(VENV)/bin/python -m deploy.helm.tool

lint: $(STAMP) ## Check style, formatting, types and the walls between the parts
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: $(STAMP) ## Format the code and fix what ruff can fix
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: $(STAMP) ## Measure against the ceilings and the peers (table, and build/bench/NAME.json)
	@exec $(VENV)/bin/python -m tests.benchmark $(ARGS)

bench-identity: $(STAMP) ## Measure whom the identity engine finds, misses and mistakes, beside Splink (15 minutes)
	@exec $(VENV)/bin/python -m tests.benchmark.identity $(ARGS)

bench-identity-speed: $(STAMP) ## Measure how fast it searches 1 and 5 million people, beside a full scan and Splink
	@exec $(VENV)/bin/python -m tests.benchmark.identity.speed $(ARGS)

dev-up: $(STAMP) ## Start Kafka and PostgreSQL under .dev/ and print their addresses
	@exec $(VENV)/bin/python -m deploy.devstack.cli up

dev-down: $(STAMP) ## Stop them; their data is kept
	@exec $(VENV)/bin/python -m deploy.devstack.cli down

dev-status: $(STAMP) ## Say what runs and where
	@exec $(VENV)/bin/python -m deploy.devstack.cli status

images: $(STAMP) ## Build the images of the services with their SBOMs, and say what each adds to its base
	@exec $(VENV)/bin/python -m deploy.images

up: $(STAMP) ## Start the cluster of deploy/compose.yaml, whole, and wait until it is ready (docs/compose.md)
	@exec $(VENV)/bin/python -m deploy.cluster up

down: $(STAMP) ## Stop it; data is kept (ALL=1 removes it)
	@exec $(VENV)/bin/python -m deploy.cluster down $(if $(filter 1,$(ALL)),--data)

smoke: $(STAMP) ## Send the Hartford case through it, and print the webhook that arrived
	@exec $(VENV)/bin/python -m deploy.cluster smoke

status: $(STAMP) ## Say what of it runs
	@exec $(VENV)/bin/python -m deploy.cluster status

lock: $(STAMP) ## Resolve the requirements anew into requirements/*.txt
	$(COMPILE) pyproject.toml --all-extras --group dev -o requirements/dev.txt
	$(COMPILE) pyproject.toml --extra ingest -c requirements/dev.txt -o requirements/ingest.txt
	$(COMPILE) pyproject.toml --extra matcher -c requirements/dev.txt -o requirements/matcher.txt
	$(COMPILE) pyproject.toml --extra notifier -c requirements/dev.txt -o requirements/notifier.txt
	$(COMPILE) --group bench-identity -o requirements/bench-identity.txt
	$(COMPILE) --group bench-identity-data --no-deps -o requirements/bench-identity-data.txt
	$(COMPILE) --group bench-splink -o requirements/bench-splink.txt
	echo uv | $(COMPILE) - -c requirements/dev.txt -o requirements/bootstrap.txt

clean: ## Stop the development stack; remove .dev, build and caches (.venv too with ALL=1)
	@if [ -x $(VENV)/bin/python ] && [ -d .dev ]; then $(VENV)/bin/python -m deploy.devstack.cli down --all; fi
	rm -rf .dev build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@if [ -n "$(ALL)" ]; then rm -rf $(VENV); fi

$(STAMP): pyproject.toml $(LOCKS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "make: needs Python 3.11 or later as '$(PYTHON)'; name another with: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "make: '$(PYTHON)' has no ensurepip; on Debian and Ubuntu: apt install python3-venv, or: make PYTHON=/path/to/python3" >&2; exit 1; }
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@echo "make: bringing $(VENV) up to the lock files" >&2
	@{ $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt && \
	  export VIRTUAL_ENV=$(VENV) && $(VENV)/bin/uv pip sync --quiet --require-hashes requirements/dev.txt && \
	  $(VENV)/bin/uv pip install --quiet --no-deps --no-build-isolation --editable .; } >$(VENV)/install.log 2>&1 || { \
	  echo "make: could not install the locked packages ($$(grep -im1 error $(VENV)/install.log | cut -c1-160)): try again, or name an index with PIP_INDEX_URL and UV_DEFAULT_INDEX; more in $(VENV)/install.log" >&2; exit 1; }
	@touch $@
