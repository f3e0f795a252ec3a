# `make demo` and `make test` do all the set-up: a virtual environment of their own, with nnU-Net in it (about 6 GB).
PYTHON ?= python3
VENV ?= .venv
INSTALLED = $(VENV)/.installed

.PHONY: demo test lint clean

demo: $(INSTALLED)
	$(VENV)/bin/hypersort demo -o hypersort_demo

test: $(INSTALLED)
	$(VENV)/bin/python -m pytest -n auto --maxprocesses 4 --dist worksteal

lint: $(INSTALLED)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	rm -rf build
	$(VENV)/bin/pip install --quiet --no-deps --target build/typed .
	cd build/typed && $(abspath $(VENV))/bin/python -m mypy --config-file $(CURDIR)/pyproject.toml -p nnunetv2_hypersort

$(INSTALLED): pyproject.toml setup.py
	$(PYTHON) -m venv $(VENV)
	@echo "Installing nnU-Net and PyTorch into $(VENV): about 6 GB, a few minutes the first time."
	$(VENV)/bin/python -m pip install --disable-pip-version-check --editable ".[test,lint]"
	@touch $@

clean:
	rm -rf $(VENV) build hypersort_demo
