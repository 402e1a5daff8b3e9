#!/bin/sh
# The virtual environment that the Makefile works in.
#
#   sh tools/venv.sh state    print "ok", or why .venv must be made anew
#   sh tools/venv.sh make     make it, with a pip that knows dependency groups
#
# .venv/.made is written last and holds the folder it was made for: an editable install points there,
# so a clone that was moved or copied needs a new one.
set -eu

version='import sys; print("%d.%d.%d" % sys.version_info[:3])'

state() {
    if [ ! -f .venv/.made ]; then
        echo missing
    elif [ "$(cat .venv/.made)" != "$(pwd -P)" ]; then
        echo moved
    elif ! have=$(.venv/bin/python -c "$version" 2>/dev/null); then
        echo broken
    elif [ -n "${PYTHON:-}" ] && want=$("$PYTHON" -c "$version" 2>/dev/null) && [ "$want" != "$have" ]; then
        echo "made with Python $have"
    else
        echo ok
    fi
}

make() {
    python=$(sh tools/find-python.sh)
    echo "lembro: making .venv with Python $("$python" -c "$version") ($python)"
    rm -f .venv/.made
    "$python" -m venv --clear .venv
    # pip reads dependency groups from 25.1 on.
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
    pwd -P >.venv/.made
}

case ${1:-} in
state) state ;;
make) make ;;
*)
    echo "usage: sh tools/venv.sh state|make" >&2
    exit 2
    ;;
esac
