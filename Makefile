# One command each, from a fresh clone: make demo, make test, make lint, make bench, make viewer.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SLOW_SECONDS ?= 1600
NPM := $(shell command -v npm)
MODULES := viewer/node_modules/.package-lock.json
PAGES := src/pathosynth/reader/static/read.html

.PHONY: install demo test test-slow lint bench viewer clean

install: $(STAMP) $(if $(NPM),viewer)
	$(if $(NPM),,@echo "npm is not installed: the pages of the reader study are not built; all else works. Install Node.js 20 or newer, then make viewer.")

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt -e '.[dev]'
	touch $@

viewer: $(PAGES)

$(MODULES): viewer/package.json viewer/package-lock.json
	cd viewer && npm ci --no-audit --no-fund --loglevel=error
	touch $@

$(PAGES): $(MODULES) viewer/build.js $(wildcard viewer/src/* viewer/style/* viewer/pages/*)
	cd viewer && npm run --silent build

demo: $(STAMP)
	$(BIN)/pathosynth demo -o demo --overwrite

test: $(STAMP) $(if $(NPM),$(MODULES))
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses logical --dist loadscope
	$(if $(NPM),cd viewer && npm test --silent,@echo "npm is not installed: the reader study's pages are not tested")

test-slow: $(STAMP)
	$(BIN)/pytest -m 'slow and not real_data' --seconds $(SLOW_SECONDS)

lint: $(STAMP) $(if $(NPM),$(MODULES))
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(if $(NPM),cd viewer && npm run --silent lint,@echo "npm is not installed: the types of the reader study's pages are not checked")

bench: $(STAMP)
	set -e; for script in benchmarks/bench_*.py; do echo "== $$script"; $(BIN)/python $$script; done

clean:
	rm -rf viewer/node_modules src/pathosynth/reader/static
	rm -rf $(VENV) demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
