# Two commands on a fresh machine: `make demo` and `make test`. Nothing else is needed but Python >= 3.10 and make.
PYTHON ?= python3
SCRIPTS := $(if $(filter Windows_NT,$(OS)),Scripts,bin)
BIN := .venv/$(SCRIPTS)
INSTALLED := .venv/.installed

.PHONY: demo test check bench study docs oldest versions fuzz kills mutants dist wheels release-check clean

demo: $(INSTALLED)
	$(BIN)/topk-lightning demo

test: check
	$(BIN)/python -m pytest

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Ratios to what everybody knows and to peers, about an hour on 2 quiet cores; writes docs/benchmarks.md. LOOK=--quick: minutes, prints only.
LOOK ?= --write
bench: $(INSTALLED)
	for name in metrics growth losses compiled step start data draft writer sync heads; do \
		$(BIN)/python tests/benchmarks/bench_$$name.py $(LOOK) || exit 1; done
	for name in calibration callbacks class_report serve sets; do $(BIN)/python tests/benchmarks/bench_$$name.py || exit 1; done

# What helps top-k, where, by how much: about 2 hours on 2 cores; goes on where it was. FORM=--smoke or FORM=--full.
study: $(INSTALLED)
	$(BIN)/python examples/study $(FORM)

docs: $(INSTALLED)
	$(BIN)/mkdocs build --strict --quiet
	@echo "Open $(CURDIR)/site/index.html"

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

# The lower bounds of pyproject.toml under Python 3.10, in an environment of their own; their warnings are not ours.
OLDEST_PYTHON ?= python3.10
OLDEST := .venv-oldest/.installed
FOR_TESTS := timm,lightning,heif,parquet,server,test
WITHOUT_PAGES := tests/test_ranking.py tests/test_schedules.py tests/test_temperature_scaler.py $(addprefix tests/, \
	hierarchy relaxations losses metrics networks callbacks classifier prediction cli)

oldest: $(OLDEST)
	.venv-oldest/$(SCRIPTS)/python -m pytest --override-ini filterwarnings= $(WITHOUT_PAGES)

$(OLDEST): pyproject.toml tests/oldest.txt
	$(OLDEST_PYTHON) -m venv .venv-oldest
	.venv-oldest/$(SCRIPTS)/python -m pip install --quiet --upgrade pip
	.venv-oldest/$(SCRIPTS)/python -m pip install --quiet --constraint tests/oldest.txt --editable '.[$(FOR_TESTS)]'
	touch $@

# Any version of torch, in an environment of its own: `make versions TORCH=2.9`.
versions:
	@test -n "$(TORCH)" || { echo 'TORCH must be a version, got none: make versions TORCH=2.9'; exit 2; }
	$(PYTHON) -m venv .venv-torch-$(TORCH)
	.venv-torch-$(TORCH)/$(SCRIPTS)/python -m pip install --quiet --upgrade pip
	.venv-torch-$(TORCH)/$(SCRIPTS)/python -m pip install --quiet --editable '.[$(FOR_TESTS)]' 'torch==$(TORCH).*'
	.venv-torch-$(TORCH)/$(SCRIPTS)/python -m pytest --override-ini filterwarnings= $(WITHOUT_PAGES)

# Properties for every input, as long as one likes: `make fuzz MINUTES=60`.
MINUTES ?= 10
fuzz: $(INSTALLED)
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES)

# One training, stopped by kill -9, SIGTERM and Ctrl-C at random batches, again and again: `make kills KILLS=50`.
KILLS ?= 50
kills: $(INSTALLED)
	TOPK_LIGHTNING_KILLS=$(KILLS) $(BIN)/python -m pytest --timeout 20000 tests/cli/test_stops.py -k again_and_again

# Changes to ranking, counting, the loss base and the classifier's step, each of which a test must notice.
mutants: $(INSTALLED)
	$(BIN)/python -m tests.mutation

# What is published: source archive and wheel, with a page that the index can show.
dist:
	rm -rf dist
	$(PYTHON) -m venv .venv-dist
	.venv-dist/$(SCRIPTS)/python -m pip install --quiet build twine
	.venv-dist/$(SCRIPTS)/python -m build --outdir dist
	.venv-dist/$(SCRIPTS)/python -m twine check --strict dist/*

# The wheel with all it asks for, in a bare environment of each Python, one after another: 6 GB of disk, minutes each.
WHEEL_PYTHONS ?= 3.10 3.11 3.12 3.13
wheels: dist
	$(PYTHON) tests/wheels.py $(WHEEL_PYTHONS)

# A tag names what stands in CHANGELOG.md and CITATION.cff: `make release-check TAG=v1.2.3`.
release-check:
	$(PYTHON) docs/programs/project_version.py $(TAG)

clean:
	rm -rf .venv .venv-oldest .venv-torch-* .venv-dist site dist runs
