# Everything a fresh clone needs, with nothing but Python 3.11+, git and make. Each target sets up
# .venv by itself, once; each part of it is installed when first asked for.

PYTHON ?=
PORT ?= 8000
MINUTES ?= 5
ARGS ?=
SECONDS ?= 120

PY := .venv/bin/python
PIP := $(PY) -m pip --disable-pip-version-check install --quiet
EXTRAS := starlette,fastapi,aiohttp,pyramid,demo,flask,quart,cachelib,litestar,django,falcon,bottle,sanic,tornado
CODE := $(wildcard src tests examples bench fuzz peers tools)

export PYTHON

# One .venv, one pip at a time.
.NOTPARALLEL:

# A .venv that can't serve any more is made anew: its Python is gone or another one is asked for, or
# the clone was moved.
ifneq ($(shell sh tools/venv.sh state),ok)
.PHONY: .venv/.made
endif

.PHONY: help
help: ## what there is (this)
	@sed -n 's/^\([a-z][a-z-]*\):[^#]*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) \
		| awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'

.PHONY: demo
# The recipe needs no shell, so make runs Python itself. A shell would end with an error on a signal.
demo: export LEMBRO_CALLED_AS := make demo PORT=
demo: .venv/.demo ## the demo on http://127.0.0.1:8000 (PORT=8001 for another port)
	@$(PY) -m lembro demo --port $(PORT)

.PHONY: test
test: .venv/.test ## all tests (ARGS="-k login" goes to pytest)
	@sh tools/chromium.sh ensure
	@$(PY) -m pytest -n auto $(ARGS)

.PHONY: schedules
schedules: .venv/.test ## every overlap of three requests, and many of more (LEMBRO_SEED=1 for the same again)
	@LEMBRO_SCHEDULES=all $(PY) -m pytest tests/schedules $(ARGS)

.PHONY: coverage
coverage: .venv/.test ## all tests, and every branch of src/lembro that they leave out: none
	@sh tools/chromium.sh ensure
	@$(PY) -m pytest --cov $(ARGS)

.PHONY: mutants
mutants: .venv/.test ## whether a test fails when the core or the store is wrong; hours (ARGS="cookie")
	@$(PY) -m tools.mutants $(ARGS)

.PHONY: faults
faults: .venv/.test ## whether a test fails when a promise is broken on purpose (ARGS="fixation")
	@$(PY) -m tools.faults $(ARGS)

.PHONY: check
check: .venv/.lint ## format, lint, layers and types, all strict
	$(PY) -m ruff format --check $(CODE)
	$(PY) -m ruff check $(CODE)
	.venv/bin/lint-imports --no-logo
	$(PY) -m mypy $(CODE)
	$(PY) -m pyright --pythonpath $(PY)
	PATH="$(CURDIR)/.venv/bin:$$PATH" $(PY) -m pyright --verifytypes lembro --ignoreexternal

.PHONY: fmt
fmt: .venv/.lint ## put the code into shape
	$(PY) -m ruff format $(CODE)
	$(PY) -m ruff check --fix $(CODE)

.PHONY: bench
bench: .venv/.bench ## the measurements behind the claims (ARGS= goes to the bench)
	@$(PY) -m bench $(ARGS)

.PHONY: bench-quick
bench-quick: .venv/.bench ## the same in two minutes, with smaller numbers
	@$(PY) -m bench --quick $(ARGS)

.PHONY: soak
soak: .venv/.bench ## everything at once at one store (MINUTES=10); fails on any breach
	@$(PY) -m bench.soak --minutes $(MINUTES) $(ARGS)

.PHONY: figures
figures: .venv/.bench ## the figures of the docs, from the last make bench
	@$(PY) -m tools.figures

.PHONY: fuzz
fuzz: .venv/.fuzz ## bytes that nobody thought of, for two minutes (SECONDS=600 for ten)
	@$(PY) -m fuzz --seconds $(SECONDS) $(ARGS)

.PHONY: peers
peers: .peers/.made ## the tests of other projects, with lembro in their place (ARGS=flask for one)
	@.peers/venv/bin/python -m peers $(ARGS)

.PHONY: docs
docs: .venv/.docs ## the documentation, into site/; a warning is an error
	@$(PY) tools/docs.py
	@$(PY) -m zensical build --strict --clean

.PHONY: clean
clean: ## remove .venv and whatever was built
	rm -rf .venv .peers build dist site htmlcov .coverage .coverage.* .cache .artifacts \
		.pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name .git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# The parts of .venv. Each stamp is younger than pyproject.toml, or the part is brought up to date.

.venv/.made:
	@sh tools/venv.sh make

.venv/.demo: .venv/.made pyproject.toml
	@echo "lembro: installing what the demo needs"
	@$(PIP) -e '.[demo]'
	@touch $@

.venv/.test: .venv/.made pyproject.toml
	@echo "lembro: installing what the tests need"
	@$(PIP) -e '.[$(EXTRAS)]' --group test --group docs
	@touch $@ .venv/.demo .venv/.docs

.venv/.lint: .venv/.test
	@echo "lembro: installing what the checks need"
	@$(PIP) --group lint --group bench
	@touch $@

.venv/.bench: .venv/.made pyproject.toml
	@echo "lembro: installing what the bench needs"
	@$(PIP) -e '.[$(EXTRAS)]' --group bench
	@touch $@

.venv/.fuzz: .venv/.made pyproject.toml
	@echo "lembro: installing what fuzzing needs"
	@$(PIP) -e . --group fuzz
	@touch $@

# What other projects' tests need stays out of .venv: they bring plugins for pytest.
.peers/.made: .venv/.made pyproject.toml
	@echo "lembro: installing what the tests of the peers need"
	@$(PY) -m venv --clear .peers/venv
	@$(PY) -m pip --python .peers/venv --disable-pip-version-check install --quiet \
		-e '.[$(EXTRAS)]' --group peers
	@touch $@

.venv/.docs: .venv/.made pyproject.toml
	@echo "lembro: installing what the docs need"
	@$(PIP) -e . --group docs
	@touch $@
