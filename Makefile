# Everything runs in .venv, which the first command makes from pyproject.toml and constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv

.PHONY: demo install test test-lightning check fix docs clean bench-%

demo: .venv/installed
	$(BIN)/acclimate demo

install: .venv/installed

# Compiled tests are kept, whatever the environment says, so that the next run starts sooner.
test: .venv/installed
	PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n auto --dist worksteal $(ARGS)

test-lightning: .venv/installed
	$(UV) pip install --quiet --python $(BIN)/python --constraint constraints.txt --group lightning
	$(BIN)/pytest -m lightning

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/installed
	$(UV) pip install --quiet --python $(BIN)/python --constraint constraints.txt --group docs
	$(BIN)/python docs/pages.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "Read it: python3 -m http.server --directory site"

bench-%: .venv/installed
	$(UV) pip install --quiet --python $(BIN)/python --constraint constraints.txt --group bench
	$(BIN)/python benchmarks/$*.py $(ARGS)

clean:
	rm -rf .venv demo site

.venv/installed: pyproject.toml constraints.txt
	test -x $(UV) || { $(PYTHON) -m venv .venv && $(BIN)/python -m pip install --quiet --constraint constraints.txt uv; }
	$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable . --group dev
	touch $@
