#!/bin/sh
# Bring Galera's library, which makes a cluster of the MariaDB servers that the tests start, or say in one line what to set.
#
# One package (Debian's galera-4, less than 3 MB), which starts nothing and depends on nothing that is not there already.
set -eu

found() {
    for library in /usr/lib/galera /usr/lib64/galera /usr/lib64/galera-4 /usr/lib; do
        [ ! -e "$library/libgalera_smm.so" ] || return 0
    done
    return 1
}

give_up() {
    echo "The tests of a cluster need Galera: install its library (galera-4), or set BOXOFFICE_TEST_MYSQL_URL=mysql+asyncmy://user:password@host:3306/ to leave them out ($1)" >&2
    exit 1
}

if [ -n "${BOXOFFICE_TEST_MYSQL_URL:-}" ] || found; then
    exit 0
fi

command -v apt-get >/dev/null || give_up "no apt-get here to install it with"
if [ "$(id -u)" = 0 ]; then
    as_root=""
elif sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    give_up "neither root nor sudo without a password, to install it with"
fi

apt() {
    $as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" >&2
}

echo "Installing Galera for the tests (the library only, no service)" >&2
apt install --yes --no-remove --no-install-recommends galera-4 || {
    apt update || echo "apt-get update failed; trying with the lists that are here" >&2
    apt install --yes --no-remove --no-install-recommends galera-4 || give_up "apt-get could not install galera-4"
}
found || give_up "galera-4 brought no libgalera_smm.so"
