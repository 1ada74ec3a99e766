# Rejoinder: from Reddit comment dumps to a served sentence encoder. `make help` lists the targets.

SHELL := bash
.DEFAULT_GOAL := help

PYTHON ?= $(firstword $(foreach v,3.11 3.12 3.13,$(shell command -v python$(v) 2>/dev/null)) python3)
VENV   ?= .venv
PY     := $(VENV)/bin/python
UV     := $(VENV)/bin/uv
REJOINDER := $(VENV)/bin/rejoinder
UV_VERSION := 0.13.9

# What $(VENV) is set up for: cpu, gpu (CUDA) or tpu. The folder records it, and only DEVICE=… on
# the command line changes it, so that other targets keep it. A folder without the record is of an
# earlier release, for cpu.
RECORDED := $(if $(wildcard $(VENV)/pyvenv.cfg),$(or \
  $(shell cat $(VENV)/.device 2>/dev/null),$(if $(wildcard $(VENV)/.installed),cpu)))
ifneq ($(origin DEVICE),command line)
DEVICE := $(or $(RECORDED),cpu)
endif
SIZE_cpu := about 4.5 GB
LOCK_cpu := requirements/dev.txt
LOCK_gpu := requirements/gpu.txt
LOCK_tpu := requirements/tpu.txt
LOCK := $(or $(LOCK_$(DEVICE)),$(error DEVICE=$(DEVICE): must be cpu, gpu or tpu))

export PYTHONUNBUFFERED := 1
export QUERY

# Variables of the targets below. Set them on the command line: make preprocess INPUT='RC_*.zst'
RUNNER    ?=
# For RUNNER=DataflowRunner. The paths below BUCKET are those of docs/runners.md.
PROJECT   ?=
REGION    ?=
BUCKET    ?=
IMAGE     ?=
ifeq ($(RUNNER),DataflowRunner)
  BUCKET_URL := gs://$(patsubst %/,%,$(patsubst gs://%,%,$(BUCKET)))
  INPUT      ?= $(BUCKET_URL)/dumps/RC_*
  OUTPUT     ?= $(BUCKET_URL)/corpus
  TOKENIZER  ?= sentence-transformers/all-mpnet-base-v2
  RUNNER_OPTIONS = --project $(PROJECT) --region $(REGION) --temp_location $(BUCKET_URL)/temp \
    --sdk_container_image $(IMAGE) --machine_type n2-highmem-4 --max_num_workers 32
endif
MISSING = $(if $(RUNNER_OPTIONS),$(strip $(foreach name,PROJECT REGION BUCKET IMAGE,$(if $($(name)),,$(name)))))
# The first line of a target that takes RUNNER.
CHECK_RUNNER = @$(if $(MISSING),echo 'error: RUNNER=$(RUNNER) needs $(MISSING); see docs/runners.md' && exit 1,:)
INPUT     ?=
OUTPUT    ?= out/corpus
# A local copy of the base model, or its name on the hub where there is none.
BASE_MODEL := $(or $(REJOINDER_MPNET),$(HOME)/.cache/rejoinder/all-mpnet-base-v2)
TOKENIZER ?= $(or $(wildcard $(BASE_MODEL)),sentence-transformers/all-mpnet-base-v2)
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
# Further flags of the command: make preprocess … ARGS='--keep-text --workers=2'
ARGS      ?=
# Test processes that run at once. Each imports TensorFlow (5 s, 1 GB).
WORKERS   ?= 2
# The folder of `make test-tpu-env`.
TPU_ENV   ?= build/tpu-env
ACTIONLINT := build/bin/actionlint
ACTIONLINT_VERSION := v1.7.12
PRISM := build/bin/prism
# The version of apache-beam in the locks.
PRISM_VERSION := v2.77.0

##@ Start here

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@/ {printf "\n\033[1m%s\033[0m\n", substr($$0, 5)} \
	  /^[a-z0-9-]+:.*## / {printf "  \033[36m%-15s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\nARGS=… passes further flags to a command; `%s COMMAND --help` lists them.\n' '$(REJOINDER)'

.PHONY: quickstart
quickstart: setup ## Run all steps on a generated sample, or on your dump: INPUT='path/RC_*.zst'
	$(REJOINDER) quickstart $(if $(INPUT),--input $(INPUT)) $(ARGS)

.PHONY: doctor
doctor: ## Check versions, disk, TPU/GPU, cloud access (GS=gs://bucket/path) and a Beam runner (RUNNER=…); print a command for each problem
	$(CHECK_RUNNER)
	$(if $(wildcard $(PY)),$(PY),$(PYTHON)) -m rejoinder doctor $(if $(GS),--gs $(GS)) \
	  $(if $(RUNNER),--runner $(RUNNER)) $(RUNNER_OPTIONS) $(ARGS)

