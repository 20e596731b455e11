# Everyday commands. CI runs these same recipes (.ci/run); `make` alone lists them.
# Needed beforehand: git, make, Python 3.11 and a Python package registry. Nothing outside this folder is written.

PYTHON ?= python3.11
BIN := .venv/bin
READY := .venv/.ready

# Contract and client come first: the core imports them.
PLUGINS := $(patsubst %/pyproject.toml,%,$(sort $(wildcard plugins/*/pyproject.toml)))
DISTRIBUTIONS := protos clients/python core $(PLUGINS)
MANIFESTS := $(addsuffix /pyproject.toml,$(DISTRIBUTIONS))

# What mypy reads in one run; the generated code counts by its stubs.
TYPED := $(wildcard core clients/python tests bench docs examples conftest.py)

# Caches stay inside the clone, too.
export UV_CACHE_DIR ?= $(CURDIR)/.cache/uv
export BUF_CACHE_DIR ?= $(CURDIR)/.cache/buf

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
	$(BIN)/python -m pip install --quiet --no-cache-dir --require-hashes -r requirements/uv.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation $(addprefix -e ,$(DISTRIBUTIONS))
	@touch $@

LOCK := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

.PHONY: lock
lock: $(READY) ## Resolve the pinned requirements anew (after a change in a pyproject.toml or requirements/*.in)
	$(BIN)/uv pip compile --quiet $(LOCK) requirements/uv.in -o requirements/uv.txt
	$(BIN)/uv pip compile --quiet $(LOCK) requirements/dev.in $(MANIFESTS) -o requirements/dev.txt

.PHONY: clean
clean: ## Remove .venv, caches and build output
	rm -rf .venv build dist .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

##@ Run

.PHONY: demo
demo: $(READY) ## A daemon with a paper exchange and a bot, in this terminal, for about a minute
	$(BIN)/quarterdeck demo

.PHONY: bench
bench: $(READY) ## Measure against a bare server in the same run: a table and JSON
	$(BIN)/python -m bench

.PHONY: sim
sim: $(READY) ## Run the core in fresh simulated worlds where everything fails, for two minutes
	$(BIN)/quarterdeck simulate --limit 120

.PHONY: mutants
mutants: $(READY) ## Plant faults in the core, each of which the simulation has to find
	$(BIN)/python -m pytest -q -rP core/tests/simulation/test_mutants.py

##@ Check

.PHONY: test
test: $(READY) ## All tests, three at once: many of them wait. What fails beside others is tried once more, alone
	$(BIN)/python -m pytest -q -n 3 --dist loadfile || { [ $$? -eq 1 ] && $(BIN)/python -m pytest -q --last-failed; }

.PHONY: faults
faults: $(READY) ## Kill real daemons at every failpoint and take their disks away: minutes, not part of `test`
	QUARTERDECK_FAULTS=1 $(BIN)/python -m pytest -q tests/faults

MINUTES ?= 10

.PHONY: soak
soak: $(READY) ## The daemon on a simulated Bybit while everything fails at random, for MINUTES; SEED repeats one
	$(BIN)/python -m tests.soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

.PHONY: lint
lint: $(READY) ## Style, format, import rules, contract rules, contract compatibility with main
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code --path protos/quarterdeck
	@base=$$(git rev-parse --verify --quiet origin/main || git rev-parse --verify main) && \
	if git cat-file -e $$base:protos/quarterdeck 2>/dev/null; then \
		echo $(BIN)/buf breaking --against $$base; \
		$(BIN)/buf breaking --against "$$(git rev-parse --git-common-dir)#ref=$$base"; \
	else echo "buf breaking: main has no contract yet"; fi

.PHONY: types
types: $(READY) ## mypy --strict over everything; plugin by plugin, because each has a `tests` folder of the same name
	$(BIN)/mypy $(TYPED)
	@for plugin in $(PLUGINS); do echo $(BIN)/mypy $$plugin; $(BIN)/mypy $$plugin || exit 1; done

.PHONY: format
format: $(READY) ## Mend what can be mended: format, import order, safe fixes
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .
	$(BIN)/buf format --write --path protos/quarterdeck

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
