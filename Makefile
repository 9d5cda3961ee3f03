# Two commands do everything: `make exam` (watch a scan become images), `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q

.PHONY: exam test lint bench test-gpu peers clean

exam: .stamp-sim
	$(BIN)/scanside-sim exam head --out out/exam
	$(BIN)/scanside-sim exam head_cough --out out/exam_cough

test: .stamp-dev
	$(BIN)/python -m pytest

lint: .stamp-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .stamp-bench
	$(BIN)/python -m tests.benchmarks $(if $(ONLY),--only $(ONLY))

test-gpu: .stamp-dev
	$(BIN)/python -m pytest -m gpu

peers: .stamp-dev  # fastmri without torchvision and lightning, which its networks do not import
	$(PIP) install --no-deps 'fastmri>=0.3'

.stamp-sim .stamp-dev .stamp-bench: .stamp-%: pyproject.toml constraints.txt $(BIN)/python
	@echo "installing scanside[$*] into $(VENV) (only when pyproject.toml or constraints.txt changed)"
	$(PIP) install --progress-bar on -c constraints.txt -e ".[$*]"
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Scanside needs Python 3.10 or newer; try: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf out .stamp-* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
