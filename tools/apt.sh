# Sourced by the tools that install Debian packages, after they define give_up: defines `apt`, which is apt-get as root.

command -v apt-get >/dev/null || give_up "apt-get not found"
if [ "$(id -u)" = 0 ]; then
    as_root=""
elif sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    give_up "installing packages needs root, or sudo without a password"
fi

apt() {
    $as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" >&2
}
