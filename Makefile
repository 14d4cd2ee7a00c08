# make demo | make test | make lint | make bench | make train-tiny. Each sets up .venv by itself; all that is needed is Python 3.11.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# Threads beyond the cores make everything slower.
CORES := $(shell nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)
export OMP_NUM_THREADS ?= $(CORES)
export HF_HUB_OFFLINE ?= 1

.PHONY: demo test test-fast lint bench train-tiny clean
.DELETE_ON_ERROR:

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 is needed: make PYTHON=/path/to/python3.11" if sys.version_info[:2] != (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.standalone: $(BIN)/python requirements.txt constraints.txt pyproject.toml
	$(INSTALL) -r requirements.txt -e '.[standalone]'
	touch $@

$(VENV)/.test: $(VENV)/.standalone
	$(INSTALL) -e '.[standalone,test]'
	$(INSTALL) --no-deps rtmlib
	touch $@

$(VENV)/.lint: $(VENV)/.standalone
	$(INSTALL) -e '.[standalone,lint]'
	touch $@

demo: $(VENV)/.standalone
	$(BIN)/emo2 run workflows/talking_avatar.json --out demo

# Tests with one thread each, as many at a time as there are cores; then those with a real ComfyUI, one after the other.
test: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests -m "not comfyui" -n $(CORES) --dist loadfile --no-loadscope-reorder
	$(BIN)/python -m pytest tests -m comfyui

test-fast: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests -m "not comfyui and not slow" -n $(CORES) --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy models

bench: $(VENV)/.test
	$(BIN)/python -m emo2.benchmarks --json benchmarks/results/latest.json

# The shipped weights from nothing: hours on a CPU, in as many pieces as you like (make train-tiny ARGS='--stop-after 60').
train-tiny: $(VENV)/.test
	$(BIN)/emo2 train-tiny $(ARGS)

clean:
	rm -rf $(VENV) demo output *.egg-info
