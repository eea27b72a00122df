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

. "$(dirname "$0")/apt.sh"

echo "Installing Node.js for the tests of generated clients" >&2
apt update || echo "apt-get update failed; trying with the existing package lists" >&2
apt install --yes --no-remove --no-install-recommends nodejs npm || give_up "apt-get could not install them"
found || give_up "the packages contain no node or npm"
