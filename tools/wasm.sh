#!/bin/sh
# Run unit tests on CPython 3.14 in WebAssembly, under Node: `make wasm`.
#
#     sh tools/wasm.sh <file of tests>...
#
# A machine may have no CPython 3.14. The npm package `pyodide` contains one. The wheel of msgspec
# for it comes from PyPI. The other requirements of these tests are pure Python.
#
# The Makefile names the files of tests. Left out are:
#
# * files whose tests need threads, processes, signals, sockets, sqlite3, a framework, a running event
#   loop, or a package that is not pure Python, such as markupsafe;
# * files whose fixtures are in another conftest.py than tests/unit/memory, because those import
#   sqlite3 and the frameworks;
# * one test of the ledger, which is deselected below and measures in another process.
set -eu

folder=build/wasm
python=.venv/bin/python

if ! command -v npm >/dev/null; then
    echo "lembro: make wasm needs Node 20 or later, with npm" >&2
    exit 1
fi

download() {
    "$python" -m pip --disable-pip-version-check --quiet download --dest "$folder/wheels" \
        --only-binary :all: --python-version 3.14 "$@"
}

mkdir -p "$folder/wheels"
npm install --silent --no-fund --no-audit --no-save --prefix "$folder" pyodide@314
download --no-deps --platform pyemscripten_2026_0_wasm32 --implementation cp --abi cp314 msgspec
download --platform any --implementation py --abi none pytest hypothesis anyio tzdata

# No conftest.py, because those of the tests import sqlite3 and the frameworks. The one of the
# memory store imports neither, so it is a plugin.
exec node tools/wasm.mjs "$folder" --config-file=pyproject.toml --override-ini=addopts= \
    --import-mode=importlib -p no:cacheprovider -W ignore::pytest.PytestConfigWarning \
    --noconftest -p tests.unit.memory.conftest --quiet --deselect \
    tests/unit/memory/test_ledger.py::test_the_ledger_counts_at_least_what_was_allocated "$@"
