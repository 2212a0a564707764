# make help says what there is. With GROUP0_CACHE set, build output lives under it instead of in the checkout.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

ifdef GROUP0_CACHE
export CARGO_TARGET_DIR ?= $(GROUP0_CACHE)/target
export GROUP0_CACHE
endif
# Cargo always gets the whole workspace: with another selection dependencies have other features and are built once more.
# release gives the figures of a fully optimised node, and takes longer to build.
PROFILE ?= dev
CARGO ?= cargo

.PHONY: help
help: ## say what there is
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

.PHONY: build
build: ## build both programs and the demo
	$(CARGO) build --profile $(PROFILE) --workspace --bins --examples

.PHONY: demo
demo: build ## three nodes are upgraded to group 0 under a client that changes the schema
	$(or $(CARGO_TARGET_DIR),target)/$(PROFILE:dev=debug)/examples/demo

.PHONY: demo-recovery
demo-recovery: build ## five nodes lose one in the middle of the upgrade, then a majority, and are brought back
	$(or $(CARGO_TARGET_DIR),target)/$(PROFILE:dev=debug)/examples/demo-recovery

.PHONY: test
test: verify unit ## everything this machine can check; says what it skipped

.PHONY: unit
unit: ## all tests of the workspace, documentation and clients included
	$(CARGO) test --workspace

.PHONY: verify
verify: format lint doc tidy deny charts ## format, lints, documentation, shape, generated files

.PHONY: format lint doc tidy deny charts
format:
	$(CARGO) fmt --all --check
lint:
	$(CARGO) clippy --workspace --all-targets --quiet -- -D warnings
doc:
	RUSTDOCFLAGS='-D warnings -A rustdoc::private_intra_doc_links' $(CARGO) doc --workspace --no-deps --document-private-items --quiet
tidy:
	$(CARGO) test --quiet --workspace --test tidy
deny:
	@if command -v cargo-deny >/dev/null; then cargo deny --offline check bans licenses sources; \
	else echo 'skipped: cargo deny, it is not installed (cargo install cargo-deny)'; fi

HELM = $(or $(shell command -v helm),$(wildcard $(or $(GROUP0_CACHE),$(HOME)/.cache/group0)/cluster/bin/helm))
charts:
	@if [ -n '$(HELM)' ]; then charts/check '$(HELM)'; \
	else echo 'skipped: the charts, helm is not installed (tests/cluster/tools helm)'; fi

.PHONY: generate
generate: build ## write the generated files anew (crds/)
	$(or $(CARGO_TARGET_DIR),target)/$(PROFILE:dev=debug)/group0-operator crd --dir crds

.PHONY: clients
clients: ## cqlsh (two kinds) and the Python driver against an upgrading cluster
	GROUP0_NEED_CLIENTS=1 $(CARGO) test --workspace --test clients -- --nocapture

.PHONY: crash
crash: ## kill a node at each persisted step, before and after, those of the upgrade ROUNDS times each
	GROUP0_CRASH_ROUNDS=$(or $(ROUNDS),5) $(CARGO) test --workspace --test crash -- --nocapture

.PHONY: linear
linear: ## kill real nodes at random under clients, and hold what those were told against the history: RUNS clusters
	GROUP0_LINEAR_RUNS=$(or $(RUNS),10) $(CARGO) test --workspace --test linear -- --nocapture

.PHONY: resume
resume: ## kill the operator again and again during an upgrade, and go on from its journal: ROUNDS upgrades
	GROUP0_RESUME_ROUNDS=$(or $(ROUNDS),50) $(CARGO) test --workspace --test steer -- --nocapture a_killed_operator

.PHONY: idle
idle: ## OBJECTS upgrades over as many clusters, all complete, for SECONDS: nothing is written, and what the operator has in memory
	GROUP0_NEED_CLUSTER=1 GROUP0_IDLE_OBJECTS=$(or $(OBJECTS),100) GROUP0_IDLE_SECONDS=$(or $(SECONDS),300) \
	$(CARGO) test --workspace --test operator -- --nocapture complete_cost_no_write

.PHONY: sim
sim: ## whole clusters in simulated worlds: SEEDS=n [FIRST_SEED=m], SEED=n, KILL=world:m or STORY=n [LOG=1]; WITHOUT=fault,… makes worlds smaller, all have WITH=fault,…
	@KILL='$(KILL)' STORY='$(STORY)' SEEDS='$(SEEDS)' FIRST_SEED='$(FIRST_SEED)' SEED='$(SEED)' LOG='$(LOG)' WITH='$(WITH)' WITHOUT='$(WITHOUT)' NODES='$(NODES)' CHANGES='$(CHANGES)' \
	$(CARGO) test --quiet --workspace --test sim

.PHONY: mutants
mutants: ## plant one bug after the other in operator and node, and expect each to be caught; MUTANT=name for one, MUTANT=--list for the table
	tests/mutants/run $(MUTANT)

.PHONY: coverage
coverage: ## which share of the lines of core and planner the suite reaches, file by file; SEEDS=n simulated worlds (20), MISSED=1 which not
	SEEDS=$(or $(SEEDS),20) MISSED='$(MISSED)' tests/coverage

# Release: what tests run on a cluster is what users get. PROFILE=dev makes images sooner.
IMAGES = $(or $(CARGO_TARGET_DIR),target)/images
VERSION = $(shell sed -n '/^version/{s/.*"\(.*\)"/\1/p;q}' Cargo.toml)
.PHONY: images
images: PROFILE = release
images: build ## both images as archives, as the Dockerfile makes them, without Docker
	@mkdir -p $(IMAGES)
	@for program in group0-node group0-operator; do \
	images/archive $(or $(CARGO_TARGET_DIR),target)/$(PROFILE:dev=debug)/$$program $$program:$(VERSION) $(IMAGES)/$$program.tar; done

.PHONY: kind kind-down
kind: images ## a Kubernetes cluster of three workers with both images loaded, with or without Docker; says how to reach it
	tests/cluster/up $(IMAGES)/group0-node.tar $(IMAGES)/group0-operator.tar
kind-down: ## remove it; nothing but the cache is left
	tests/cluster/down

# make e2e-all is every story. STORIES='paused drained' chooses.
.PHONY: e2e e2e-all
e2e: images ## a cluster of pods in kind is upgraded by the charts, under a client; STORIES=… for other stories than the plain one
	CARGO_TARGET_DIR=$(abspath $(IMAGES)/..)/e2e-client $(CARGO) build --profile $(PROFILE) --manifest-path tests/e2e/client/Cargo.toml
	images/archive $(IMAGES)/../e2e-client/$(PROFILE:dev=debug)/group0-e2e-client group0-e2e-client:$(VERSION) $(IMAGES)/group0-e2e-client.tar
	IMAGES=$(IMAGES) tests/e2e/run $(STORIES)
e2e-all: STORIES = all
e2e-all: e2e ## the same with everything in between that tests/e2e/stories has

.PHONY: clean
clean: ## remove build output and what the demo left
	$(CARGO) clean
	rm -rf demo
