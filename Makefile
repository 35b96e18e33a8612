.DEFAULT_GOAL := help
.PHONY: help run test test-container faults fuzz bench bench-full markdown spam lint lock

# The first of these that is Python 3.11 or later. `make PYTHON=… run` uses another one.
PYTHON := python3 python3.13 python3.12 python3.11
python = $(firstword $(foreach name,$(PYTHON),$(if $(shell \
	$(name) -c 'import sys; sys.version_info >= (3, 11) and print("yes")' 2>/dev/null),$(name))))

BIN := .venv/bin
LOG := .venv/setup.log
# pipenv installs into the environment that VIRTUAL_ENV names.
PIPENV := VIRTUAL_ENV="$(CURDIR)/.venv" PIPENV_VERBOSITY=-1 $(BIN)/python -m pipenv
NOT_INSTALLED = echo "The packages could not be installed (is there a network?): $(LOG) has the details." >&2

help: ## List the commands
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

run: .venv/ready ## Start the service, on an embedded PostgreSQL if DATABASE_URL is not set; Ctrl-C stops it
	@$(BIN)/python -c 'from config import Config; Config.from_environment()'
	@exec $(BIN)/gunicorn

test: .venv/ready ## Run the tests that need no Docker; ARGS="-k name" selects some of them
	@$(BIN)/pytest $(ARGS)

test-container: .venv/ready ## Run the tests that need Docker
	@$(BIN)/pytest --numprocesses 2 -m 'container and not slow' $(ARGS)

faults: .venv/ready ## Let PostgreSQL, processes and clients fail under load, and write docs/reliability.md; needs Docker, and root for the disk
	@FAULTS_DOCUMENT=docs/reliability.md $(BIN)/pytest --numprocesses 0 -m '' tests/faults

fuzz: .venv/ready ## Attack the service with random requests for ten minutes; FUZZ_SECONDS=… sets another time
	@$(BIN)/pytest --numprocesses 0 tests/server/fuzz.py

bench: .venv/ready bench/.venv/ready ## Measure the service beside its peers, and write bench/RESULTS.md; BEFORE=… adds a revision of git; needs wrk
	@PYTHONPATH=. $(BIN)/python bench/run.py $(if $(BEFORE),--before $(BEFORE))

bench-full: .venv/ready bench/.venv/ready ## The same with 1 and 64 clients too, and up to a million rows
	@PYTHONPATH=. $(BIN)/python bench/run.py --full $(if $(BEFORE),--before $(BEFORE))

markdown: .venv/ready ## Time Markdown, typical and hostile, and write the table of docs/markdown.md
	@PYTHONPATH=.:tests $(BIN)/python bench/rendering.py

spam: .venv/ready ## Judge a corpus of spam by rules, and write the tables of docs/spam.md
	@PYTHONPATH=.:tests $(BIN)/python bench/spam.py

lint: .venv/ready ## Check style, types, layers and the Dockerfile
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/tach check
	@$(BIN)/hadolint Dockerfile

lock: .venv/pipenv ## Bring Pipfile.lock up to date with Pipfile, and every package to its newest version
	@$(PIPENV) lock
	@# Without [[source]], pipenv records its default index. The lock must not name an index.
	@$(BIN)/python -c 'import json, pathlib; path = pathlib.Path("Pipfile.lock"); lock = json.loads(path.read_text()); \
		lock["_meta"]["sources"] = []; path.write_text(json.dumps(lock, indent=4) + "\n")'
	@$(PIPENV) verify

# All packages that the other targets need, in .venv. They are those of the lock. A lock that is out of date stops make.
.venv/ready: .venv/pipenv Pipfile Pipfile.lock
	@echo "Installing the packages of Pipfile.lock into .venv"
	@$(PIPENV) install --deploy --dev >$(LOG) 2>&1 || { $(NOT_INSTALLED); exit 1; }
	@touch $@

.venv/pipenv:
	@set -e; fail() { echo "$$1" >&2; exit 1; }; python="$(python)"; \
	test -n "$$python" || fail "Python 3.11 or later is needed: install it, or name it: make PYTHON=/path/to/python3 …"; \
	"$$python" -c 'import ensurepip, venv' 2>/dev/null || \
		fail "The venv module of $$python is missing: install it (on Debian and Ubuntu: apt install python3-venv)."; \
	echo "Making .venv with $$python"; \
	"$$python" -m venv --clear .venv
	@$(BIN)/python -m pip install --disable-pip-version-check pipenv >$(LOG) 2>&1 || { $(NOT_INSTALLED); exit 1; }
	@touch $@

# The packages of the peers, separate from those of the service.
bench/.venv/ready: bench/requirements.txt .venv/pipenv
	@command -v wrk >/dev/null || { echo "wrk is needed: install it (on Debian and Ubuntu: apt install wrk)." >&2; exit 1; }
	@echo "Installing the peers into bench/.venv"
	@$(BIN)/python -m venv --clear bench/.venv
	@bench/.venv/bin/python -m pip install --disable-pip-version-check -r bench/requirements.txt >$(LOG) 2>&1 || { $(NOT_INSTALLED); exit 1; }
	@touch $@
