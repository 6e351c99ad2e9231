# make help lists the targets.
PYTHON ?= python3
UV_VERSION = 0.13.8
BIN = .venv/bin
UV = $(shell command -v uv || echo .uv/bin/uv)
# jobs find `medgrid` and `snakemake` here, without an activated environment
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help demo test lint format lock schema bless clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: .venv/ready  ## run the five studies on synthetic images, small, on the CPU; prints the path of the front page
	@medgrid run --workflow-profile demo
	@echo "$(CURDIR)/results/demo/index.html"

test: .venv/ready  ## run the tests
	@pytest -n auto

lint: .venv/ready  ## check style and format
	@ruff check . && ruff format --check . && snakefmt --check Snakefile workflow

format: .venv/ready  ## format the code
	@ruff check --fix . && ruff format . && snakefmt Snakefile workflow

schema: .venv/ready  ## write the JSON schema of params.yaml
	@medgrid schema > workflow/schemas/params.schema.json

bless: .venv/ready  ## note that changed code gives the same numbers, or that its version was bumped
	@python tests/code_digests.py

lock: .venv/ready  ## resolve requirements.lock anew
	@$(UV) pip compile -q --universal --generate-hashes --no-annotate --no-header --extra dev \
	  --python-version 3.11 --upgrade pyproject.toml -o requirements.lock

clean:  ## remove the environment; results and data stay
	rm -rf .venv .uv

.venv/ready: requirements.lock pyproject.toml
	@command -v git > /dev/null || { echo "medgrid needs git: install it first" >&2; exit 1; }
	@command -v $(PYTHON) > /dev/null || { echo "medgrid needs python3 >= 3.11: install it first" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "medgrid needs python3 >= 3.11, and $(PYTHON) is $$($(PYTHON) -V); name another with PYTHON=…" >&2; exit 1; }
	@command -v uv > /dev/null || test -x .uv/bin/uv || { \
	  $(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || \
	    { echo "medgrid needs python3's venv: on Debian and Ubuntu, install python3-venv" >&2; exit 1; }; \
	  $(PYTHON) -m venv .uv && .uv/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION); }
	@echo "medgrid: creating .venv from requirements.lock" >&2
	@rm -rf .venv
	@$(UV) venv --quiet --no-python-downloads --python "$$(command -v $(PYTHON))" .venv
	@VIRTUAL_ENV=$(CURDIR)/.venv $(UV) pip sync --quiet --require-hashes requirements.lock
	@VIRTUAL_ENV=$(CURDIR)/.venv $(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
