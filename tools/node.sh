#!/bin/sh
# Install Node.js and npm, which the tests of generated clients need, or print one line about what is missing.
set -eu

found() {
    command -v node >/dev/null && command -v npm >/dev/null
}

give_up() {
    echo "The tests of generated clients need Node.js 18 or newer with npm ($1)" >&2
    exit 1
}

if found; then
    exit 0
fi

command -v apt-get >/dev/null || give_up "apt-get not found"
if [ "$(id -u)" = 0 ]; then
    as_root=""
elif sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    give_up "installing them needs root, or sudo without a password"
fi

apt() {
    $as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" >&2
}

echo "Installing Node.js for the tests of generated clients" >&2
apt update || echo "apt-get update failed; trying with the existing package lists" >&2
apt install --yes --no-remove --no-install-recommends nodejs npm || give_up "apt-get could not install them"
found || give_up "the packages contain no node or npm"