##@ From a dump to a served model

.PHONY: preprocess
preprocess: setup ## Dumps to tokenized pairs: INPUT='RC_*.zst' OUTPUT=dir [TOKENIZER=dir], or RUNNER=DataflowRunner PROJECT=… REGION=… BUCKET=… IMAGE=…
	$(CHECK_RUNNER)
	$(REJOINDER) preprocess --input $(if $(RUNNER_OPTIONS),'$(INPUT)',$(INPUT)) --output $(OUTPUT) --tokenizer $(TOKENIZER) \
	  $(if $(RUNNER),--runner $(RUNNER)) $(RUNNER_OPTIONS) $(ARGS)

.PHONY: pairs
pairs: setup ## Pair files (JSON lines, CSV, Parquet) to tokenized pairs: INPUT='x.jsonl.gz' OUTPUT=dir
	$(CHECK_RUNNER)
	$(REJOINDER) pairs --input $(if $(RUNNER_OPTIONS),'$(INPUT)',$(INPUT)) --output $(OUTPUT) --tokenizer $(TOKENIZER) \
	  $(if $(RUNNER),--runner $(RUNNER)) $(RUNNER_OPTIONS) $(ARGS)

.PHONY: train
train: setup ## Train: CONFIG=configs/x.yaml DATA=dir MODEL_DIR=dir [TPU=local|name|grpc://…]
	$(REJOINDER) train --config $(CONFIG) --corpus $(DATA) --model-dir $(MODEL_DIR) \
	  --mode $(MODE) $(if $(TPU),--tpu $(TPU)) $(ARGS)

.PHONY: evaluate
evaluate: setup ## 1-of-100 accuracy beside TF-IDF and BM25: MODEL=path[,path] DATA=dir
	$(REJOINDER) evaluate --model $(MODEL) --corpus $(DATA) $(ARGS)

.PHONY: export
export: setup ## Write a SavedModel and a sentence-transformers folder: MODEL=path EXPORT=dir
	$(REJOINDER) export --model $(MODEL) --output $(EXPORT) $(ARGS)

.PHONY: serve
serve: setup ## Serve a SavedModel over HTTP: EXPORT=dir NAME=name
	$(REJOINDER) serve --model $(NAME)=$(EXPORT) $(ARGS)

.PHONY: embed
embed: setup ## Embed texts, write Parquet shards: INPUT='RC_*.zst' OUTPUT=dir MODEL=path
	$(REJOINDER) embed --input $(INPUT) --output $(OUTPUT) --model $(MODEL) $(ARGS)

.PHONY: search
search: setup ## Search a corpus by meaning: CORPUS=dir MODEL=path QUERY='…'
	$(REJOINDER) search --corpus $(CORPUS) \
	  $(if $(filter-out file,$(origin MODEL)),--model $(MODEL)) $(if $(QUERY),--query "$$QUERY") $(ARGS)

##@ Develop

.PHONY: FORCE
$(VENV)/.installed: $(LOCK) pyproject.toml $(if $(filter-out $(DEVICE),$(RECORDED)),FORCE)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "error: $(PYTHON) is not Python 3.11, 3.12 or 3.13; name one with PYTHON=/path/to/python3.11"; exit 1; }
ifneq ($(filter-out $(DEVICE),$(RECORDED)),)
	@echo "$(VENV) is set up for DEVICE=$(RECORDED); making it again for DEVICE=$(DEVICE)"
	@$(PYTHON) -m venv --clear $(VENV)
endif
	@echo "setting up $(VENV) for DEVICE=$(DEVICE) ($(or $(SIZE_$(DEVICE)),several GB), once)"
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo $(DEVICE) > $(VENV)/.device
	@$(PY) -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@# Byte code is compiled once, here: without it every command starts about 8 s later.
	@# The locks name every package. The one for TPUs leaves out tensorflow, which others ask for.
	@$(UV) pip install --quiet --python $(PY) --no-deps --require-hashes --compile-bytecode -r $(LOCK)
	@$(UV) pip install --quiet --python $(PY) --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: setup
setup: $(VENV)/.installed ## Install the locked packages in .venv [DEVICE=gpu|tpu] (other targets do this when needed)

$(VENV)/.parity: $(VENV)/.installed requirements/parity.txt
	@$(PY) -m pip install --quiet --disable-pip-version-check torch==2.13.0
	@$(UV) pip install --quiet --python $(PY) --no-deps --compile-bytecode -r requirements/parity.txt
	@touch $@

