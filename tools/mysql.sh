#!/bin/sh
# Fetch the MySQL server that the tests start themselves, or print one line about what is missing.
#
#   tools/mysql.sh                        fetch it, unless it is there
#   tools/mysql.sh run PROGRAM [ARG …]    run one of its programs: mysqld, mysql, mysqldump, mysqlrouter, …
#
# Debian has MySQL's own server in its unstable suite only, and that suite's libc must not replace the system's. So nothing is
# installed: the packages, verified with Debian's keys, are unpacked below .venv/mysql, and the programs run with the loader
# and the libraries from there. It needs no root. BOXOFFICE_MYSQL_HOME names another folder.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
home=${BOXOFFICE_MYSQL_HOME:-$here/.venv/mysql}
root=$home/root
packages="mysql-server-core mysql-client-core mysql-router"
keys=/usr/share/keyrings/debian-archive-keyring.gpg

give_up() {
    echo "The tests on MySQL need its server, which could not be fetched ($1)" >&2
    exit 1
}

# The machine's own archive: the unstable suite lies beside the suite that is installed.
archive() {
    apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep -v security | head -n 1
}

# Lists of that one suite in a folder of their own, and a status without any package, so that apt names every package.
unstable() {
    command=$1
    shift
    "$command" -qq -o Dir::Etc::sourcelist="$home/apt/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State="$home/apt" \
        -o Dir::State::lists="$home/apt/lists" -o Dir::State::status="$home/apt/status" -o Dir::Cache="$home/apt" \
        -o Acquire::Languages=none -o APT::Sandbox::User="$(id -un)" -o APT::Get::AutomaticRemove=false "$@"
}

fetch() {
    [ "$(uname -m)" = x86_64 ] || give_up "this machine is not x86_64"
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || give_up "apt-get or dpkg-deb not found"
    [ -r "$keys" ] || give_up "$keys not found: install debian-archive-keyring"
    from=$(archive)
    [ -n "$from" ] || give_up "apt has no archive"
    mkdir -p "$home/apt/lists/partial" "$home/debs"
    : >"$home/apt/status"
    echo "deb [signed-by=$keys] $from sid main" >"$home/apt/sources.list"
    unstable apt-get update >&2 || give_up "apt-get update failed"
    # Each line is 'URL' file size digest. Perl and the like are for scripts of the packages, which nothing calls here.
    # shellcheck disable=SC2086
    unstable apt-get install --print-uris --no-install-recommends --yes $packages >"$home/apt/all" \
        || give_up "the archive has no $packages"
    grep -v -E "/(perl|perl-base|perl-modules-[0-9.]*|libperl[0-9.]*|gcc-[0-9]*-base|openssl-provider-legacy)_" "$home/apt/all" \
        >"$home/apt/wanted" || give_up "the archive has no $packages"
    awk '{ bytes += $3 } END { printf "Fetching MySQL for the tests (%d packages, %d MB; nothing is installed)\n", NR, bytes / 1e6 }' \
        "$home/apt/wanted" >&2
    rm -rf "$root.unfinished"
    mkdir -p "$root.unfinished"
    while read -r url file _ digest; do
        url=${url#\'} url=${url%\'}
        # It keeps a file with this digest, and fails on a file with another one.
        /usr/lib/apt/apt-helper -qq -o Dir::State="$home/apt" -o Dir::Cache="$home/apt" -o APT::Sandbox::User="$(id -un)" \
            download-file "$url" "$home/debs/$file" "$digest" >/dev/null </dev/null || give_up "could not fetch $file"
        dpkg-deb --extract "$home/debs/$file" "$root.unfinished" || give_up "could not unpack $file"
    done <"$home/apt/wanted"
    rm -rf "$home/debs" "$home/apt"
    mv "$root.unfinished" "$root"
}

# The loader is told of every folder with libraries, so the system's own are never mixed in.
run() {
    program=$1
    shift
    for folder in usr/sbin usr/bin; do
        if [ -x "$root/$folder/$program" ]; then
            exec "$root/usr/lib64/ld-linux-x86-64.so.2" \
                --library-path "$root/usr/lib/x86_64-linux-gnu:$root/usr/lib/mysql-router" "$root/$folder/$program" "$@"
        fi
    done
    give_up "there is no program $program"
}

if [ ! -d "$root" ]; then
    mkdir -p "$home"
    # One of several that start at once fetches it.
    (flock 9 && { [ -d "$root" ] || fetch; }) 9>"$home/lock"
fi
[ "${1:-}" != run ] || { shift && run "$@"; }
