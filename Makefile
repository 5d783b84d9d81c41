# Everything is done by these targets, here and in CI. The environment in .venv is made, and made again, as its inputs change.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# Images of containers often set it: then each process that a test starts would compile all our modules anew, and so each that runs tests.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
PYTHON := $(VENV)/bin/python
SETUP := $(VENV)/.s3o-setup
MEMBERS := crds operator proxy
# Tests wait more than they compute, so four for two processors. Files stay whole, for what their tests share, and in order: the long ones first.
JOBS ?= 4
AT_ONCE := --numprocesses=$(JOBS) --dist=loadfile --no-loadscope-reorder

##@ Use

.PHONY: help
help: ## Show this
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: setup ## Serve config/local on 127.0.0.1:9000 with three S3 servers behind; Ctrl-C ends it, .run/ keeps the data
	@exec $(PYTHON) -m hack.run $(ARGS)

.PHONY: cluster
cluster: ## Bring up everything on the cluster of kind (KUBECONFIG, or where kubectl looks), or on a local one that it starts
	@hack/kube/up

.PHONY: cluster-down
cluster-down: ## End the local cluster, with everything in it
	@hack/kube/up down

##@ Check

.PHONY: test
test: setup ## Run all tests, JOBS files at a time; T=PATH or T="PATH -k WORD" runs some, one by one
	@export KUBEBUILDER_ASSETS="$$(hack/kube/assets || true)"; $(PYTHON) -m pytest $(or $(T),$(AT_ONCE))

.PHONY: e2e
e2e: setup ## Run e2e/ on the cluster of KUBECONFIG, or on the local one; T=e2e/FILE runs some
	@[ -n "$${KUBECONFIG:-}" ] || eval "$$(hack/kube/up env)"; $(PYTHON) -m pytest $(or $(T),e2e)

.PHONY: lint
lint: setup ## Style, formatting, types, import rules, and generated files that are not current
	@status=0; \
	  $(VENV)/bin/ruff check || status=1; \
	  $(VENV)/bin/ruff format --check || status=1; \
	  $(VENV)/bin/mypy || status=1; \
	  $(VENV)/bin/lint-imports || status=1; \
	  $(PYTHON) -m s3o_crds.crdgen --check || status=1; \
	  $(PYTHON) -m hack.charts --check || status=1; \
	  exit $$status

.PHONY: bench
bench: setup ## What an operation costs, beside nginx over the same stub; ARGS=... are its own
	@$(PYTHON) hack/bench/bench.py $(ARGS)

.PHONY: profile
profile: setup ## A flame graph of one operation, into profile-CASE.svg: CASE=get4k, put4k, …; ARGS=... are its own
	@$(PYTHON) hack/bench/profile.py $(or $(CASE),get4k) $(ARGS)

.PHONY: soak
soak: setup ## A mixed load on two proxies that are killed all the time, and nothing lost; ARGS=... are its own
	@exec $(PYTHON) -m hack.soak $(ARGS)

.PHONY: scale
scale: setup ## What 1,000 buckets cost the operator, on an API server of its own; ARGS=... are its own
	@export KUBEBUILDER_ASSETS="$$(hack/kube/assets)"; $(PYTHON) hack/kube/scale.py $(ARGS)

##@ Develop

.PHONY: setup
setup: $(SETUP) ## Make .venv: the pinned packages and the three members (other targets do it by themselves)
	@:

$(SETUP): constraints.txt requirements-dev.in $(MEMBERS:%=%/pyproject.toml)
	@hack/setup.sh $(VENV) $(MEMBERS)
	@touch $@

.PHONY: format
format: setup ## Format the Python files
	@$(VENV)/bin/ruff format
	@$(VENV)/bin/ruff check --select I --fix

.PHONY: generate
generate: setup ## Make CRDs, editor schemas and docs/reference/api.md from the models, and what charts/ repeats of them and of config/rbac
	@$(PYTHON) -m s3o_crds.crdgen --write
	@$(PYTHON) -m hack.charts --write

.PHONY: lock
lock: setup ## Pin what is asked for in constraints.txt, and what each image needs in requirements-*.txt; ARGS=--upgrade takes newer versions
	@$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	  --custom-compile-command "make lock" \
	  $(MEMBERS:%=--no-emit-package s3o-%) $(ARGS) requirements-dev.in --output-file constraints.txt
	@for member in operator proxy; do \
	  printf './crds\n./%s\n' $$member | $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	    --custom-compile-command "make lock" $(MEMBERS:%=--no-emit-package s3o-%) --constraints constraints.txt - --output-file requirements-$$member.txt; \
	done
