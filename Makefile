# make demo    two real calls on this machine          make test    every test, real peers included
# Both set up what they need; a second run starts in seconds. `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# The first Python that is new enough.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3; do \
	$$name -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' 2>/dev/null && { command -v $$name; break; }; done)

export PATH := $(PATH):$(HOME)/.cargo/bin
VENV := .venv
SYNAPSE := .venv-synapse
FUZZ_COUNT ?= 1000000
FUZZ_SECONDS ?= 60
PAGE := tests/e2e/browser
NATIVE := bridge/media/native
NATIVE_RUST := 1.85.0
BIN := $(VENV)/bin
# One line for each package while pip works, errors in full.
PIP_PROGRESS := | awk '/^Collecting/ { printf "    %s\n", $$2; fflush() }'
PIP_INSTALL := -m pip --disable-pip-version-check install --no-input

.PHONY: help demo test lint bench fuzz deb clean setup setup-demo peers

help: ## What can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: setup-demo ## Carry two calls between a Matrix user and a phone, then stay up (ONCE=1: end after the calls)
	@ONCE="$(ONCE)" $(BIN)/python -m deploy.demo

test: setup lint ## Run every test, against real peers (installs them as root, else says what is missing)
	@echo "==> Running the tests"
	@[[ ! -e $(VENV)/.native-installed ]] || (cd $(NATIVE) && cargo test --release --lib --quiet && \
		cargo test --release --lib --quiet --manifest-path fuzz/Cargo.toml)
	@tests/side_by_side.sh --durations=10

lint: $(VENV)/.tests-installed ## Check style, types and import directions
	@echo "==> Checking style, types and imports"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@! command -v rustfmt >/dev/null || (cd $(NATIVE) && cargo fmt --check && cargo fmt --check --manifest-path fuzz/Cargo.toml)
	@! command -v cargo-clippy >/dev/null || (cd $(NATIVE) && cargo clippy --quiet --release --lib --features python -- -D warnings)

bench: $(VENV)/.bench-installed ## Measure beside other packages, print, and write .bench/*.json
	@$(BIN)/python -m tests.bench

fuzz: $(VENV)/.tests-installed ## Throw FUZZ_COUNT damaged messages at the parser, fewer at the rest; packets for FUZZ_SECONDS a target
	@echo "==> The parser"
	@$(BIN)/python -m tests.fuzz.sip_messages --count $(FUZZ_COUNT)
	@echo "==> The user agent, in the middle of its calls"
	@$(BIN)/python -m tests.fuzz.sip_user_agent --count $$(( $(FUZZ_COUNT) / 5 ))
	@echo "==> Call events of clients"
	@$(BIN)/python -m tests.fuzz.matrix_calls --count $$(( $(FUZZ_COUNT) / 10 ))
	@echo "==> Descriptions of calls, and datagrams at the WebRTC ports"
	@$(BIN)/python -m tests.fuzz.descriptions --count $$(( $(FUZZ_COUNT) / 5 ))
	@if $(BIN)/python -c 'import atheris' 2>/dev/null; then \
		$(BIN)/python -m tests.fuzz.guided_descriptions .cache/descriptions -max_total_time=$(FUZZ_SECONDS) -verbosity=0; \
	else echo "Skipped: what is guided by coverage needs atheris ($(BIN)/pip install atheris)"; fi
	@$(BIN)/python -m tests.fuzz.webrtc_ports --count $$(( $(FUZZ_COUNT) / 2 ))
	@tests/fuzz/packet_path.sh $(FUZZ_SECONDS)
	@echo "==> Property tests"
	@HYPOTHESIS_PROFILE=fuzz FUZZ_EXAMPLES=$$(( $(FUZZ_COUNT) / 50 )) $(BIN)/pytest -m hypothesis

deb: $(VENV)/.installed ## Build a Debian package for this machine's release, into .dist/
	@mkdir -p .dist
	@PIP="$(BIN)/python -m pip" deploy/debian/build.sh .dist

