#!/bin/sh
# Print the path of the newest Python, from 3.11 up, that runs and can make a virtual environment.
#
#   sh tools/find-python.sh          look on PATH, then under ~/.pyenv/versions
#   PYTHON=python3.12 sh ...         use this one, or print why it cannot be used
#
# A name on PATH may be a shim without a version, so each candidate is run.
set -u

# The output of a candidate: "<major> <minor> ok|<what is missing>", then the path of the real binary,
# also where the candidate is a shim or itself lives in a virtual environment.
probe='
import sys
v = sys.version_info
state = "ok"
if v < (3, 11):
    state = "old"
elif v.releaselevel != "final":
    state = "prerelease"
else:
    for name in ("ssl", "zlib", "venv", "ensurepip"):
        try:
            __import__(name)
        except ImportError:
            state = name
            break
sys.stdout.write("%d %d %s\n%s\n" % (v[0], v[1], state, getattr(sys, "_base_executable", sys.executable)))
'

ask() { # candidate -> major, minor, state, path; fails if it doesn't run
    answer=$("$1" -c "$probe" </dev/null 2>/dev/null) || return 1
    path=$(printf '%s\n' "$answer" | sed -n 2p)
    # shellcheck disable=SC2046
    set -- $(printf '%s\n' "$answer" | sed -n 1p)
    [ $# -eq 3 ] && [ -n "$path" ] || return 1
    major=$1 minor=$2 state=$3
}

explain() { # print why a Python that runs cannot be used
    case $state in
    old) echo "is Python $major.$minor: lembro needs 3.11 or newer" ;;
    prerelease) echo "is a pre-release of Python $major.$minor" ;;
    venv | ensurepip)
        echo "is Python $major.$minor, but can't make a virtual environment (no module '$state');" \
            "on Debian and Ubuntu: apt-get install python$major.$minor-venv"
        ;;
    *) echo "is Python $major.$minor, but was built without the module '$state'" ;;
    esac
}

if [ -n "${PYTHON:-}" ]; then
    if ! ask "$PYTHON"; then
        echo "lembro: PYTHON=$PYTHON does not run" >&2
        exit 1
    fi
    if [ "$state" != ok ] && [ "$state" != prerelease ]; then # a pre-release is accepted if it is named
        echo "lembro: PYTHON=$PYTHON $(explain)" >&2
        exit 1
    fi
    printf '%s\n' "$path"
    exit 0
fi

best='' best_minor=0 nearly='' found_old=''

consider() {
    [ -x "$1" ] && [ ! -d "$1" ] || return 0
    ask "$1" || return 0
    case $state in
    ok)
        # On a tie the first on PATH stays. ("Newest" among 3.x: no other major exists yet.)
        if [ "$minor" -gt "$best_minor" ]; then best=$path best_minor=$minor; fi
        ;;
    old) found_old="$major.$minor" ;;
    *) [ -n "$nearly" ] || nearly="$1 $(explain)" ;;
    esac
}

old_ifs=$IFS
IFS=:
set -f
# shellcheck disable=SC2086
set -- $PATH
set +f
IFS=$old_ifs
for dir in "$@"; do
    for file in "$dir"/python3.1[1-9] "$dir"/python3.[2-9][0-9] "$dir"/python3 "$dir"/python; do
        consider "$file"
    done
done
for file in "${HOME:-/nonexistent}"/.pyenv/versions/3.*/bin/python; do
    consider "$file"
done

if [ -n "$best" ]; then
    printf '%s\n' "$best"
elif [ -n "$nearly" ]; then
    echo "lembro: $nearly" >&2
    exit 1
else
    if [ -n "$found_old" ]; then
        echo "lembro: needs Python 3.11 or newer; the one found here is $found_old" >&2
    else
        echo "lembro: needs Python 3.11 or newer; found none on PATH" >&2
    fi
    echo "lembro: install one, or name it: make PYTHON=/path/to/python3 ..." >&2
    exit 1
fi
