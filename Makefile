# Every target makes and fills .venv by itself. PIP_* variables (PIP_INDEX_URL, PIP_FIND_LINKS, ...) reach pip as usual, for example for
# another build of torch.
PYTHON ?= python3
WORKERS ?= 2
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TORCH := $(shell sed -n 's/^torch==/&/p' constraints.txt)

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help demo test lint bench fuzz soak panel screenshots clean

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20
	@echo "Options: PYTHON=python3.12 picks the interpreter, ARGS='-k export' adds options to the command, WORKERS=4 to the tests."

demo: $(STAMP) ## run a small study from images to report into demo-output/
	@$(BIN)/suggestive-annotation demo --out demo-output $(ARGS)

test: $(STAMP) ## run the tests
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(ARGS)

lint: $(STAMP) ## check style, types and layers
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

bench: $(STAMP) ## run the benchmarks and compare them with their targets
	@$(BIN)/python Testing/Benchmarks/run.py $(ARGS)

fuzz: $(STAMP) ## feed damaged files of every format to the readers and count what happens
	@OMP_NUM_THREADS=1 $(BIN)/python Testing/Fuzz/fuzz_headers.py $(ARGS)

soak: $(STAMP) ## kill panel and worker a thousand times and count what was lost (about an hour)
	@PYTHONPATH=.:Testing:Testing/Support:SuggestiveAnnotation OMP_NUM_THREADS=1 $(BIN)/python Testing/Soak/soak.py $(ARGS)

panel: $(STAMP) ## open the panel on a sample study in a stand-in for 3D Slicer (needs a screen)
	@PYTHONPATH=.:Testing $(BIN)/python -m SlicerHost $(ARGS)

screenshots: $(STAMP) ## make the pictures of the panel in Resources/Screenshots anew
	@KEEP_SCREENSHOTS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q Testing/Panel/test_screens.py

clean: ## remove .venv, caches and outputs
	@rm -rf $(VENV) demo-output fuzz-findings soak-output build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# torch first and by its pin, so that no range of another package drags in another build; the stamp is written last.
$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) > /dev/null || { echo "$(PYTHON) was not found; install Python 3.11 or newer, or run: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) -V 2>&1); try: make PYTHON=python3.12"; exit 1; }
	@rm -f $@
	@echo "Preparing $(VENV); the first time takes a few minutes."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(TORCH)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[host]' \
		|| echo "The stand-in for 3D Slicer has no packages for this Python or system; the tests of the panel will be skipped."
	@touch $@
