# Two commands do everything: `make demo` and `make test`. Both make the environment first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help install demo test test-slow test-all fuzz matrix lowest mutants bench docs audit check format lint types clean

help:
	@echo "make demo     the main job on real prices, with a report at the end"
	@echo "make test     the tests, in a few minutes, on all cores"
	@echo "make test-all the slow ones as well: what continuous integration runs"
	@echo "make fuzz     damaged files and random command lines, ten thousand of each"
	@echo "make matrix   the tests under each of Python 3.11 to 3.13"
	@echo "make lowest   the tests with the oldest versions that pyproject.toml allows"
	@echo "make bench    run a benchmark, BENCH=bench_env, and keep its figures in benchmarks/history.jsonl"
	@echo "make docs     the site of the documentation, in build/site"
	@echo "make mutants  faults planted by a tool, MODULE=splits: do the tests notice?"
	@echo "make audit    known vulnerabilities of the installed packages; needs the internet"
	@echo "make check    format, lint, types, tests"
	@echo "make install  only the environment in $(VENV)"

# torch is installed first and by itself, so that no other package chooses its build.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "alfred needs Python 3.11 or newer; name one with make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt torch==2.13.0
	$(BIN)/pip install --quiet -c constraints.txt -e '.[all,dev]'
	@touch $@

install: $(VENV)/.installed

demo: install
	$(BIN)/alfred demo

# Each process keeps to one thread: more add up floats in another order, and there is one process a core.
test: install
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadscope

test-slow: install
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadscope -m "slow and not network and not pretrained and not gpu"

test-all: test test-slow

# Ten thousand cases a surface; a failure prints the case that it was shrunk to.
fuzz: install
	OMP_NUM_THREADS=1 ALFRED_FUZZ_CASES=10000 $(BIN)/pytest -n auto --durations=0 tests/fuzz

# One environment a version, each with the tests; name the interpreters that are not on the path:
# make matrix PYTHONS="/opt/python3.12 /opt/python3.13"
PYTHONS ?= python3.11 python3.12 python3.13
matrix:
	@for python in $(PYTHONS); do \
	  $(MAKE) test PYTHON=$$python VENV=.venv-$$($$python -c 'import sys; print("%d.%d" % sys.version_info[:2])') || exit 1; \
	done

# pip cannot choose the oldest versions; uv can. UV_EXTRA_INDEX_URL and its kin say where packages lie, if not at the usual place.
lowest:
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/pip install --quiet uv
	.venv-lowest/bin/uv pip install --quiet --python .venv-lowest/bin/python --index-strategy unsafe-best-match \
	  --resolution lowest-direct torch==2.13.0 -e '.[all,dev]'
	OMP_NUM_THREADS=1 .venv-lowest/bin/pytest -n auto --dist loadscope

BENCH ?= bench_env
bench: install
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/record.py $(BENCH)

docs: install
	$(BIN)/python docs/build.py

format: install
	$(BIN)/ruff format --check .

lint: install
	$(BIN)/ruff check .

types: install
	$(BIN)/mypy
	$(BIN)/mypy --config-file= --ignore-missing-imports --follow-imports=silent examples benchmarks docs

# Slow: hours for all of them, so name one: make mutants MODULE=splits. Configurations stand in tests/mutants.
MODULE ?= splits
mutants: install
	$(BIN)/pip install --quiet -c constraints.txt -e '.[mutants]'
	rm -rf build/mutants && mkdir -p build/mutants && git archive HEAD | tar x -C build/mutants
	cd build/mutants && export PATH="$(CURDIR)/$(BIN):$$PATH" PYTHONPATH=. OMP_NUM_THREADS=1 NUMBA_DISABLE_JIT=1 && \
	  cosmic-ray init tests/mutants/$(MODULE).toml session.sqlite && \
	  cr-filter-operators session.sqlite tests/mutants/$(MODULE).toml && \
	  cosmic-ray exec tests/mutants/$(MODULE).toml session.sqlite && \
	  cr-report --show-pending session.sqlite | grep -B 30 SURVIVED ; cr-rate session.sqlite

# pip-audit stands in an environment of its own, so that it adds no package to ours. It asks PyPI about each package;
# --strict fails where it gets no answer, which it would pass over otherwise.
audit: install
	rm -rf build/audit && $(PYTHON) -m venv build/audit
	build/audit/bin/pip install --quiet pip-audit
	$(BIN)/pip freeze --exclude-editable | sed -n 's/+[^ ;]*//; /^[A-Za-z0-9._-]*==/p' > build/audit/installed.txt
	build/audit/bin/pip-audit --strict --no-deps --disable-pip -r build/audit/installed.txt

check: format lint types test

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
