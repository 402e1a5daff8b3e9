#!/bin/sh
# Find or install the browser for tests/browser.
#
#   sh tools/chromium.sh find      print the path of a Chromium that runs, or fail
#   sh tools/chromium.sh ensure    the same, and install Debian's package if necessary and possible
#
# LEMBRO_CHROMIUM names the one to use; LEMBRO_CHROMIUM=none skips the browser tests.
# LEMBRO_INSTALL=none installs no package of the system.
# Without a browser, `ensure` prints a message and succeeds (the tests are skipped), unless CI=true.
set -u

runs() { "$1" --version </dev/null >/dev/null 2>&1; } # Ubuntu has a stub that only names its snap

find_chromium() {
    if [ -n "${LEMBRO_CHROMIUM:-}" ]; then
        path=$(command -v "$LEMBRO_CHROMIUM") && runs "$path" && printf '%s\n' "$path"
        return
    fi
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        if path=$(command -v "$name") && runs "$path"; then
            printf '%s\n' "$path"
            return 0
        fi
    done
    return 1
}

install_chromium() {
    [ "${LEMBRO_INSTALL:-}" != none ] || return 1
    command -v apt-get >/dev/null 2>&1 || return 1
    if [ "$(id -u)" -eq 0 ]; then
        sudo=
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        sudo='sudo -n'
    else
        return 1
    fi
    echo "lembro: tests/browser needs a Chromium, and this system has none. As root, make now runs"
    echo "lembro:   apt-get update && apt-get install --no-install-recommends chromium"
    echo "lembro: To install nothing, set LEMBRO_INSTALL=none. The browser tests are then skipped."
    log=$(mktemp)
    # shellcheck disable=SC2086
    if $sudo env DEBIAN_FRONTEND=noninteractive sh -c \
        'apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium' \
        </dev/null >"$log" 2>&1; then
        rm -f "$log"
    else
        tail -n 5 "$log" >&2
        rm -f "$log"
        return 1
    fi
}

missing() { # print a message
    if [ "${LEMBRO_CHROMIUM:-none}" != none ]; then
        echo "lembro: LEMBRO_CHROMIUM=$LEMBRO_CHROMIUM is not a browser that runs" >&2
        exit 1
    fi
    case ${CI:-} in
    true | True | TRUE | 1)
        echo "lembro: found no Chromium, and in CI the browser tests must not be skipped" >&2
        exit 1
        ;;
    *) echo "lembro: no Chromium: the browser tests are skipped (install one, or set LEMBRO_CHROMIUM)" ;;
    esac
}

case ${1:-} in
find) find_chromium ;;
ensure)
    if find_chromium >/dev/null; then
        :
    elif [ -z "${LEMBRO_CHROMIUM:-}" ] && install_chromium && find_chromium >/dev/null; then
        :
    else
        missing
    fi
    ;;
*)
    echo "usage: sh tools/chromium.sh find|ensure" >&2
    exit 2
    ;;
esac
