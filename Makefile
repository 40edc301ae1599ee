# Everything runs in .venv, which the first target you call sets up: from requirements.lock to train and to draw, from
# requirements-dev.lock, which holds the same versions and more, to develop.
#   make train MODEL=made ARGS="--steps 200"

VENV := .venv
PY := $(VENV)/bin/python
MODEL ?=
ARGS ?=
JOBS ?= 2
RUN ?= $(MODEL)
ROW ?=
NAME ?=
GIF ?=
SURPRISE ?=
INTERPOLATE ?=
RECONSTRUCT ?=
SOURCE ?=
FILE ?=
# The first interpreter that is recent enough; override with `make PYTHON=/path/to/python3`.
CANDIDATES := python3 python3.13 python3.12 python3.11 python
PYTHON ?= $(shell for p in $(CANDIDATES); do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
# uv installs where it is present; `make UV=` takes pip.
UV ?= uv
RUNNING := $(VENV)/installed
DEVELOPING := $(VENV)/developing

.DEFAULT_GOAL := help
.PHONY: help setup check lr-range search diagnose train sample demo score eval bench bench-table compile-check device-check bench-derived bench-torch reproduce judge hero pack figures test test-slow test-stacks lint format notebooks docs dist lock clean compress decompress bench-compress table

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | awk -F'\t' '{ printf "  make %-15s %s\n", $$1, $$2 }'
	@echo '  MODEL=name chooses the model, ARGS="--flag value" passes flags through; make train MODEL=made ARGS=--help explains them.'

setup: $(RUNNING) ## create .venv with the locked versions (the other targets do it by themselves)

$(RUNNING): requirements.lock pyproject.toml
	@test ! -e $(DEVELOPING) || $(MAKE) --no-print-directory $(DEVELOPING)
	@test -e $(DEVELOPING) || { \
		echo "setting up $(VENV) to train and draw, once: downloads 0.3 GB, takes 1.0 GB of disk;" \
			"1 to 2 minutes with uv, 2 to 9 with pip"; \
		.ci/environment $(VENV) "$(PYTHON)" requirements.lock $(UV); }
	@touch $@

$(DEVELOPING): requirements-dev.lock pyproject.toml
	@echo "setting up $(VENV) to develop, once: downloads 0.4 GB, takes 1.3 GB of disk;" \
		"1 to 3 minutes with uv, 3 to 12 with pip"
	@.ci/environment $(VENV) "$(PYTHON)" requirements-dev.lock $(UV)
	@touch $@ $(RUNNING)

train: $(RUNNING) ## train MODEL on its default data, then draw samples: make train MODEL=made
	@$(PY) -m train $(MODEL) $(ARGS)

check: $(RUNNING) ## before a training: the initial loss, a small batch learnt by heart, the gradients
	@$(PY) -m train.check $(MODEL) $(ARGS)

lr-range: $(RUNNING) ## try learning rates on a log scale, draw the losses and suggest a rate
	@$(PY) -m train.lr_range $(MODEL) $(ARGS)

search: export ZOO_ARGS := $(ARGS)
search: $(RUNNING) ## search a recipe: make search MODEL=made ARGS="--space learning_rate=1e-4:1e-1:log model.hidden=200|500"
	@$(PY) -m train.search $(MODEL) --args "$$ZOO_ARGS"

diagnose: $(RUNNING) ## what the curves of the newest run of MODEL (or RUN=folder) show, and what to do
	@$(PY) -m train.diagnose $(RUN) $(ARGS)

sample: export ZOO_PROMPT := $(PROMPT)
sample: export ZOO_SOURCE := $(SOURCE)
sample: $(RUNNING) ## draw from the newest run of MODEL (or RUN=folder); GIF=1, SURPRISE=1 add pictures, INTERPOLATE=1, RECONSTRUCT=1 use codes, PROMPT="..." begins a text, SOURCE="..." is translated
	@$(PY) -m sample $(RUN) $(if $(PROMPT),--prompt "$$ZOO_PROMPT")$(if $(SOURCE), --source "$$ZOO_SOURCE") $(if $(filter-out 0,$(GIF)),--gif) $(if $(filter-out 0,$(SURPRISE)),--surprise)$(if $(filter-out 0,$(INTERPOLATE)), --interpolate)$(if $(filter-out 0,$(RECONSTRUCT)), --reconstruct) $(ARGS)

demo: $(RUNNING) ## a page in the browser: complete digits, write, sound, translate, describe (RUN="runs/a runs/b" shows other models)
	@$(PY) -m sample.demo $(RUN) $(ARGS)

compress: $(RUNNING) ## compress FILE (an .npy; a picture, a text, a .wav or a folder of them; a .csv, a .tsv, a folder with captions.tsv) by the newest run of MODEL (or RUN=folder), without loss
	@$(PY) -m sample.coding.pack $(RUN) "$(FILE)" $(ARGS)

decompress: $(RUNNING) ## give back what FILE.arz was made of: make decompress MODEL=pixel_cnn FILE=images.npy.arz
	@$(PY) -m sample.coding.unpack $(RUN) "$(FILE)" $(ARGS)

bench-compress: $(RUNNING) ## bits/dim and speed of lossless compression beside PNG, WebP, JPEG XL, bz2, xz, zstd and FLAC: of a FILE by RUN, or without FILE of the test data of each RUN="a b c"
	@$(PY) -m $(if $(FILE),sample.coding.benchmark $(RUN) "$(FILE)",benchmarks.box.coding.table $(RUN)) $(ARGS)

eval: $(RUNNING) ## nats and bits/dim of the newest run of MODEL (or RUN=folder) on the test split; RUN="a b c" ARGS=--ensemble scores several as one
	@$(PY) -m train.evaluate $(RUN) $(ARGS)

score: $(RUNNING) ## nats and bits/dim of every example of FILE by RUN: make score RUN=made FILE=mine.npy
	@$(PY) -m sample.score_file $(RUN) $(if $(FILE),"$(FILE)") $(ARGS)

anomaly: $(RUNNING) ## tell outliers from the data of RUN: make anomaly RUN=pixel_cnn ARGS="--against mnist --background RUN2"
	@$(PY) -m train.anomaly $(RUN) $(ARGS)

bench: $(RUNNING) ## time sampling against the likelihood, for MODEL or for all
	@$(PY) -m benchmarks.sampling $(MODEL) $(ARGS)

bench-table: $(RUNNING) ## measure the costs in README's table of models again, for MODEL or for all, and write them there with their date
	@$(PY) -m benchmarks.box.costs $(MODEL) $(ARGS)

compile-check: $(RUNNING) ## compile every model for a TPU v5e and an H100 that are not there; fails where a program has grown (extras tpu, cuda)
	@$(PY) -m benchmarks.compile_check $(MODEL) $(ARGS)

device-check: $(RUNNING) ## check and time MODEL or all on this machine's accelerator within ARGS="--seconds 540", results in OUT=device_out; again, it measures what is missing
	@$(PY) -m benchmarks.device_check $(if $(MODEL),all $(MODEL)) $(ARGS)

bench-derived: $(RUNNING) ## time hand-written steps, derived ones and recomputing, for MODEL or for all
	@$(PY) -m benchmarks.derived $(MODEL) $(ARGS)

bench-torch: $(RUNNING) ## time likelihood and train step against PyTorch, which you install into .venv yourself
	@$(PY) -m benchmarks.training $(MODEL) $(ARGS)

reproduce: $(RUNNING) ## train and evaluate one row of docs/results.md from scratch: make reproduce ROW=nade (or the list)
	@$(PY) -m train.reproduce $(ROW) $(ARGS)

table: $(RUNNING) ## the results of finished runs as a table, with errors over seeds and examples: make table RUN="runs/*"
	@$(PY) -m train.table $(RUN) $(ARGS)

judge: $(RUNNING) ## how far the images of a run are from the data, by a classifier: make judge RUN=gan
	@$(PY) -m benchmarks.judge $(RUN) $(ARGS)

hero: $(RUNNING) ## draw docs/samples.png: test digits beside draws of the best model in the box, with their nats
	@$(PY) -m benchmarks.box.hero $(RUN) $(ARGS)

pack: $(RUNNING) ## put the weights of a finished RUN among those in the box, as pretrained/NAME, with a card: make pack RUN=runs/made NAME=made
	@$(PY) -m benchmarks.pack $(RUN) $(NAME) $(ARGS)

figures: $(RUNNING) ## draw docs/receptive_fields.png again
	@$(PY) -m benchmarks.receptive_fields $(ARGS)

test: $(DEVELOPING) ## the tests, minutes
	@$(PY) -m pytest -n $(JOBS) --dist loadfile $(ARGS)

test-slow: $(DEVELOPING) ## the slow tests: full trainings, standard data sets
	@$(PY) -m pytest -m slow $(ARGS)

test-stacks: ## the tests of training and derived steps on the three stacks of CONTRIBUTING.md, before a release (needs Python 3.11 and 3.13)
	@.ci/stacks $(ARGS)

lint: $(DEVELOPING) ## style and types
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

format: $(DEVELOPING) ## rewrite the code in the project's style
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

notebooks: $(DEVELOPING) ## execute every notebook and keep its outputs; ARGS=notebooks/lecture_1.ipynb executes one
	@$(PY) docs/site/execute.py $(ARGS)

docs: $(DEVELOPING) ## build the site of the documents in build/site, which opens from disk
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict --quiet $(ARGS)
	@echo "open build/site/index.html"

dist: $(DEVELOPING) ## build the source archive and the wheel in build/dist
	@$(PY) -m build --no-isolation --outdir build/dist $(ARGS)

# Extras that only developers need, and those in no lock: PyTorch, and what an accelerator needs. Others are for running.
DEV_EXTRAS := dev docs browser compress grain
UNLOCKED := bench cuda tpu
ALL_EXTRAS = $(filter-out $(UNLOCKED), $(shell $(PYTHON) -c "import tomllib; \
	print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies'])"))
RUN_EXTRAS = $(filter-out $(DEV_EXTRAS), $(ALL_EXTRAS))
COMPILE = $(UV) pip compile --universal --generate-hashes --python-version 3.11 --quiet \
	--custom-compile-command "make lock" pyproject.toml

lock: ## resolve both locks: of all extras, and of those that running needs (needs uv; ARGS=--upgrade takes the newest versions)
	echo "setuptools>=77" | $(COMPILE) - $(ALL_EXTRAS:%=--extra %) $(ARGS) --output-file requirements-dev.lock
	echo "setuptools>=77" | $(COMPILE) - $(RUN_EXTRAS:%=--extra %) $(ARGS) --constraint requirements-dev.lock --output-file requirements.lock

clean: ## remove .venv and caches; runs/ stays
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
