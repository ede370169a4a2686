# `make demo` and `make test` do all the set-up they need; everything else is listed by `make help`.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
PRESET ?= cluster
SEEDS ?= 10000
BIN := .venv/bin
READY := .venv/ready
PAIRS := runs/clipart-pairs
WEIGHTS := runs/clipart-weights/tf_efficientnet_lite0.safetensors

help:  ## list what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY)  ## the whole pipeline on this machine: prompts to report.html and submission.csv, under ten minutes
	$(BIN)/i2p run --preset demo

clipart: $(PAIRS)/metadata.jsonl $(WEIGHTS)  ## real pairs and a pretrained tower: public domain pictures, read and trained with in minutes
	$(BIN)/i2p run --preset clipart

$(PAIRS)/metadata.jsonl: | $(READY)
	$(BIN)/python -m benchmarks.clipart --out $(PAIRS)

$(WEIGHTS): | $(READY)
	$(BIN)/python -m benchmarks.clipart.weights $(@D)

test: lint  ## everything that must hold: lint, types, layers, then the tests
	$(BIN)/python -m pytest -n 2 --dist worksteal
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder tests/cluster  # most of them wait, for Pods and faults

check: lint  ## lint, types and the quick tests, in two minutes; tests/quick.py says which tests these are
	$(BIN)/python -m pytest --quick -n 2 --dist worksteal

simulate: $(READY)  ## many simulated schedules of crashes, damage and removal: make simulate SEEDS=100000
	$(BIN)/python -m tests.simulation --seeds $(SEEDS)

lint: $(READY) docs  ## ruff, strict types, import layers, the documentation
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)  ## build the documentation into site/, strictly
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet  # it would advertise another program

bench: $(READY)  ## the figures of the README, each beside its peer; results in benchmarks/results
	for name in truncation sandbox verification filter filter_size closest demo real_prompts dedup_tool near_identical clipart_scores confidence ensembles predict sources; do $(BIN)/python -m benchmarks.$$name; done

images: $(READY)  ## build and push the images that a registry lacks: make images REGISTRY=localhost:5000 [BASE=...] [FAISS=...]
	$(BIN)/python -m images.build $(if $(REGISTRY),--registry $(REGISTRY)) $(if $(BASE),--base $(BASE)) $(if $(FAISS),--faiss $(FAISS)) $(STAGE)

deploy-stage: images  ## build, push and submit one stage: make deploy-stage STAGE=embed PRESET=my-run.yaml REGISTRY=...
	$(if $(STAGE),,$(error needs STAGE, one of the folders of jobs/ with `-` for `_`, for example STAGE=embed))
	$(BIN)/i2p deploy $(STAGE) --preset $(PRESET) --executor kubernetes --values images/built.yaml

charts: $(READY)  ## write what is generated of the charts: the schemas of their values, the template of the controller's Pod
	$(BIN)/python -m pipeline.charts

towers: $(READY)  ## list the image towers of the pinned timm and open_clip anew; some minutes
	$(BIN)/python -m jobs.regressor.list_towers

lock: $(READY)  ## pin the newest versions that fit pyproject.toml
	$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --group docs --python-version 3.11 --upgrade --no-header --quiet -o requirements.lock

clean:  ## forget the environment and all local runs
	rm -rf .venv runs

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c "import sys; sys.version_info >= (3, 11) or sys.exit(f'needs Python 3.11 or newer, $(PYTHON) is {sys.version.split()[0]}; set PYTHON=python3.11 or the like')"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet "uv>=0.13"
	$(BIN)/uv pip install --quiet --compile-bytecode -r requirements.lock  # else each process compiles torch anew where writing bytecode is off
	$(BIN)/uv pip install --quiet --no-deps --editable .
	touch $@

.PHONY: help demo clipart test check simulate lint docs bench images deploy-stage charts towers lock clean
