#!/bin/sh
# Checks what is in systemd/ without a running systemd: .ci/systemd.sh PATH-OF-A-BUILT-VIGIE
# The programs of the page and of the notifications are to lie beside it.
#   1. the units are valid and all they run exists         (systemd-analyze verify in a scratch root)
#   2. their sandboxes are exposed no more than they must be: the daemon to 0.5, the page and the gateway, which have a port
#      on loopback, to 1.1, the notifications, which reach out to the network, to 1.3
#                                                           (systemd-analyze security; the threshold counts tenths)
#   3. the user, group and folders come out as meant       (systemd-sysusers and systemd-tmpfiles in the scratch root)
set -eu

fail() {
    echo "systemd: $*" >&2
    exit 1
}

[ $# -eq 1 ] || fail "usage: .ci/systemd.sh PATH-OF-A-BUILT-VIGIE"
binary=$1
[ -f "$binary" ] && [ -x "$binary" ] || fail "$binary is not an executable file; build vigie first"
for tool in systemd-analyze systemd-sysusers systemd-tmpfiles; do
    command -v "$tool" >/dev/null || fail "$tool is missing; install systemd"
done
page=$(dirname "$binary")/vigie-web
[ -x "$page" ] || fail "$page is not there; \`cargo build -p vigie-web\` builds it"
notify=$(dirname "$binary")/vigie-notify
[ -x "$notify" ] || fail "$notify is not there; \`cargo build -p vigie-notify\` builds it"
units=$(dirname "$0")/../systemd
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
trap 'exit 1' HUP INT TERM

mkdir -p "$root/usr/bin" "$root/usr/lib/systemd" "$root/etc/systemd/system" "$root/etc/vigie" "$root/run" "$root/var/lib"
ln -s usr/bin "$root/bin"
cp -r /usr/lib/systemd/system "$root/usr/lib/systemd/"
cp "$binary" "$root/usr/bin/vigie"
cp /bin/kill "$root/usr/bin/kill"
cp "$page" "$root/usr/bin/vigie-web"
cp "$notify" "$root/usr/bin/vigie-notify"
cp "$units"/*.service "$root/etc/systemd/system/"
# verify exits with 0 on a setting it does not know, so what it prints is what counts
check() {
    said=$(systemd-analyze verify --man=no --root="$root" "$1" 2>&1) || fail "$1 is not valid:
$said"
    said=$(printf '%s\n' "$said" | grep -F vigie || true)
    [ -z "$said" ] || fail "$1 draws warnings:
$said"
    said=$(systemd-analyze security --offline=true --no-pager --threshold="$2" "$units/$1" 2>&1) || fail "the sandbox \
of $1 is too open:
$(printf '%s\n' "$said" | grep -v '^✓')"
    printf '%s\n' "$said" | grep -F "Overall exposure level"
}
check vigie.service 5
check vigie-web.service 11
check vigie-gateway.service 11
check vigie-notify.service 13

mkdir -p "$root/usr/lib/sysusers.d" "$root/usr/lib/tmpfiles.d"
cp "$units/vigie.sysusers" "$root/usr/lib/sysusers.d/vigie.conf"
cp "$units/vigie.tmpfiles" "$root/usr/lib/tmpfiles.d/vigie.conf"
systemd-sysusers --root="$root" vigie.conf || fail "vigie.sysusers is not valid"
grep -q '^vigie:.*:/var/lib/vigie:/usr/sbin/nologin$' "$root/etc/passwd" || fail "vigie.sysusers makes no user vigie"
group=$(sed -n 's/^vigie:[^:]*:\([0-9]*\):.*/\1/p' "$root/etc/group")
[ -n "$group" ] || fail "vigie.sysusers makes no group vigie"
grep -q '^vigie:.*[:,]vigie-web\(,\|$\)' "$root/etc/group" || fail "vigie.sysusers gives vigie-web no way to the socket"
grep -q '^vigie:.*[:,]vigie-gateway\(,\|$\)' "$root/etc/group" || fail "vigie.sysusers gives vigie-gateway no way to the socket"
grep -q '^vigie:.*[:,]vigie-notify\(,\|$\)' "$root/etc/group" || fail "vigie.sysusers gives vigie-notify no way to the socket"

touch "$root/etc/vigie/config.toml"
systemd-tmpfiles --create --root="$root" vigie.conf || fail "vigie.tmpfiles is not valid"
if [ "$(id -u)" -eq 0 ]; then
    owners=$(stat -c '%a %u %g' "$root/etc/vigie" "$root/etc/vigie/config.toml" | tr '\n' ' ')
    [ "$owners" = "750 0 $group 640 0 $group " ] || fail "vigie.tmpfiles leaves modes and owners $owners"
fi
echo "systemd: units, sandboxes, user and folders are in order"
