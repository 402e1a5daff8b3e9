# Everything that a new clone needs. Requires only Python 3.11+, git and make. Each target creates
# .venv once, and installs the parts that it needs.

PYTHON ?=
PORT ?= 8000
MINUTES ?= 5
ARGS ?=
SECONDS ?= 120

PY := .venv/bin/python
PIP := $(PY) -m pip --disable-pip-version-check install --quiet
EXTRAS := starlette,fastapi,aiohttp,pyramid,demo,flask,quart,cachelib,litestar,django,falcon,bottle,sanic,tornado,redis,postgres,sql,mongo,prometheus,opentelemetry,completion
WASM := $(addprefix tests/unit/,$(addsuffix .py,test_codec_corrupt test_cookie test_device test_merge_paths test_size))
WASM += $(addprefix tests/unit/memory/test_,$(addsuffix .py,arena clock compaction eviction expiry_wheel index ledger \
	limits linked_lists marks overflow parts reader reclaim records reputation reserved_memory resident settings slots \
	snapshot stats sweep user_index user_sessions user_share verbs))
CODE := $(wildcard src tests examples bench fuzz peers tools)

export PYTHON

# Run one target at a time, because they share .venv and pip.
.NOTPARALLEL:

# Recreate .venv if it cannot be used: its Python was removed, another Python is requested, or the
# clone was moved.
ifneq ($(shell sh tools/venv.sh state),ok)
.PHONY: .venv/.made
endif

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z][a-z-]*\):[^#]*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) \
		| awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'

.PHONY: demo
# The recipe needs no shell, so make runs Python directly. On a signal, a shell would exit with an
# error.
demo: export LEMBRO_CALLED_AS := make demo PORT=
demo: .venv/.demo ## run the demo on http://127.0.0.1:8000 (PORT=8001 for another port)
	@$(PY) -m lembro demo --port $(PORT)

.PHONY: express-demo
express-demo: .venv/.test ## run Express and FastAPI behind one session cookie (PORT=8001 for another port)
	@sh tools/express.sh install examples/express
	@$(PY) -m tools.express_demo --port $(PORT)

.PHONY: test
test: .venv/.test ## run all tests (ARGS="-k login" is passed to pytest)
	@sh tools/chromium.sh ensure
	@sh tools/servers.sh ensure
	@sh tools/express.sh ensure
	@# One worker more than cores, because many tests wait for a server.
	@$(PY) -m pytest -n $$(($$(getconf _NPROCESSORS_ONLN) + 1)) $(ARGS)

.PHONY: schedules
schedules: .venv/.test ## test all overlaps of three requests, and random overlaps of more (LEMBRO_SEED=1 repeats them)
	@LEMBRO_SCHEDULES=all $(PY) -m pytest tests/schedules $(ARGS)

.PHONY: coverage
coverage: .venv/.test ## run all tests, and require that they cover every branch of src/lembro
	@sh tools/chromium.sh ensure
	@sh tools/servers.sh ensure
	@sh tools/express.sh ensure
	@$(PY) -m pytest --cov $(ARGS)

.PHONY: mutants
mutants: .venv/.test ## check that a test fails for each small fault in the core and the store; takes hours (ARGS="cookie")
	@$(PY) -m tools.mutants $(ARGS)

.PHONY: faults
faults: .venv/.test ## check that a test fails for each deliberately broken promise (ARGS="fixation")
	@$(PY) -m tools.faults $(ARGS)

.PHONY: check
check: .venv/.lint ## check format, lint rules, layers and types
	$(PY) -m ruff format --check $(CODE)
	$(PY) -m ruff check $(CODE)
	.venv/bin/lint-imports --no-logo
	@# The two type checkers run at once, because each uses one core.
	$(PY) -m mypy $(CODE) & mypy=$$!; \
		$(PY) -m pyright --pythonpath $(PY); pyright=$$?; \
		wait $$mypy && exit $$pyright
	PATH="$(CURDIR)/.venv/bin:$$PATH" $(PY) -m pyright --verifytypes lembro --ignoreexternal

.PHONY: fmt
fmt: .venv/.lint ## format the code
	$(PY) -m ruff format $(CODE)
	$(PY) -m ruff check --fix $(CODE)

.PHONY: bench
bench: .venv/.bench ## run all benches (ARGS= is passed to the bench)
	@$(PY) -m bench $(ARGS)

.PHONY: bench-quick
bench-quick: .venv/.bench ## run all benches in two minutes, with smaller numbers
	@$(PY) -m bench --quick $(ARGS)

.PHONY: soak
soak: .venv/.bench ## run all kinds of load on one store (MINUTES=10); fails if a limit is exceeded
	@$(PY) -m bench.soak --minutes $(MINUTES) $(ARGS)

.PHONY: figures
figures: .venv/.bench ## draw the figures of the docs from the last make bench
	@$(PY) -m tools.figures

.PHONY: fuzz
fuzz: .venv/.fuzz ## fuzz all parsers for two minutes (SECONDS=600 for ten)
	@$(PY) -m fuzz --seconds $(SECONDS) $(ARGS)

.PHONY: peers
peers: .peers/.made ## run the tests of other projects with lembro's sessions (ARGS=flask for one)
	@.peers/venv/bin/python -m peers $(ARGS)

.PHONY: fresh
fresh: .venv/.test ## install the wheel into a fresh environment of each Python on this machine, and try it
	@$(PY) -m tools.fresh

.PHONY: wasm
wasm: .venv/.test ## run unit tests of the core on CPython 3.14 in WebAssembly (needs npm)
	@sh tools/wasm.sh $(WASM)

.PHONY: docs
docs: .venv/.docs ## build the documentation into site/; a warning is an error
	@$(PY) tools/docs.py
	@$(PY) -m zensical build --strict --clean

.PHONY: clean
clean: ## remove .venv and all build products
	rm -rf .venv .peers build dist site htmlcov .coverage .coverage.* .cache .artifacts \
		.pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name .git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# The parts of .venv. A part is updated if its stamp is older than pyproject.toml.

.venv/.made:
	@sh tools/venv.sh make

.venv/.demo: .venv/.made pyproject.toml
	@echo "lembro: installing the demo's requirements"
	@$(PIP) -e '.[demo]'
	@touch $@

.venv/.test: .venv/.made pyproject.toml
	@echo "lembro: installing what the tests need"
	@$(PIP) -e '.[$(EXTRAS)]' --group test --group docs
	@touch $@ .venv/.demo .venv/.docs

.venv/.lint: .venv/.test
	@echo "lembro: installing the checks' requirements"
	@$(PIP) --group lint --group bench
	@touch $@

.venv/.bench: .venv/.made pyproject.toml
	@echo "lembro: installing the benches' requirements"
	@$(PIP) -e '.[$(EXTRAS)]' --group bench
	@touch $@

.venv/.fuzz: .venv/.made pyproject.toml
	@echo "lembro: installing the fuzzer's requirements"
	@$(PIP) -e . --group fuzz
	@touch $@

# The requirements of other projects' tests are not installed into .venv: they include pytest plugins.
.peers/.made: .venv/.made pyproject.toml
	@echo "lembro: installing the requirements of the other projects' tests"
	@$(PY) -m venv --clear .peers/venv
	@$(PY) -m pip --python .peers/venv --disable-pip-version-check install --quiet \
		-e '.[$(EXTRAS)]' --group peers
	@touch $@

.venv/.docs: .venv/.made pyproject.toml
	@echo "lembro: installing what the docs need"
	@$(PIP) -e . --group docs
	@touch $@
