#!/bin/sh
# Install Galera's library, with which the tests run a cluster of MariaDB servers, or print one line about what to do instead.
#
# Installs one package (Debian's galera-4, less than 3 MB) without services or further dependencies.
set -eu

found() {
    for library in /usr/lib/galera /usr/lib64/galera /usr/lib64/galera-4 /usr/lib; do
        [ ! -e "$library/libgalera_smm.so" ] || return 0
    done
    return 1
}

give_up() {
    echo "The cluster tests need Galera: install its library (galera-4), or set BOXOFFICE_TEST_MYSQL_URL=mysql+asyncmy://user:password@host:3306/ to skip them ($1)" >&2
    exit 1
}

if [ -n "${BOXOFFICE_TEST_MYSQL_URL:-}" ] || found; then
    exit 0
fi

. "$(dirname "$0")/apt.sh"

echo "Installing Galera for the tests (the library only, no service)" >&2
apt install --yes --no-remove --no-install-recommends galera-4 || {
    apt update || echo "apt-get update failed; trying with the existing package lists" >&2
    apt install --yes --no-remove --no-install-recommends galera-4 || give_up "apt-get could not install galera-4"
}
found || give_up "galera-4 contains no libgalera_smm.so"
