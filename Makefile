# The commands of the project. `make serve` and `make test` work on a fresh clone.
VENV ?= .venv
PY := $(VENV)/bin/python
INSTALL := $(PY) -m pip install --quiet
STEP := sh tools/step.sh
STAMP := $(VENV)/.installed
TOGETHER := -n 2 --dist loadfile
SOURCES := pyproject.toml CMakeLists.txt $(shell find native -name '*.cpp' -o -name '*.h' -o -name 'CMakeLists.txt')
MODEL ?= smollm2-135m
HOST ?= 127.0.0.1
PORT ?= 8000

.PHONY: serve test test-full check format wheel golden bench clean
.DEFAULT_GOAL := help
help:
	@echo "make serve      set up and serve $(MODEL) at http://$(HOST):$(PORT)"
	@echo "make test       the fast suite: unit, property, wire, golden"
	@echo "make test-full  adds live oracles, sanitizers, emulation and the browser"
	@echo "make check      format, lint, types, then make test"
	@echo "make wheel      a manylinux wheel, tried in a venv without a compiler"
	@echo "make golden     regenerate the golden files with torch and transformers"
	@echo "make bench      beside llama.cpp, OpenVINO GenAI and onnxruntime-genai"

$(PY):
	@command -v python3 >/dev/null || { echo "Python 3.11 or newer is needed: install python3 and python3-venv."; exit 1; }
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; this is $$(python3 --version)."; exit 1; }
	@$(STEP) "1/3 Making a Python environment in $(VENV) (10 s)" sh -c "python3 -m venv $(VENV) && \
	    $(INSTALL) --upgrade 'pip>=25.1'"

$(STAMP): $(PY) $(SOURCES)
	@command -v c++ >/dev/null || { echo "A C++20 compiler is needed to build from source: apt-get install g++ cmake (or install a wheel)."; exit 1; }
	@$(STEP) "2/3 Fetching what builds it (10 s)" $(INSTALL) 'scikit-build-core>=1.1' 'nanobind>=3.1' 'cmake>=3.25' ninja
	@$(STEP) "3/3 Building the engine, fetching what it needs (2 min)" $(INSTALL) --no-build-isolation --editable '.[png]'
	@echo "Done. In another terminal, '. $(VENV)/bin/activate' makes undiced a command."
	@touch $@

$(VENV)/.test: $(STAMP)
	@$(STEP) "Fetching what the tests need (1 min)" $(INSTALL) --no-build-isolation --editable '.[test]'
	@touch $@

$(VENV)/.postgres: $(VENV)/.test
	@sh tests/postgres.sh
	@touch $@

$(VENV)/.oracle: $(VENV)/.test
	@$(STEP) "Fetching what the tests compare with (minutes)" $(INSTALL) --no-build-isolation --editable '.[oracle]'
	@touch $@

serve: $(STAMP)
	@exec $(VENV)/bin/undiced serve $(MODEL) --host $(HOST) --port $(PORT)

test: $(VENV)/.postgres
	$(PY) -m pytest $(TOGETHER) $(ARGS)

test-full: $(VENV)/.oracle
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" VENV=$(VENV) sh tests/full.sh

check: $(VENV)/.postgres
	$(VENV)/bin/ruff format --check src tests benchmarks examples
	$(VENV)/bin/ruff check src tests benchmarks examples
	$(VENV)/bin/mypy
	find native -name '*.cpp' -o -name '*.h' | xargs $(VENV)/bin/clang-format --dry-run --Werror
	$(PY) -m pytest $(TOGETHER) $(ARGS)

format: $(VENV)/.test
	$(VENV)/bin/ruff format src tests benchmarks examples
	$(VENV)/bin/ruff check --fix src tests benchmarks examples
	find native -name '*.cpp' -o -name '*.h' | xargs $(VENV)/bin/clang-format -i

golden: $(VENV)/.oracle
	$(PY) tests/oracle/golden.py

bench: $(STAMP)
	$(PY) benchmarks/peers.py

wheel:
	sh tools/wheel.sh

clean:
	rm -rf build dist $(VENV)
