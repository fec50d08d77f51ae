# Every target makes .venv when it is missing. Nothing is written outside this folder and the home
# (POCKETHIVE_HOME, or the user's data folder).
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
TREE := build/tree/pockethive
Q ?=

.PHONY: setup demo test check model eval bench prove clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@mkdir -p build
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing PocketHive into .venv (once; log in build/setup.log)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt \
	  -e '.[models,dev]' > build/setup.log 2>&1 || { tail -20 build/setup.log; exit 1; }
	@touch $@

# Three device processes answer a question about the Python language reference: make demo Q="…"
demo: $(READY)
	@$(BIN)/pockethive demo $(if $(Q),"$(Q)")

# The default model, made once (or found in the home).
model: $(READY)
	@$(BIN)/pockethive models get

# A file's tests stay in one worker, so that they can share what is costly. The order of the folders
# is kept: stories that wait come first, simulations that compute last.
test: model
	@$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

check: $(READY)
	@$(BIN)/ruff format --check -q .
	@$(BIN)/ruff check -q .
	@rm -rf build/tree && mkdir -p $(TREE)
	@for path in engine/*; do ln -s "$(CURDIR)/$$path" $(TREE)/; done
	@for room in actors configs dht planners; do ln -s "$(CURDIR)/$$room" $(TREE)/; done
	@MYPYPATH=build/tree $(BIN)/mypy -p pockethive
	@MYPYPATH=build/tree:. $(BIN)/mypy --explicit-package-bases tests bench
	@$(BIN)/python -m pytest tests/test_layers.py

eval: model
	@$(BIN)/pockethive models eval --plot build/reliability.svg
	@$(BIN)/python -m bench.research
	@$(BIN)/python -m bench.planning
	@$(BIN)/python -m bench.swarm
	@$(BIN)/python -m bench.swarm --questions tests/data/language_reference_fresh.json

# make bench NAME=inference; the folder bench/ has the others. NAME=all proves the swarm and rewrites
# docs/benchmarks.md; FULL=1 takes hours, SEED=N draws other jobs.
bench: model
	@$(BIN)/python -c 'import matplotlib' 2> /dev/null || \
	  $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[bench]'
	@$(BIN)/python -m bench.$(NAME) $(if $(FULL),--full) $(if $(SEED),--seed $(SEED))

# Every claim at full size; the log to quote from is build/prove.log
prove: model
	@$(BIN)/python -m bench.prove 2>&1 | tee build/prove.log

clean:
	@rm -rf build .venv
