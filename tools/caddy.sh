#!/bin/sh
# Fetch Caddy, the reverse proxy of deploy/Caddyfile, for the tests, or print one line about what is missing.
#
# Debian's package would start a service, so it is not installed: the program is unpacked below .venv/caddy.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)/.venv/caddy

give_up() {
    echo "The tests of the reverse proxy need Caddy, and are skipped: install it ($1)" >&2
    exit 1
}

if command -v caddy >/dev/null || [ -x "$root/usr/bin/caddy" ]; then
    exit 0
fi

command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || give_up "apt-get or dpkg-deb not found"
mkdir -p "$root"
download() {
    (cd "$root" && apt-get -qq -o APT::Sandbox::User="$(id -un)" download caddy >&2)
}

echo "Fetching Caddy for the tests of the reverse proxy (9 MB; nothing is installed)" >&2
if ! download 2>/dev/null; then
    . "$(dirname "$0")/apt.sh"
    apt update || echo "apt-get update failed; trying with the existing package lists" >&2
    download || give_up "apt-get could not download it"
fi
dpkg-deb --extract "$root"/caddy_*.deb "$root" || give_up "could not unpack it"
rm "$root"/caddy_*.deb
