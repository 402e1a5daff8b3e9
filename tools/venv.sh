#!/bin/sh
# Check or create the virtual environment of the Makefile.
#
#   sh tools/venv.sh state    print "ok", or why .venv must be recreated
#   sh tools/venv.sh make     create it, with a pip that supports dependency groups
#
# .venv/.made is written last and contains the folder of the clone. An editable install refers to that
# folder, so a clone that was moved or copied needs a new .venv.
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
    echo "lembro: creating .venv with Python $("$python" -c "$version") ($python)"
    rm -f .venv/.made
    "$python" -m venv --clear .venv
    # pip supports dependency groups from 25.1 on.
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
