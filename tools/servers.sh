#!/bin/sh
# The servers that the tests start: those of the external stores, Prometheus, and proxies.
#
#   sh tools/servers.sh ensure     install Debian's packages of those that are missing, if possible
#
# Where Debian has a package that starts no service, it is chosen. LEMBRO_INSTALL=none installs
# nothing. Without a server its tests are skipped, unless CI=true.
set -u

# A line each: the programs of which one is enough, and the package.
SERVERS='redis-server|redis-check-rdb redis-tools
pg_ctlcluster|postgres postgresql
pgbouncer pgbouncer
mariadb-install-db|mariadbd mariadb-server-core mariadb-client-core
prometheus prometheus
nginx nginx
caddy caddy
systemd-analyze systemd'

missing_packages() {
    echo "$SERVERS" | while read -r programs package; do
        found=
        for program in $(echo "$programs" | tr '|' ' '); do
            if command -v "$program" >/dev/null 2>&1 || [ -x "/usr/sbin/$program" ]; then
                found=yes
            fi
        done
        [ -n "$found" ] || echo "$package"
    done
}

install_packages() {
    [ "${LEMBRO_INSTALL:-}" != none ] || return 1
    command -v apt-get >/dev/null 2>&1 || return 1
    if [ "$(id -u)" -eq 0 ]; then
        sudo=
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        sudo='sudo -n'
    else
        return 1
    fi
    echo "lembro: the tests of stores, metrics and deployments need servers. As root, make now runs"
    echo "lembro:   apt-get update && apt-get install --no-install-recommends $*"
    echo "lembro: To install nothing, set LEMBRO_INSTALL=none. Their tests are then skipped."
    log=$(mktemp)
    # shellcheck disable=SC2086
    if $sudo env DEBIAN_FRONTEND=noninteractive sh -c \
        "apt-get -qq update && apt-get -qq install -y --no-install-recommends $*" \
        </dev/null >"$log" 2>&1; then
        rm -f "$log"
    else
        tail -n 5 "$log" >&2
        rm -f "$log"
        return 1
    fi
}

case ${1:-} in
ensure)
    packages=$(missing_packages | tr '\n' ' ')
    [ -n "$packages" ] || exit 0
    # shellcheck disable=SC2086
    if install_packages $packages; then exit 0; fi
    case ${CI:-} in
    true | True | TRUE | 1)
        echo "lembro: missing ($packages), and in CI nothing is skipped" >&2
        exit 1
        ;;
    *) echo "lembro: missing ($packages): the tests that need them are skipped" ;;
    esac
    ;;
*)
    echo "usage: sh tools/servers.sh ensure" >&2
    exit 2
    ;;
esac
