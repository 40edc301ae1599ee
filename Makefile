# Everything runs in .venv, which the first target you call sets up from requirements.lock.
#   make train MODEL=made ARGS="--steps 200"

VENV := .venv
PY := $(VENV)/bin/python
MODEL ?=
ARGS ?=
JOBS ?= 2
RUN ?= $(MODEL)
ROW ?=
GIF ?=
SURPRISE ?=
INTERPOLATE ?=
RECONSTRUCT ?=
SOURCE ?=
# The first interpreter that is recent enough; override with `make PYTHON=/path/to/python3`.
CANDIDATES := python3 python3.13 python3.12 python3.11 python
PYTHON ?= $(shell for p in $(CANDIDATES); do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)

.DEFAULT_GOAL := help
.PHONY: help setup check lr-range search diagnose train sample eval bench bench-derived bench-torch reproduce judge figures test test-slow test-stacks lint format notebooks lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /|/' | awk -F'|' '{ printf "  make %-13s %s\n", $$1, $$2 }'
	@echo '  MODEL=name chooses the model, ARGS="--flag value" passes flags through; make train MODEL=made ARGS=--help explains them.'

setup: $(VENV)/installed ## create .venv with the locked versions (the other targets do it by themselves)

$(VENV)/installed: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: Python >= 3.11 is needed, and none of $(CANDIDATES) is; install one or pass PYTHON=/path/to/python3." >&2; exit 1; }
	@echo "setting up $(VENV) with $(PYTHON) (once, about a minute)"
	@$(PYTHON) -m venv $(VENV) || { echo "error: $(PYTHON) cannot make virtual environments; on Debian: apt install python3-venv." >&2; exit 1; }
	@$(PY) -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

train: $(VENV)/installed ## train MODEL on its default data, then draw samples: make train MODEL=made
	@$(PY) -m train $(MODEL) $(ARGS)

check: $(VENV)/installed ## before a training: the initial loss, a small batch learnt by heart, the gradients
	@$(PY) -m train.check $(MODEL) $(ARGS)

lr-range: $(VENV)/installed ## try learning rates on a log scale, draw the losses and suggest a rate
	@$(PY) -m train.lr_range $(MODEL) $(ARGS)

search: export ZOO_ARGS := $(ARGS)
search: $(VENV)/installed ## search a recipe: make search MODEL=made ARGS="--space learning_rate=1e-4:1e-1:log model.hidden=200|500"
	@$(PY) -m train.search $(MODEL) --args "$$ZOO_ARGS"

diagnose: $(VENV)/installed ## what the curves of the newest run of MODEL (or RUN=folder) show, and what to do
	@$(PY) -m train.diagnose $(RUN) $(ARGS)

sample: export ZOO_PROMPT := $(PROMPT)
sample: export ZOO_SOURCE := $(SOURCE)
sample: $(VENV)/installed ## draw from the newest run of MODEL (or RUN=folder); GIF=1, SURPRISE=1 add pictures, INTERPOLATE=1, RECONSTRUCT=1 use codes, PROMPT="..." begins a text, SOURCE="..." is translated
	@$(PY) -m sample $(RUN) $(if $(PROMPT),--prompt "$$ZOO_PROMPT")$(if $(SOURCE), --source "$$ZOO_SOURCE") $(if $(filter-out 0,$(GIF)),--gif) $(if $(filter-out 0,$(SURPRISE)),--surprise)$(if $(filter-out 0,$(INTERPOLATE)), --interpolate)$(if $(filter-out 0,$(RECONSTRUCT)), --reconstruct) $(ARGS)

eval: $(VENV)/installed ## nats and bits/dim of the newest run of MODEL (or RUN=folder) on the test split; RUN="a b c" ARGS=--ensemble scores several as one
	@$(PY) -m train.evaluate $(RUN) $(ARGS)

bench: $(VENV)/installed ## time sampling against the likelihood, for MODEL or for all
	@$(PY) -m benchmarks.sampling $(MODEL) $(ARGS)

bench-derived: $(VENV)/installed ## time hand-written steps, derived ones and recomputing, for MODEL or for all
	@$(PY) -m benchmarks.derived $(MODEL) $(ARGS)

bench-torch: $(VENV)/installed ## time likelihood and train step against PyTorch, which you install into .venv yourself
	@$(PY) -m benchmarks.training $(MODEL) $(ARGS)

reproduce: $(VENV)/installed ## train and evaluate one row of docs/results.md from scratch: make reproduce ROW=nade (or the list)
	@$(PY) -m train.reproduce $(ROW) $(ARGS)

judge: $(VENV)/installed ## how far the images of a run are from the data, by a classifier: make judge RUN=gan
	@$(PY) -m benchmarks.judge $(RUN) $(ARGS)

figures: $(VENV)/installed ## draw docs/receptive_fields.png anew
	@$(PY) -m benchmarks.receptive_fields $(ARGS)

test: $(VENV)/installed ## the tests, minutes
	@$(PY) -m pytest -n $(JOBS) --dist loadfile $(ARGS)

test-slow: $(VENV)/installed ## the slow tests: full trainings, standard data sets
	@$(PY) -m pytest -m slow $(ARGS)

test-stacks: ## the tests of training on the three stacks of CONTRIBUTING.md, before a release (needs Python 3.11 and 3.13)
	@.ci/stacks $(ARGS)

lint: $(VENV)/installed ## style and types
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

format: $(VENV)/installed ## rewrite the code in the project's style
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

notebooks: $(VENV)/installed ## execute every notebook
	@$(PY) -m pytest tests/test_notebooks.py $(ARGS)

lock: ## resolve requirements.lock anew (needs uv)
	uv pip compile --universal --generate-hashes --python-version 3.11 --quiet --custom-compile-command "make lock" \
		--extra data --extra text --extra plots --extra audio --extra search --extra dev pyproject.toml --output-file requirements.lock

clean: ## remove .venv and caches; runs/ stays
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
