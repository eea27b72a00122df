#!/bin/sh
# Install the MariaDB server that the tests start themselves, or print one line about what to do instead.
#
# Installs only the packages with the programs (Debian's mariadb-server-core, and mariadb-client for mariadb-dump), not the
# service: it starts nothing, creates no user, data directory or setting, and removes no package.
set -eu

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

found() {
    for program in mariadbd mariadb-install-db my_print_defaults mariadb mariadb-dump; do
        command -v "$program" >/dev/null || return 1
    done
}

give_up() {
    echo "The tests need MariaDB: install its server (mariadbd), or set BOXOFFICE_TEST_MYSQL_URL=mysql+asyncmy://user:password@host:3306/ ($1)" >&2
    exit 1
}

if [ -n "${BOXOFFICE_TEST_MYSQL_URL:-}" ] || found; then
    exit 0
fi

. "$(dirname "$0")/apt.sh"

# On Ubuntu 22.04 the package's name contains the version.
server_package() {
    apt-cache search --names-only '^mariadb-server-core(-[0-9.]+)?$' | cut -d ' ' -f 1 | sort -V | head -n 1
}

echo "Installing MariaDB's server for the tests (the programs only, no service)" >&2
apt update || echo "apt-get update failed; trying with the existing package lists" >&2
server=$(server_package)
[ -n "$server" ] || give_up "no package mariadb-server-core found"
client=$(echo "$server" | sed 's/server-core/client/')
apt install --yes --no-remove --no-install-recommends "$server" "$client" || give_up "apt-get could not install $server"
found || give_up "$server contains no mariadbd"