clean: ## Remove everything that make made
	rm -rf $(VENV) $(SYNAPSE) $(PAGE)/node_modules $(NATIVE)/target $(NATIVE)/fuzz/target .demo .bench .test .dist .cache .hypothesis .mypy_cache .ruff_cache

setup: peers $(VENV)/.tests-installed $(VENV)/.native-installed $(SYNAPSE)/.installed $(PAGE)/node_modules/.installed

setup-demo: $(VENV)/.installed $(VENV)/.native-installed $(SYNAPSE)/.installed

peers:
	@tests/peers/install.sh

$(VENV)/bin/python $(SYNAPSE)/bin/python:
	@[[ -n "$(PYTHON)" ]] || { echo "Python 3.11 or newer is needed (Debian 12: apt-get install python3 python3-venv)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
		[[ $$(id -u) -eq 0 && -n "$$(command -v apt-get)" ]] || \
			{ echo "$(PYTHON) cannot make virtual environments: sudo apt-get install -y python3-venv" >&2; exit 1; }; \
		echo "==> Installing python3-venv"; \
		export DEBIAN_FRONTEND=noninteractive; \
		apt-get -o DPkg::Lock::Timeout=900 update -qq; \
		apt-get -o DPkg::Lock::Timeout=900 install -y -qq python3-venv; }
	@echo "==> Making a virtual environment in $(@:/bin/python=)"
	@$(PYTHON) -m venv $(@:/bin/python=)

$(VENV)/.installed: pyproject.toml tests/requirements.lock | $(VENV)/bin/python
	@echo "==> Installing Trunkline"
	@$(BIN)/python $(PIP_INSTALL) -c tests/requirements.lock -e . $(PIP_PROGRESS)
	@touch $@

$(VENV)/.tests-installed: $(VENV)/.installed
	@echo "==> Installing what the tests import"
	@$(BIN)/python $(PIP_INSTALL) -c tests/requirements.lock -e '.[test]' $(PIP_PROGRESS)
	@touch $@

# Without Rust nothing is missing but speed, so its absence is told and no error; a build that fails is one.
$(VENV)/.native-installed: $(wildcard $(NATIVE)/src/* $(NATIVE)/*.pyi) $(NATIVE)/Cargo.toml $(NATIVE)/Cargo.lock $(NATIVE)/pyproject.toml | $(VENV)/.installed
	@if rustc --version 2>/dev/null | awk '{ print $$2; print "$(NATIVE_RUST)" }' | sort -rVC && command -v cargo >/dev/null; then \
		echo "==> Building the native packet path" && \
		$(BIN)/python $(PIP_INSTALL) ./$(NATIVE) $(PIP_PROGRESS) && touch $@; \
	else echo "==> No Rust $(NATIVE_RUST) or newer here: the portable packet path carries the audio"; fi

$(VENV)/.bench-installed: $(VENV)/.tests-installed
	@echo "==> Installing the packages that the benchmarks compare with"
	@$(BIN)/python $(PIP_INSTALL) -c tests/requirements.lock -e '.[bench]' $(PIP_PROGRESS)
	@$(BIN)/python $(PIP_INSTALL) -c tests/requirements.lock -e '.[quality]' $(PIP_PROGRESS) || \
		echo "==> PESQ cannot be built here: speech gets no score"
	@touch $@

$(SYNAPSE)/.installed: deploy/demo/synapse.lock | $(SYNAPSE)/bin/python
	@echo "==> Installing Synapse, a Matrix homeserver"
	@$(SYNAPSE)/bin/python $(PIP_INSTALL) -c deploy/demo/synapse.lock matrix-synapse $(PIP_PROGRESS)
	@touch $@

$(PAGE)/node_modules/.installed: $(PAGE)/package.json $(PAGE)/package-lock.json | peers
	@echo "==> Installing the packages of the test page"
	@cd $(PAGE) && npm ci --ignore-scripts --no-fund --no-audit --loglevel=error
	@touch $@
