# Two commands on a fresh machine: `make demo` and `make test`. Nothing else is needed but Python >= 3.10 and make.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: demo test check bench docs oldest clean

demo: $(INSTALLED)
	$(BIN)/topk-lightning demo

test: check
	$(BIN)/python -m pytest

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(INSTALLED)
	for file in tests/benchmarks/bench_*.py; do $(BIN)/python $$file || exit 1; done

docs: $(INSTALLED)
	$(BIN)/mkdocs build --strict

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

# The lower bounds of pyproject.toml under Python 3.10, in an environment of their own; their warnings are not ours.
oldest:
	python3.10 -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --constraint tests/oldest.txt --editable '.[timm,lightning,heif,parquet,server,test]'
	.venv-oldest/bin/python -m pytest --override-ini filterwarnings=

clean:
	rm -rf .venv .venv-oldest site dist runs
