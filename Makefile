# `make run` needs Python 3.11 to 3.13 and nothing else; PYTHON=… chooses one, PORT=… another port.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.PHONY: help run test fuzz check format bench system-packages

VENV := .venv
PY := $(VENV)/bin/python
BIN := $(VENV)/bin
SOURCES := cloneai clones billing knowledge chat
# The packages are installed again only when the pinned requirements differ from those installed.
HASH := $(shell cat requirements.txt | cksum | cut -d ' ' -f 1)
DEV_HASH := $(shell cat requirements.txt requirements-dev.txt | cksum | cut -d ' ' -f 1)
INSTALLED := $(VENV)/.installed-$(HASH)
DEV_INSTALLED := $(VENV)/.installed-dev-$(DEV_HASH)
PIP := $(PY) -m pip install --quiet --disable-pip-version-check --no-input --root-user-action ignore --require-hashes
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
CANDIDATES := python3 python3.13 python3.12 python3.11 python
PYTHON ?= $(shell for name in $(CANDIDATES); do \
	if $$name -c '$(FITS)' >/dev/null 2>&1; then echo $$name; break; fi; done)

help:
	@echo 'make run      start everything (PORT=8001 make run for another port)'
	@echo 'make test     run all tests'
	@echo 'make fuzz     throw generated requests at the JSON API for some minutes (EXAMPLES=50 for each operation)'
	@echo 'make check    linters, types, templates, import rules, migrations, production settings'
	@echo 'make format   let the formatters rewrite the sources'
	@echo 'make bench    run the benchmarks (NAME=… for one)'

run: $(INSTALLED)
	@exec $(PY) manage.py serve --prepare

# Browser tests run on their own: Playwright keeps an event loop that the other tests must not find.
# The database of the tests is a server of its own that does not wait for the disk. One process a core, up to four:
# tests of one file stay together, because they share running web processes and browsers.
test: IN_PARALLEL := --numprocesses logical --maxprocesses 4 --dist loadfile
test: export VAR_DIR := $(CURDIR)/var/test
test: export FORGETFUL_DATABASE := true
test: $(DEV_INSTALLED) system-packages
	@$(PY) -m pytest -rs $(IN_PARALLEL) -m "not browser"
	@$(PY) -m pytest -rs $(IN_PARALLEL) -m browser || { code=$$?; [ $$code = 5 ] || exit $$code; }

fuzz: export VAR_DIR := $(CURDIR)/var/test
fuzz: export FORGETFUL_DATABASE := true
fuzz: export EXAMPLES := $(or $(EXAMPLES),30)
fuzz: $(DEV_INSTALLED)
	@$(PY) -m pytest cloneai/tests/test_schemathesis.py

check: $(DEV_INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(SOURCES) manage.py
	find templates $(SOURCES) -name '*.html' -not -path '*/tests/*' | xargs $(BIN)/djade --check --target-version 5.2
	$(BIN)/lint-imports
	$(PY) manage.py makemigrations --check --dry-run
	DEBUG=false SECRET_KEY="$$($(PY) -c 'import secrets; print(secrets.token_urlsafe(50))')" \
	ALLOWED_HOSTS=example.org CSRF_TRUSTED_ORIGINS=https://example.org \
	DATABASE_URL=postgresql://user:password@localhost/cloneai REDIS_URL=redis://localhost \
	OPENAI_API_KEY=unused EMAIL_URL=smtp://localhost \
	$(PY) manage.py check --deploy --fail-level WARNING

format: $(DEV_INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	find templates $(SOURCES) -name '*.html' -not -path '*/tests/*' | xargs $(BIN)/djade --target-version 5.2

bench: $(DEV_INSTALLED)
	@if [ -d benchmarks ]; then exec $(PY) -m benchmarks $(NAME); else echo 'There are no benchmarks yet.'; fi

# What the tests use from the system; without it they say what they skip.
system-packages:
	@missing=''; \
	command -v redis-server >/dev/null || missing='redis-server'; \
	PATH="$$PATH:/usr/sbin" command -v nginx >/dev/null || missing="$$missing nginx-light"; \
	command -v chromium >/dev/null || command -v chromium-browser >/dev/null \
	|| command -v google-chrome >/dev/null || missing="$$missing chromium"; \
	{ command -v node && command -v npm; } >/dev/null || missing="$$missing nodejs npm"; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing $$missing from the system's packages …"; \
		export DEBIAN_FRONTEND=noninteractive; \
		{ apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing; } >/dev/null \
		|| echo "$$missing could not be installed: the tests that need it will be skipped."; \
	else \
		echo "Not installed: $$missing. The tests that need it will be skipped; install it with your system's packages."; \
	fi

$(INSTALLED): | $(PY)
	@echo 'Installing the requirements, which takes a minute or two (only now and when they change) …'
	@$(PIP) -r requirements.txt || { echo 'The requirements could not be installed: see the lines above. Check the network connection to the package index, then run make again.' >&2; exit 2; }
	@rm -f $(VENV)/.installed-*; touch $@

$(DEV_INSTALLED): | $(PY)
	@echo 'Installing the requirements for development (only now and when they change) …'
	@$(PIP) -r requirements.txt -r requirements-dev.txt || { echo 'The requirements could not be installed: see the lines above. Check the network connection to the package index, then run make again.' >&2; exit 2; }
	@rm -f $(VENV)/.installed-*; touch $@ $(INSTALLED)

$(PY):
	@[ -w . ] || { echo "$$(pwd) cannot be written by this user. Make it writable (chown or chmod), or clone into a folder of your own." >&2; exit 2; }
	@[ -n '$(PYTHON)' ] && $(PYTHON) -c '$(FITS)' 2>/dev/null || { echo "CloneAI needs Python 3.11, 3.12 or 3.13; found: $$(\
	$(or $(PYTHON),python3) --version 2>/dev/null || echo none). Install one, or name it: PYTHON=/path/to/python3.11 make run" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment. On Debian and Ubuntu: apt install python3-venv; then run make again." >&2; exit 2; }
