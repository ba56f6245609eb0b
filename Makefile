# make demo: pairs from sample photos; make test: everything CI checks. Both install what they need into .venv first.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
SAMPLES := astronaut.png chelsea.png coffee.png motorcycle_left.png rocket.jpg

.PHONY: demo test clean
.DEFAULT_GOAL := demo

$(READY): setup.py requirements.txt constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(READY)
	folder=$$($(BIN)/python -c 'import skimage, pathlib; print(pathlib.Path(skimage.__file__).parent / "data")') && \
	$(BIN)/python generate_data.py --input $(SAMPLES:%=$$folder/%) --output demo --noise sidd --preview

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4

clean:
	rm -rf .venv build *.egg-info demo
