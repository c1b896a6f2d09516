# The project's chores.  `make run` and `make test` need nothing but gcc, make and python3 with venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SHIM_SOURCES := setup.py $(wildcard csrc/*.c csrc/*.h csrc/*.py)
C_SOURCES := $(wildcard csrc/*.c csrc/*.h benchmarks/*.c guests/*/*.c guests/*/*.h)
PYTEST_ARGS ?=
FUZZ_GUESTS ?= 100000
FUZZ_CONTROLLERS ?= 2000
SVM_ARGS ?=
FUZZ_ACCESSES ?= 1000000
FUZZ_PACKETS ?= 100000
FUZZ_PROGRAMS ?= 20000

.PHONY: run test test-svm hosts check fuzz bench bench-linux bench-recorder bench-peers guests lint types c-format c-warnings reproducible clean help

run: $(INSTALLED) guests ## greet from a guest
	@$(BIN)/pykvm run guests/hello.bin

test: $(INSTALLED) guests ## run all tests
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

test-svm: $(INSTALLED) guests ## run the tests that need KVM on an emulated processor with SVM
	@$(BIN)/python -m tests.svm.suite $(SVM_ARGS)

hosts: $(INSTALLED) ## write the table of hosts in docs/testing.md from docs/hosts
	@$(BIN)/python -m tests.support.hosts

check: lint types c-format c-warnings reproducible ## style, types, warnings, reproducible guests

fuzz: $(INSTALLED) ## FUZZ_GUESTS random guests, FUZZ_CONTROLLERS that are interrupted; FUZZ_ACCESSES to each device; FUZZ_PACKETS from debuggers; FUZZ_PROGRAMS under KVM and emulation
	@PYKVM_FUZZ_GUESTS=$(FUZZ_GUESTS) $(BIN)/python -m pytest -q -s --timeout 0 tests/kvm/test_random_guests.py
	@PYKVM_FUZZ_CONTROLLERS=$(FUZZ_CONTROLLERS) $(BIN)/python -m pytest -q -s --timeout 0 tests/kvm/test_random_controllers.py
	@PYKVM_FUZZ_ACCESSES=$(FUZZ_ACCESSES) $(BIN)/python -m pytest -q tests/unit/devices/test_random_access*.py
	@PYKVM_FUZZ_PACKETS=$(FUZZ_PACKETS) $(BIN)/python -m pytest -q --timeout 0 -k random_packets tests/unit/gdb/test_fuzz.py tests/kvm/test_gdb_server.py
	@PYKVM_FUZZ_PROGRAMS=$(FUZZ_PROGRAMS) $(BIN)/python -m pytest -q -s --timeout 0 tests/oracle/test_fuzz.py

bench: $(INSTALLED) guests ## measure the ratios of benchmarks/README.md
	@$(BIN)/python benchmarks/loop_ratio.py
	@$(BIN)/python benchmarks/start_ratio.py

bench-recorder: $(INSTALLED) guests ## measure what recording exits costs
	@$(BIN)/python benchmarks/recorder_ratio.py

bench-peers: $(INSTALLED) guests ## compare with QEMU and bare loops; writes the table in benchmarks/README.md
	@$(BIN)/python benchmarks/peers.py --markdown

bench-linux: $(INSTALLED) ## time Linux to /init against QEMU's, on an emulated processor with SVM
	@$(BIN)/python -m tests.svm -- env PYTHONPATH=. $(BIN)/python benchmarks/linux_boot.py

guests:
	@$(MAKE) -s -C guests

lint: $(INSTALLED)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(INSTALLED)
	@$(BIN)/mypy

c-format: $(INSTALLED)
	@$(BIN)/clang-format --dry-run --Werror $(C_SOURCES)

c-warnings: $(INSTALLED)
	@CFLAGS="-Wall -Wextra -Werror" $(BIN)/python setup.py -q build_ext --force \
		--build-temp build/warnings --build-lib build/warnings

reproducible:
	@$(MAKE) -s -C guests check

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "pykvm needs Python 3.11 or newer")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --upgrade pip setuptools

# an editable install builds the extension in place; again only when its sources changed
$(INSTALLED): pyproject.toml $(SHIM_SOURCES) | $(VENV)/bin/python
	@echo "installing pykvm into $(VENV)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@

clean: ## remove everything that was built
	@$(MAKE) -s -C guests clean
	@rm -rf $(VENV) build dist *.egg-info pykvm/_shim*.so pykvm/_shim.c .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -prune -exec rm -rf {} +

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 13
