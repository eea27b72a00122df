# Needs GNU make, /bin/sh and Python 3.11 or newer; installs everything else into .venv.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test check bench simulate torture format lock audit licences clean clients mariadb mysql galera peer

PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
# One more than two cores, because a third of their time is waiting.
WORKERS ?= 3
SEEDS ?= 10000
FROM ?= 0
ROUNDS ?= 3
DATABASE ?= mariadb

# These tests alone cover every branch of the rules and use cases; tracing the other tests would only slow them down.
HEXAGON := tests/domain tests/application

# Run database tests once more, on MySQL's own server, which only some machines can fetch.
ON_MYSQL = if tools/mysql.sh; then BOXOFFICE_TEST_SERVER=mysql $(1); elif [ "$$BOXOFFICE_REQUIRE_MYSQL" = 1 ]; then exit 1; \
	else echo "NOT TRIED ON MYSQL: everything passed on MariaDB and SQLite, nothing was run on MySQL itself (see above)." >&2; fi

# Each of the tests' many processes would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
UV := uv==0.13.9
PIP_INSTALL := $(BIN)/python -m pip --disable-pip-version-check install --quiet
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command "make lock" $(UPGRADE)

# Marker files record completed installations; make compares their times with the lock files.
PYTHON_READY := $(VENV)/.python-ready
RUN_READY := $(VENV)/.run-ready
DEV_READY := $(VENV)/.dev-ready
AUDIT_READY := $(VENV)/audit/.ready
CLIENTS_READY := $(VENV)/clients/.ready
NPM := tests/e2e/clients/package.json tests/e2e/clients/package-lock.json

# requirements-dev.txt contains every shipped package, in the same version.
AUDITED := requirements-audit.txt requirements-build.txt requirements-clients.txt requirements-dev.txt

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST)

run: $(RUN_READY) ## Serve on 127.0.0.1:8000 with SQLite under data/ (HOST=, PORT=)
	@exec $(BIN)/boxoffice serve --host $(HOST) --port $(PORT)

test: $(DEV_READY) clients mariadb galera ## Run every test, on MariaDB and MySQL; require full branch coverage of the rules
	@tools/caddy.sh || true
	$(BIN)/python -m pytest -n $(WORKERS) --cov --cov-fail-under=100 $(HEXAGON)
	$(BIN)/python -m pytest -n $(WORKERS) $(HEXAGON:%=--ignore=%)
	@# File by file, so that the tests of a file share its cluster or its many bookings.
	@$(call ON_MYSQL,$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m mysql)
	@tools/caddy.sh || echo "NOT TRIED: the reverse proxy, whose tests were skipped (see above)." >&2

check: $(DEV_READY) ## Check format, lint, types and import contracts, and run the fast tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n $(WORKERS) -m 'not mysql and not slow'

torture: $(DEV_READY) mariadb galera ## Run every trial of docs/proof.md in full, for hours
	$(BIN)/python -m pytest --long tests/properties tests/faults tests/e2e/wire tests/adapters/sql
	@$(call ON_MYSQL,$(BIN)/python -m pytest --long -m mysql tests/properties tests/faults tests/adapters/sql)
	$(MAKE) simulate
	$(BIN)/python -m tests.mutants

simulate: $(RUN_READY) ## Check the promises under simulated faults, seed by seed (SEEDS=, FROM=)
	$(BIN)/boxoffice simulate --seeds $(SEEDS) --from $(FROM)

bench: $(DEV_READY) $(DATABASE) peer ## Measure each figure beside its baseline (DATABASE=mariadb or mysql, ROUNDS=)
	$(BIN)/python -m bench --database $(DATABASE) --rounds $(ROUNDS) --keep

format: $(DEV_READY) ## Format the code and apply automatic lint fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(PYTHON_READY) ## Regenerate the lock files, with hashes (UPGRADE=--upgrade for newer versions)
	test -x $(VENV)/lock/bin/uv || $(BIN)/python -m venv $(VENV)/lock
	$(VENV)/lock/bin/python -m pip --disable-pip-version-check install --quiet $(UV)
	$(VENV)/lock/bin/$(LOCK) -o requirements-build.txt --group build
	$(VENV)/lock/bin/$(LOCK) -o requirements-audit.txt --group audit
	$(VENV)/lock/bin/$(LOCK) -o requirements-clients.txt --group clients
	$(VENV)/lock/bin/$(LOCK) -o requirements.txt pyproject.toml
	$(VENV)/lock/bin/$(LOCK) -o requirements-stripe.txt pyproject.toml --extra stripe -c requirements.txt
	$(VENV)/lock/bin/$(LOCK) -o requirements-otel.txt pyproject.toml --extra otel -c requirements-stripe.txt
	$(VENV)/lock/bin/$(LOCK) -o requirements-sentry.txt pyproject.toml --extra sentry -c requirements-otel.txt
	$(VENV)/lock/bin/$(LOCK) -o requirements-dev.txt pyproject.toml --all-extras --group dev -c requirements-stripe.txt \
		-c requirements-otel.txt -c requirements-sentry.txt

audit: $(AUDIT_READY) ## Check the locked packages for known vulnerabilities
	$(VENV)/audit/bin/pip-audit --strict --disable-pip --require-hashes --progress-spinner off \
		$(AUDITED:%=-r %)

licences: $(DEV_READY) ## Regenerate docs/licences.md, the licences of all shipped packages
	$(BIN)/python tools/licences.py > docs/licences.md

clean: ## Remove generated files, except data/
	rm -rf $(VENV) build dist *.egg-info .coverage .coverage.* htmlcov .hypothesis .import_linter_cache .mypy_cache \
		.pytest_cache .ruff_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

clients: $(CLIENTS_READY)

mariadb:
	@tools/mariadb.sh

mysql:
	@tools/mysql.sh

# A baseline in Node; without npm its rows are omitted.
peer:
	@if command -v npm >/dev/null; then cd bench/peer && npm ci --silent --no-audit --no-fund; \
	else echo "npm not found: the rows with the usual way in Node are omitted."; fi

galera: mariadb
	@tools/galera.sh

$(PYTHON_READY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Boxoffice needs Python 3.11 or newer; choose one with make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# mypy finds a package by the name of its folder, hence the link.
$(RUN_READY): $(PYTHON_READY) requirements.txt requirements-build.txt pyproject.toml setup.py
	$(PIP_INSTALL) --no-deps --require-hashes -r requirements-build.txt -r requirements.txt
	$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@mkdir -p $(VENV)/package && ln -sfn ../../src $(VENV)/package/boxoffice
	@touch $@

$(DEV_READY): $(RUN_READY) requirements-dev.txt
	$(PIP_INSTALL) --no-deps --require-hashes -r requirements-dev.txt
	@touch $@

$(AUDIT_READY): $(PYTHON_READY) requirements-audit.txt
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --require-hashes -r requirements-audit.txt
	@touch $@

# Client generators for tests/e2e/clients: in Python (with a bundled Java) and in JavaScript.
$(CLIENTS_READY): $(PYTHON_READY) requirements-clients.txt $(NPM) tools/node.sh
	@tools/node.sh
	$(PYTHON) -m venv $(VENV)/clients
	$(VENV)/clients/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --require-hashes -r requirements-clients.txt
	@mkdir -p $(VENV)/clients/npm && cp $(NPM) $(VENV)/clients/npm
	npm ci --prefix $(VENV)/clients/npm --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@
