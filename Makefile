# Everyday commands. CI runs these same recipes (.ci/run); `make` alone lists them.
# Needed beforehand: git, make, Python 3.11 and a Python package registry. Nothing outside this folder is written.

PYTHON ?= python3.11
BIN := .venv/bin
READY := .venv/.ready

# Contract and client come first: the core imports them.
DISTRIBUTIONS := protos clients/python core $(patsubst %/pyproject.toml,%,$(sort $(wildcard plugins/*/pyproject.toml)))
MANIFESTS := $(addsuffix /pyproject.toml,$(DISTRIBUTIONS))

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

##@ Set up

.PHONY: help
help: ## List the commands
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(READY) ## Create .venv with pinned tools and every distribution, editable

$(READY): requirements/uv.txt requirements/dev.txt $(MANIFESTS)
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/uv.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation $(addprefix -e ,$(DISTRIBUTIONS))
	@touch $@

.PHONY: lock
lock: ## Resolve the pinned requirements anew (after changing a pyproject.toml or requirements/*.in)
	$(BIN)/uv pip compile --quiet $(LOCK) requirements/uv.in -o requirements/uv.txt
	$(BIN)/uv pip compile --quiet $(LOCK) requirements/dev.in $(MANIFESTS) -o requirements/dev.txt

LOCK := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

##@ Contract

.PHONY: gen
gen: $(READY) ## Generate Python, type stubs and protos/api.txtpb from the .proto files
	@rm -rf build/gen
	protos/generate.sh build/gen
	find protos/src -name '*_pb2*' -type f -delete
	cp -R build/gen/. protos/

.PHONY: gen-check
gen-check: $(READY) ## Fail if the committed generated files differ from what the .proto files give
	@rm -rf build/gen-check
	protos/generate.sh build/gen-check
	diff -r -x __init__.py -x py.typed -x __pycache__ build/gen-check/src protos/src
	diff build/gen-check/api.txtpb protos/api.txtpb
