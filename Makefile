# `make demo` and `make test` are all that a fresh machine needs: each builds the virtual
# environment it runs in. The stamps make the second run quick; they depend on pyproject.toml,
# which holds every dependency.
#
#   make test PYTHON=/opt/python3.13/bin/python3 VENV=.venv-3.13     another Python beside the first

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
N ?= 100000
SEED ?= 1
STRANGERS ?= 2000

BIN := $(VENV)/bin
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-slow test-browser test-lowest test-readers lint bench bench-remote bench-download bench-plot bench-scale bench-checked bench-start bench-first bench-spectra bench-archive bench-survey bench-view docs fuzz clean

help:
	@echo 'make demo    make a small VTF dataset, convert it, look at it (picture: demo-output/)'
	@echo 'make test    ruff, mypy and the tests but for the slow ones: under 5 minutes on two cores'
	@echo 'make test-slow  the slow tests: full matrices, every instrument, kills, clusters, examples'
	@echo 'make test-browser  the viewer in a real browser: needs chromium and chromedriver'
	@echo 'make test-lowest  the core of the suite on the lowest versions that pyproject.toml allows'
	@echo 'make test-readers  outputs read in fresh environments that have xarray, Zarr, Icechunk... alone'
	@echo 'make lint    ruff and mypy alone'
	@echo 'make fuzz    broken frames for the decoder, N=$(N) of them, and broken stores; SEED=$(SEED)'
	@echo 'make bench   times beside dkist, astropy, cfitsio and numpy'
	@echo 'make bench-remote  the same from a server that takes 30 ms an answer'
	@echo 'make bench-download  a download beside a bare concurrent fetch'
	@echo 'make bench-plot  a slider step beside dkist'
	@echo 'make bench-scale  datasets of up to a million frames, beside dkist, astropy and kerchunk'
	@echo 'make bench-checked  whole frames with and without verify=True'
	@echo 'make bench-start  CPU time of fresh processes: commands, imports, a first frame'
	@echo 'make bench-first  time to the first pixel, with no kernel compiled yet and with kernels kept'
	@echo 'make bench-spectra  moments, line cores and fits beside reading the same spectra'
	@echo 'make bench-survey   references of FITS files of any survey beside kerchunk'
	@echo 'make bench-view   steps of the viewer in a real browser, beside plot, jdaviz and glue'
	@echo 'make bench-archive  convert an archive of 10,000 datasets, killed once and said again'
	@echo 'make docs    the documentation, with its code run: docs/_build/html/index.html'
	@echo 'make clean   everything that these made, the environment included'
	@echo
	@echo 'PYTHON=$(PYTHON) makes the environment VENV=$(VENV); it has to be 3.11 or newer.'

# The version is asked before anything is made, so that an old Python says so in one line
# instead of failing in the middle of a resolver's output.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; sys.exit(sys.version_info < (3, 11) and "dkist_virtual needs Python 3.11 or newer, and $(PYTHON) is " + v + ". Name another: make PYTHON=/path/to/python3.12")'
	$(PYTHON) -m venv $(VENV)

# uv resolves to what pip resolves to, in a sixth of the time; where it does not reach the packages
# (it does not read pip's configuration), pip does. Modules are compiled, or importing one for the
# first time would warn of its escape sequences: an error in the tests.
$(VENV)/.stamp-demo: EXTRAS := demo
$(VENV)/.stamp-test: EXTRAS := test,lint
$(VENV)/.stamp-docs: EXTRAS := docs
$(VENV)/.stamp-bench: EXTRAS := bench

$(VENV)/.stamp-%: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --editable '.[$(EXTRAS)]' \
		|| $(BIN)/python -m pip install --quiet --editable '.[$(EXTRAS)]'
	@touch $@

demo: $(VENV)/.stamp-demo
	$(BIN)/dkist-virtual demo

lint: $(VENV)/.stamp-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	MYPY_NUM_WORKERS=$(JOBS) $(BIN)/mypy

# pytest comes last: its summary line is the last line of the run. Each job begins with tests that
# are next to each other, and makes their data once.
PYTEST = $(BIN)/python -m pytest -n $(JOBS) --dist worksteal

test: lint
	$(PYTEST) -m 'not slow and not browser'

test-slow: $(VENV)/.stamp-test
	$(PYTEST) -m 'slow and not browser'

# Chromium and its driver come from the system: on Debian, apt-get install chromium chromium-driver.
# The tests of a file share a page, and so a worker.
test-browser: $(VENV)/.stamp-test
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m browser tests/browser

# The lowest versions of what pyproject.toml names, and the newest of what those bring. Old versions
# warn of what new ones deprecate when they are imported, which is an error in the other runs.
LOWEST ?= .venv-lowest
CORE := store/test_codec store/test_zarr_suite store/test_references store/test_store \
	store/test_headers store/test_header_table system/test_travel

$(LOWEST)/.stamp: pyproject.toml
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet uv
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct \
		--editable '.[test]'
	@touch $@

test-lowest: $(LOWEST)/.stamp
	$(LOWEST)/bin/python -m pytest -n $(JOBS) --dist worksteal -W ignore::DeprecationWarning \
		-W ignore::asdf.exceptions.AsdfPackageVersionWarning -k 'not by_its_entry_point' \
		$(CORE:%=tests/%.py)

# Programs that know nothing of this package open what it writes, each in an environment of its own.
# READERS are the Pythons to make those with.
READERS ?= $(BIN)/python
test-readers: $(VENV)/.stamp-test
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/python readers/run.py $(READERS)

# Figures are worth something on a machine that does nothing else meanwhile.
bench: $(VENV)/.stamp-bench
	$(BIN)/python benchmarks/run.py

bench-remote: $(VENV)/.stamp-bench
	$(BIN)/python benchmarks/remote.py

bench-download: $(VENV)/.stamp-bench
	$(BIN)/python benchmarks/download.py

bench-plot: $(VENV)/.stamp-bench
	$(BIN)/python benchmarks/plot.py

bench-scale: $(VENV)/.stamp-bench
	$(BIN)/python benchmarks/scale.py --json docs/explanation/scale.json

bench-checked: $(VENV)/.stamp-bench
	$(BIN)/python benchmarks/checked.py

bench-start: $(VENV)/.stamp-bench
	$(BIN)/python benchmarks/start.py

bench-first: $(VENV)/.stamp-bench
	$(BIN)/python benchmarks/first_pixel.py

bench-spectra: $(VENV)/.stamp-bench
	$(BIN)/python benchmarks/spectra.py

bench-archive: $(VENV)/.stamp-bench
	PYTHONPATH=tests/support $(BIN)/python benchmarks/archive.py

bench-survey: $(VENV)/.stamp-bench
	$(BIN)/python benchmarks/survey.py --files 200

bench-view: $(VENV)/.stamp-test
	$(BIN)/python benchmarks/view.py

docs: $(VENV)/.stamp-docs
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

fuzz: $(VENV)/.stamp-test
	$(BIN)/python fuzz/run.py --seed $(SEED) --count $(N) --jobs $(JOBS)
	PYTHONPATH=tests/support $(BIN)/python -W ignore fuzz/strangers.py --seed $(SEED) --count $(STRANGERS)

clean:
	rm -rf $(VENV) $(LOWEST) docs/_build docs/_generated docs/reference/generated demo-output .mypy_cache .ruff_cache .pytest_cache
