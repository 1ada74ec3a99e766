# Rejoinder: from Reddit comment dumps to a served sentence encoder. `make help` is the index.

SHELL := bash
.DEFAULT_GOAL := help

PYTHON ?= $(firstword $(foreach v,3.11 3.12 3.13,$(shell command -v python$(v) 2>/dev/null)) python3)
VENV   ?= .venv
PY     := $(VENV)/bin/python
UV     := $(VENV)/bin/uv
REJOINDER := $(VENV)/bin/rejoinder
UV_VERSION := 0.13.9

# TensorFlow's C++ notes on missing GPUs would drown what the commands say; errors still raise.
export TF_CPP_MIN_LOG_LEVEL ?= 3
export PYTHONUNBUFFERED := 1
export QUERY

# Variables of the targets below, all overridable: make preprocess INPUT='dumps/RC_*.zst'
INPUT     ?=
OUTPUT    ?= out/corpus
# A local copy of the base model where there is one, else its name on the hub.
BASE_MODEL := $(or $(REJOINDER_MPNET),$(HOME)/.cache/rejoinder/all-mpnet-base-v2)
TOKENIZER ?= $(or $(wildcard $(BASE_MODEL)),sentence-transformers/all-mpnet-base-v2)
RUNNER    ?=
DATA      ?= out/corpus
CONFIG    ?= configs/reddit_single_context_mpnet_base.yaml
MODEL_DIR ?= out/model
MODEL     ?= $(MODEL_DIR)
EXPORT    ?= out/export/encoder
NAME      ?= encoder
MODE      ?= train_and_eval
TPU       ?=
CORPUS    ?=
QUERY     ?=
GS        ?=
# Anything else the command understands: make preprocess … ARGS='--keep-text --workers=2'
ARGS      ?=

##@ Start here

.PHONY: help
help: ## Show this index
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@/ {printf "\n\033[1m%s\033[0m\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  \033[36m%-14s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\nEvery command takes further flags through ARGS=…, and `%s -m … --help` lists them.\n' '$(PY)'

.PHONY: quickstart
quickstart: setup ## Whole path on a generated sample, or on your dump: INPUT='path/RC_*.zst'
	$(REJOINDER) quickstart $(if $(INPUT),--input $(INPUT)) $(ARGS)

.PHONY: doctor
doctor: ## Check versions, disk, TPU/GPU and (GS=gs://bucket/path) cloud access, with the command that mends each
	$(if $(wildcard $(PY)),$(PY),$(PYTHON)) -m rejoinder doctor $(if $(GS),--gs $(GS)) $(ARGS)

##@ From a dump to a served model

.PHONY: preprocess
preprocess: setup ## Dumps to tokenized pairs: INPUT='RC_*.zst' OUTPUT=dir [TOKENIZER=dir RUNNER=DataflowRunner]
	$(REJOINDER) preprocess --input $(INPUT) --output $(OUTPUT) --tokenizer $(TOKENIZER) \
	  $(if $(RUNNER),--runner $(RUNNER)) $(ARGS)

.PHONY: pairs
pairs: setup ## Pair files (jsonl) to the same kind of shards: INPUT='x.jsonl.gz' OUTPUT=dir
	$(REJOINDER) pairs --input $(INPUT) --output $(OUTPUT) --tokenizer $(TOKENIZER) \
	  $(if $(RUNNER),--runner $(RUNNER)) $(ARGS)

.PHONY: train
train: setup ## Train: CONFIG=configs/x.yaml DATA=dir MODEL_DIR=dir [TPU=local|name|grpc://…]
	$(REJOINDER) train --config_file=$(CONFIG) --data=$(DATA) --model_dir=$(MODEL_DIR) \
	  --mode=$(MODE) $(if $(TPU),--tpu=$(TPU)) $(ARGS)

.PHONY: evaluate
evaluate: setup ## 1-of-100 accuracy beside TF-IDF and BM25: MODEL=path[,path] DATA=dir
	$(REJOINDER) evaluate --model $(MODEL) --corpus $(DATA) $(ARGS)

.PHONY: export
export: setup ## SavedModel and sentence-transformers folder: MODEL=path EXPORT=dir
	$(REJOINDER) export --model $(MODEL) --output $(EXPORT) $(ARGS)

.PHONY: serve
serve: setup ## Serve the SavedModel over HTTP: EXPORT=dir NAME=name
	$(REJOINDER) serve --model $(NAME)=$(EXPORT) $(ARGS)

.PHONY: embed
embed: setup ## Embed texts into Parquet shards: INPUT='RC_*.zst' OUTPUT=dir MODEL=path
	$(REJOINDER) embed --input $(INPUT) --output $(OUTPUT) --model $(MODEL) $(ARGS)

.PHONY: search
search: setup ## Answer queries from an index of a corpus: CORPUS=dir MODEL=path QUERY='…'
	$(REJOINDER) search --corpus $(CORPUS) --model $(MODEL) $(if $(QUERY),--query "$$QUERY") $(ARGS)

##@ Develop

$(VENV)/.installed: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "error: $(PYTHON) is not Python 3.11, 3.12 or 3.13; name one with PYTHON=/path/to/python3.11"; exit 1; }
	@echo "setting up $(VENV) (about 4.5 GB, once)"
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@# Compiled now, once: uncompiled, every command would start some 8 seconds later.
	@$(UV) pip install --quiet --python $(PY) --require-hashes --compile-bytecode -r requirements/dev.txt
	@$(UV) pip install --quiet --python $(PY) --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: setup
setup: $(VENV)/.installed ## Build the environment in .venv from the lock (other targets do it by themselves)

$(VENV)/.parity: $(VENV)/.installed requirements/parity.txt
	@$(PY) -m pip install --quiet --disable-pip-version-check torch==2.13.0
	@$(UV) pip install --quiet --python $(PY) --no-deps --compile-bytecode -r requirements/parity.txt
	@touch $@

.PHONY: setup-parity
setup-parity: $(VENV)/.parity ## Add torch, sentence-transformers and mteb for the parity checks and peers

.PHONY: test
test: setup ## The tests that need nothing but the package registries (under 10 minutes on 2 cores)
	$(PY) -m pytest -m "not realdata and not parity and not e2e" $(ARGS)

.PHONY: test-heavy
test-heavy: setup-parity ## Real dumps, parity with torch, whole commands
	$(PY) -m pytest -m "realdata or parity or e2e" $(ARGS)

.PHONY: lint
lint: setup ## ruff and mypy
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

.PHONY: docs
docs: setup ## API pages from the docstrings, into build/docs; a warning is an error
	@rm -rf build/docs
	$(PY) docs/build_api.py --output build/docs

.PHONY: format
format: setup ## Let ruff mend what it can
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

.PHONY: bench
bench: setup-parity ## Side-by-side runs against public peers: BENCH=preprocess, or another file of benchmarks/
	$(PY) -m benchmarks.$(BENCH) $(ARGS)

.PHONY: lock
lock: setup ## Resolve pyproject.toml into requirements/*.txt again
	UV=$(UV) requirements/lock.sh

.PHONY: clean
clean: ## Remove what the quickstart and the tests leave behind (not .venv, not out/)
	rm -rf quickstart-out .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
