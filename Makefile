# Every target makes .venv when it is missing. Nothing outside this folder and the home is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
TREE := build/tree/pockethive

.PHONY: setup demo test check prove eval bench model clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -m venv $(VENV)
	@echo "installing PocketHive into $(VENV) (once; log in build/setup.log)"
	@mkdir -p build
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[models,dev]' \
	  > build/setup.log 2>&1 || { cat build/setup.log; exit 1; }
	@touch $@

check: $(STAMP)
	@$(BIN)/ruff format --check -q .
	@$(BIN)/ruff check -q .
	@rm -rf build/tree && mkdir -p $(TREE)
	@for path in engine/*; do ln -s "$(CURDIR)/$$path" $(TREE)/; done
	@for room in actors configs dht planners; do ln -s "$(CURDIR)/$$room" $(TREE)/; done
	@MYPYPATH=build/tree $(BIN)/mypy -p pockethive
	@MYPYPATH=build/tree $(BIN)/mypy tests bench
	@$(BIN)/python -m pytest tests/test_layers.py

test: $(STAMP)
	@$(BIN)/python -m pytest

clean:
	@rm -rf build $(VENV)