.PHONY: setup-parity
setup-parity: $(VENV)/.parity ## Add torch, sentence-transformers and mteb, for parity tests and benchmarks

# infinity and sentence-transformers with OpenVINO need older packages than $(VENV) has.
SERVE_PEERS := build/serve-peers

$(SERVE_PEERS)/.installed: requirements/serve-peers.txt $(VENV)/.installed
	@$(PYTHON) -m venv --clear $(SERVE_PEERS)
	@$(SERVE_PEERS)/bin/python -m pip install --quiet --disable-pip-version-check torch==2.8.0
	@$(UV) pip install --quiet --python $(SERVE_PEERS)/bin/python --no-deps -r requirements/serve-peers.txt
	@touch $@

.PHONY: setup-serve-peers
setup-serve-peers: $(SERVE_PEERS)/.installed ## Install the peers of benchmarks/serve.py in a folder of their own (about 7.5 GB)

# Where `train --dry-run --tpu-topology` looks for its compiler (trainer/tpu_compile/environment.py).
TPU_COMPILER := $(HOME)/.cache/rejoinder/tpu-compiler
# libtpu has wheels for this platform only.
LIBTPU_HERE := $(filter Linux-x86_64,$(shell uname -sm | tr ' ' -))

# The lock is kept in the folder, so that another checkout with another lock makes it again.
.PHONY: setup-tpu-compiler
setup-tpu-compiler: setup ## Install jax and libtpu in a folder of their own, for train --dry-run --tpu-topology (1.2 GB)
ifeq ($(LIBTPU_HERE),)
	@echo "skipped: libtpu has no wheel for $$(uname -sm)"
else
	@cmp -s requirements/tpu-compiler.txt $(TPU_COMPILER)/lock.txt || { \
	  echo "setting up $(TPU_COMPILER) (about 1.2 GB, once)" && \
	  $(PYTHON) -m venv --clear --without-pip $(TPU_COMPILER) && \
	  $(UV) pip install --quiet --python $(TPU_COMPILER)/bin/python --no-deps --require-hashes \
	    -r requirements/tpu-compiler.txt && \
	  cp requirements/tpu-compiler.txt $(TPU_COMPILER)/lock.txt; }
endif

# Tests of one file run in one process, in order: they share fixtures such as a server.
PARALLEL = -n $(WORKERS) --dist loadfile

.PHONY: test
test: setup ## Tests that need no data, no network and no torch (under 10 minutes on 2 cores)
	$(PY) -m pytest $(PARALLEL) -m "not realdata and not parity and not e2e and not clients" $(ARGS)

.PHONY: test-e2e
test-e2e: setup ## Tests of whole commands (minutes)
	@$(if $(shell command -v go),$(MAKE) --no-print-directory prism,false) || echo "the tests of Prism are skipped: it is built with Go"
	$(PY) -m pytest $(PARALLEL) -m "e2e and not realdata and not parity" $(ARGS)

.PHONY: test-heavy
test-heavy: setup-parity setup-tpu-compiler test-e2e ## test-e2e, and tests with real dumps and with torch
	$(PY) -m pytest -m "realdata or parity" $(ARGS)

# Public clients of the server, in environments of their own (tests/clients).
PYTHON_CLIENTS := build/clients/.installed build/clients-protobuf3/.installed
NODE_CLIENTS := tests/clients/node/node_modules/.installed

$(PYTHON_CLIENTS): build/%/.installed: requirements/%.txt | setup
	@$(PYTHON) -m venv --clear --without-pip $(@D)
	@$(UV) pip install --quiet --python $(@D)/bin/python --no-deps --require-hashes -r $<
	@touch $@

$(NODE_CLIENTS): tests/clients/node/package-lock.json
	@cd tests/clients/node && npm ci --silent --ignore-scripts
	@touch $@

.PHONY: test-clients
test-clients: setup $(PYTHON_CLIENTS) $(if $(shell command -v npm),$(NODE_CLIENTS)) ## Install public clients of the server and run them against it
	$(PY) -m pytest $(PARALLEL) -m clients tests/clients $(ARGS)

# Go and Maven build these clients in minutes, so `make test-clients` skips them if they are absent.
GO_TOOLS := github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3 github.com/bojand/ghz/cmd/ghz@v0.121.0 \
  github.com/grpc-ecosystem/grpc-health-probe@v0.4.62 github.com/rakyll/hey@v0.1.5 \
  github.com/tsenart/vegeta/v12@v12.13.0

