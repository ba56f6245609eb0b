# make demo         makes pairs of sample photos
# make test         runs the linters and the tests, as CI does
# make docs         writes the documentation as a site to site/; a broken link is an error
# make wheel-test   builds the package, installs it into an empty environment and uses it there
# make test-oldest  runs the tests with the oldest supported versions
# make test-newest  runs the tests with the newest versions that there are today
# make clean        removes the environments and what the commands above have made
#
# Each command first installs what it needs, into .venv, .venv-oldest or .venv-newest.

PYTHON ?= python3
OLDEST_PYTHON ?= python3.10
NEWEST_PYTHON ?= python3.13
BIN := .venv/bin
READY := .venv/ready
OLDEST_BIN := .venv-oldest/bin
OLDEST_READY := .venv-oldest/ready
NEWEST_BIN := .venv-newest/bin
PYTEST := -m pytest --numprocesses auto --maxprocesses 4
SAMPLES := astronaut.png chelsea.png coffee.png motorcycle_left.png rocket.jpg

.PHONY: demo test docs wheel-test test-oldest test-newest clean
.DEFAULT_GOAL := demo

$(READY): setup.py requirements.txt constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

$(OLDEST_READY): setup.py requirements.txt constraints-oldest.txt
	test -x $(OLDEST_BIN)/python || $(OLDEST_PYTHON) -m venv .venv-oldest
	$(OLDEST_BIN)/python -m pip install --quiet --constraint constraints-oldest.txt --editable '.[test,heif]'
	touch $@

demo: $(READY)
	folder=$$($(BIN)/python -c 'import skimage, pathlib; print(pathlib.Path(skimage.__file__).parent / "data")') && \
	$(BIN)/python generate_data.py --input $(SAMPLES:%=$$folder/%) --output demo --noise sidd --preview

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python $(PYTEST)

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

wheel-test: $(READY)
	.ci/wheel

test-oldest: $(OLDEST_READY)
	OMP_NUM_THREADS=1 $(OLDEST_BIN)/python $(PYTEST)

test-newest: # installs each time, since the newest versions of yesterday are not those of today
	test -x $(NEWEST_BIN)/python || $(NEWEST_PYTHON) -m venv .venv-newest
	$(NEWEST_BIN)/python -m pip install --quiet --upgrade --upgrade-strategy eager --editable '.[test,heif]'
	$(NEWEST_BIN)/python -m pip list
	OMP_NUM_THREADS=1 $(NEWEST_BIN)/python $(PYTEST)

clean:
	rm -rf .venv .venv-oldest .venv-newest build dist site *.egg-info demo
