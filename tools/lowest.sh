#!/bin/sh
# Test the integrations with the lowest version of each framework that pyproject.toml names.
#
#   sh tools/lowest.sh [-k flask]    arguments go to pytest
#
# Requires uv. Creates its own virtual environment.
set -eu

folder=${LEMBRO_LOWEST:-.artifacts/lowest}
python=${PYTHON:-3.11}
tests='starlette_promises fastapi session_data flask flask_config quart django litestar aiohttp pyramid
    falcon bottle sanic tornado cachelib'

uv venv --quiet --clear --python "$python" "$folder"
# The extras and msgspec in their lowest versions, and their requirements in the newest that fit.
uv pip compile --quiet --no-annotate --no-header --resolution lowest-direct --all-extras --no-emit-package setuptools \
    --python "$python" pyproject.toml -o "$folder/lowest.txt"
VIRTUAL_ENV="$folder" uv pip install --quiet -r "$folder/lowest.txt" -e . \
    pytest pytest-timeout hypothesis anyio trio httpx httpx2 websockets tzdata itsdangerous \
    asgiref webtest pyramid_debugtoolbar python-multipart 'setuptools<81' # pkg_resources, for Pyramid 2.0
cat "$folder/lowest.txt"
# Left out: the test client of Quart before 0.22 raises a view's exception. FastAPI before 0.118 ends
# dependencies with yield before the response, and Depends(scope=) came with 0.121.
# shellcheck disable=SC2046,SC2086
"$folder/bin/python" -m pytest -q -p no:cacheprovider -o filterwarnings=default -W ignore \
    --deselect 'tests/integrations/test_quart.py::test_a_failed_view_changes_nothing[True]' \
    --deselect tests/integrations/test_fastapi.py::test_yield_with_function_scope_ends_before_the_response \
    --deselect tests/integrations/test_fastapi.py::test_yield_changes_after_the_response_raise \
    $(printf 'tests/integrations/test_%s.py ' $tests) "$@"