.PHONY: go-clients
go-clients: ## Build the Go clients of the server and the load generators (minutes)
	@mkdir -p build/go-clients
	cd tests/clients/go && go build -trimpath -o ../../../build/go-clients/ ./...
	@for tool in $(GO_TOOLS); do GOBIN=$(abspath build/bin) go install $$tool || exit 1; done

.PHONY: java-clients
java-clients: ## Build the Java clients of the server (minutes; needs Maven)
	cd tests/clients/java && mvn -B -ntp -q compile dependency:build-classpath \
	  '-Dmdep.outputFile=$${project.build.directory}/classpath'

.PHONY: test-clients-all
test-clients-all: $(if $(shell command -v go),go-clients) $(if $(shell command -v mvn),java-clients) ## test-clients, with the Go and Java clients and the load generators (builds them, minutes)
	$(MAKE) test-clients

.PHONY: test-tpu-env
test-tpu-env: ## Install the lock of DEVICE=tpu in TPU_ENV (4 GB) and run the tests of models and training in it
	$(MAKE) setup VENV=$(TPU_ENV) DEVICE=tpu
	TPU_LOAD_LIBRARY=0 $(TPU_ENV)/bin/python -m pytest tests/rejoinder/test_environment.py tests/models tests/trainer \
	  -m "not host_xla and not realdata and not parity and not e2e" $(ARGS)

.PHONY: lint
lint: setup ## Check the code with ruff and mypy
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

.PHONY: docs
docs: setup ## API pages from the docstrings, into build/docs; a warning is an error
	@rm -rf build/docs
	$(PY) docs/build_api.py --output build/docs

$(ACTIONLINT):
	GOBIN=$(abspath $(@D)) go install github.com/rhysd/actionlint/cmd/actionlint@$(ACTIONLINT_VERSION)

$(PRISM):
	GOBIN=$(abspath $(@D)) go install github.com/apache/beam/sdks/v2/go/cmd/prism@$(PRISM_VERSION)

.PHONY: prism
prism: $(PRISM) ## Build Prism, a Beam runner, for its tests (needs Go; a minute)

.PHONY: lint-workflows
lint-workflows: $(ACTIONLINT) ## Check the GitHub workflows with actionlint (needs Go)
	$(ACTIONLINT) -color

.PHONY: format
format: setup ## Fix and format the code with ruff
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

.PHONY: dist
dist: setup ## Build the sdist and the wheel in dist/
	rm -rf dist
	$(UV) build --quiet --python $(PY) --no-build-isolation --out-dir dist
	@ls -1 dist/*

# `make image`: IMAGE_LOCK is the trainer's lock, train or train-gpu. PIP_SECRETS is a folder with
# pip.conf or ca.crt, which the build reads and no image keeps (docs/runners.md).
DOCKERFILE_worker := deploy/dataflow/Dockerfile
DOCKERFILE_trainer := deploy/training/Dockerfile
DOCKERFILE_server := deploy/serving/Dockerfile
IMAGE_LOCK ?= train
PIP_SECRETS ?=

.PHONY: image
image: ## Build an image: NAME=worker|trainer|server IMAGE=name:tag [IMAGE_LOCK=train-gpu PIP_SECRETS=dir]
	@test -n "$(IMAGE)" -a -n "$(DOCKERFILE_$(NAME))" || \
	  { echo "error: make image NAME=worker|trainer|server IMAGE=name:tag"; exit 1; }
	DOCKER_BUILDKIT=1 docker build --file $(DOCKERFILE_$(NAME)) --tag $(IMAGE) \
	  $(if $(filter trainer,$(NAME)),--build-arg LOCK=$(IMAGE_LOCK)) \
	  $(foreach file,$(wildcard $(addprefix $(PIP_SECRETS)/,$(if $(PIP_SECRETS),pip.conf ca.crt))),--secret id=$(notdir $(file)),src=$(file)) $(ARGS) .

.PHONY: test-images
test-images: setup ## Build the images and run them (root on Debian with Go; skipped elsewhere): FOLDER=dir keeps what was built
	tests/images/run.sh $(FOLDER)

.PHONY: bench
bench: setup-parity ## Compare with public peers: BENCH=preprocess, or another file of benchmarks/
	$(PY) -m benchmarks.$(BENCH) $(ARGS)

.PHONY: lock
lock: setup ## Resolve pyproject.toml into requirements/*.txt
	UV=$(UV) requirements/lock.sh

.PHONY: clean
clean: ## Remove the files of tests and builds (not .venv, out/ or quickstart-out/)
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info tests/clients/node/node_modules
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
