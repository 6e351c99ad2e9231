# make help lists the targets.
PYTHON ?= python3
UV_VERSION = 0.13.8
BIN = .venv/bin
UV = $(shell command -v uv || echo .uv/bin/uv)
NEW_VENV = rm -rf .venv && $(UV) venv --quiet --no-python-downloads --python "$$(command -v $(PYTHON))" .venv
INSTALL = VIRTUAL_ENV=$(CURDIR)/.venv $(UV) pip install --quiet --no-deps --no-build-isolation --editable .
# tests of a module share slow fixtures, so they run on one worker
WORKERS = -n auto --dist loadscope
# rules find `medgrid` and `snakemake` here, also without an activated environment
export PATH := $(CURDIR)/$(BIN):$(PATH)
# keep compiled modules; without them every job would compile its imports again (empty: not set)
export PYTHONDONTWRITEBYTECODE :=
STUDIES = brain_tumor_lr_batch brain_tumor_transfer histopathology_batch stroke_transfer pneumonia_loss
DEMO = $(firstword $(STUDIES))

.PHONY: help environment cpu demo demo-all test test-all lint hooks dry format lock schema bless check-claims dag clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

environment: .venv/ready  ## create the environment from requirements.lock, which the targets below also do

demo: .venv/ready  ## run one small study on synthetic images, on the CPU, and print the path of the front page
	@medgrid run --workflow-profile demo
	@echo "front page: $(CURDIR)/results/demo/report/index.html"
	@echo "more: \`make demo-all\` runs all five studies like this, 59 cells;"
	@echo "      \`$(BIN)/medgrid run -- $(DEMO)\` runs this one on its real images (README.md)"

demo-all: .venv/ready  ## run all five studies on synthetic images
	@medgrid run --workflow-profile demo -- $(STUDIES)
	@echo "front page: $(CURDIR)/results/demo/report/index.html"

test: .venv/ready  ## run the quick tests, after each edit: no whole runs, no browser, no SLURM
	@pytest $(WORKERS)

test-all: .venv/ready  ## run all tests; those on SLURM last and alone, since they would time out next to others
	@pytest $(WORKERS) -m "not slurm"
	@pytest -rs -m slurm tests/slurm

lint: .venv/ready  ## check style, format and types of code and rules
	@ruff check . && ruff format --check . && pyrefly check && snakefmt --check Snakefile workflow && python tests/lint.py

hooks: .venv/ready  ## check style and format of what changed before each commit (.pre-commit-config.yaml)
	@prek install

dry: .venv/ready  ## dry-run every study with every profile
	@for profile in workflow/profiles/*; do \
	  said=$$(medgrid run -n --workflow-profile "$$profile" -- studies 2>&1) || { echo "$$said"; exit 1; }; \
	  echo "$$profile: $$(echo "$$said" | awk '$$1 == "total" {print $$2; exit}') jobs"; done

format: .venv/ready  ## format the code
	@ruff check --fix . && ruff format . && snakefmt Snakefile workflow

schema: .venv/ready  ## write the JSON schema of params.yaml
	@medgrid schema > workflow/schemas/params.schema.json

bless: .venv/ready  ## record that changed code gives the same numbers, or that its version was raised
	@python tests/code_digests.py

check-claims: .venv/ready  ## compare the publications' claims with their own printed numbers: docs/claims_check.md
	@medgrid check-claims > docs/claims_check.md

dag: .venv/ready  ## draw the rules and their order as docs/rules.svg; needs graphviz
	@snakemake --quiet all --forceall --rulegraph dot -- histopathology_batch stroke_transfer audit_mri_stroke \
	  | tred | dot -Tsvg > docs/rules.svg

lock: .venv/ready  ## upgrade all packages in requirements.lock
	@$(UV) pip compile -q --universal --generate-hashes --no-annotate --no-header --extra dev \
	  --python-version 3.11 --upgrade pyproject.toml -o requirements.lock

clean:  ## remove the environment; results and data are kept
	rm -rf .venv .uv

.venv/ready: requirements.lock pyproject.toml | tools
	@echo "medgrid: creating .venv from requirements.lock" >&2
	@$(NEW_VENV)
	@VIRTUAL_ENV=$(CURDIR)/.venv $(UV) pip sync --quiet --require-hashes requirements.lock
	@$(INSTALL)
	@touch $@

cpu: | tools  ## create the environment with PyTorch's CPU build instead: a quarter of the size, no GPU
	@echo "medgrid: creating .venv with PyTorch for the CPU" >&2
	@$(NEW_VENV)
	@# everything in the lock except PyTorch and NVIDIA's libraries; then the same version of PyTorch from its own index
	@awk '/^[a-z]/ {left_out = /^(torch|torchvision|triton|nvidia-[^=]*|cuda-[^=]*)==/} !left_out' requirements.lock > .venv/cpu.lock
	@VIRTUAL_ENV=$(CURDIR)/.venv $(UV) pip install --quiet --no-deps --require-hashes -r .venv/cpu.lock
	@VIRTUAL_ENV=$(CURDIR)/.venv $(UV) pip install --quiet --torch-backend cpu \
	  $$(sed -nE 's/^(torch|torchvision)==([^ ]+).*/\1==\2/p' requirements.lock)
	@$(INSTALL)
	@touch .venv/ready

.PHONY: tools
tools:
	@command -v git > /dev/null || { echo "medgrid needs git: install it first" >&2; exit 1; }
	@command -v $(PYTHON) > /dev/null || { echo "medgrid needs python3 >= 3.11: install it first" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "medgrid needs python3 >= 3.11, and $(PYTHON) is $$($(PYTHON) -V); name another with PYTHON=…" >&2; exit 1; }
	@command -v uv > /dev/null || test -x .uv/bin/uv || { \
	  $(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || \
	    { echo "medgrid needs python3's venv: on Debian and Ubuntu, install python3-venv" >&2; exit 1; }; \
	  $(PYTHON) -m venv .uv && .uv/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION); }
