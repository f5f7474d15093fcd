#!/usr/bin/env bash
# The packages as a stranger gets them: .ci/package.sh FOLDER-OF-BUILT-PROGRAMS [PAGES]
# Made, looked at, installed into a root of their own (clean_root.py, which copies Debian's packages of this machine), run there: the daemon as its
# own user, asked by the client of the wheel over the socket and through the gateway; then removed. Leaves nothing behind. With PAGES, a folder that
# package/pages.sh made, it needs no cargo.
set -euo pipefail

fail() {
    echo "package: $*" >&2
    [ -s "${folder:-/nonexistent}/log" ] && tail -n 20 "$folder/log" >&2
    exit 1
}

[ $# -eq 1 ] || [ $# -eq 2 ] || fail "usage: .ci/package.sh FOLDER-OF-BUILT-PROGRAMS [PAGES]"
project=$(realpath "$(dirname "$0")/..")
folder=$(mktemp -d)
running=()
cleanup() {
    [ ${#running[@]} -eq 0 ] || kill -KILL "${running[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

begin=$SECONDS
"$project/package/build.sh" "$1" "$folder/out" "${@:2}" >"$folder/log" 2>&1 || fail "they cannot be made"
made=$((SECONDS - begin))
debs=("$folder"/out/*.deb)
[ ${#debs[@]} -eq 3 ] || fail "${#debs[@]} packages were made, not 3"

# what each must bring; what each command line says has a page
for package in vigie vigie-web vigie-notify; do
    deb=("$folder/out/${package}_"*.deb)
    dpkg-deb --contents "${deb[0]}" >"$folder/contents"
    wanted=("usr/bin/$package" "usr/share/man/man1/$package.1.gz" "usr/share/bash-completion/completions/$package"
        "usr/share/zsh/vendor-completions/_$package" "usr/share/fish/vendor_completions.d/$package.fish" "usr/share/doc/$package/copyright")
    case $package in
    vigie)
        wanted+=(usr/lib/systemd/system/vigie.service usr/lib/sysusers.d/vigie.conf usr/lib/tmpfiles.d/vigie.conf etc/vigie/config.toml
            usr/share/doc/vigie/gateway.md)
        for command in $("$1/vigie" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]\+\) .*/\1/p'); do
            [[ " help web notify " == *" $command "* ]] || wanted+=("usr/share/man/man1/vigie-$command.1.gz")
        done
        ;;
    vigie-web)
        wanted+=(usr/lib/systemd/system/vigie-web.service usr/lib/systemd/system/vigie-gateway.service
            usr/share/man/man1/vigie-web-gateway.1.gz usr/share/man/man1/vigie-web-trader.1.gz)
        ;;
    vigie-notify)
        wanted+=(usr/lib/systemd/system/vigie-notify.service etc/vigie-notify/notify.toml usr/share/man/man1/vigie-notify-check.1.gz)
        ;;
    esac
    for path in "${wanted[@]}"; do
        grep -q " \./$path\$" "$folder/contents" || fail "$package has no $path"
    done
    ! grep -vE '^[-dl][-rwx]+ root/root ' "$folder/contents" || fail "$package has files that are not root's"
    # every unit's document is brought along, and every program it runs
done
dpkg-deb --contents "$folder"/out/vigie_*.deb >"$folder/contents"
for unit in vigie vigie-web vigie-gateway vigie-notify; do
    document=$(sed -n 's#^Documentation=file://##p' "$project/systemd/$unit.service")
    grep -q " \.$document\$" "$folder/contents" || fail "$unit.service names $document, which no package has"
done
echo "three packages and the wheel made in $made s"

if [ "$(id -u)" -ne 0 ] || ! unshare --mount true 2>/dev/null || ! dpkg -s systemd python3 python3-pip >/dev/null 2>&1; then
    echo "skipped: they are not installed and run here, which needs root, unshare and Debian's systemd, python3 and python3-pip"
    exit 0
fi

root=$folder/root
# with a /proc that is gone when the command ends; with start=exec in the place of a shell in the background, so that its id is known
in_root() {
    ${start:-} unshare --mount sh -c 'mount -t proc proc "$1/proc" && exec chroot "$@"' sh "$root" /usr/bin/env -i PATH=/usr/local/bin:/usr/bin:/usr/sbin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive "$@"
}
# as USER COMMAND...
as() {
    local user=$1
    shift
    in_root setpriv --reuid="$user" --regid="$user" --init-groups "$@"
}
/usr/bin/python3 "$project/.ci/clean_root.py" "$root" systemd python3 python3-pip >>"$folder/log" 2>&1 || fail "the clean root cannot be made"
mkdir -p "$root/packages"
cp "$folder"/out/* "$root/packages/"
in_root sh -c 'dpkg -i /packages/*.deb' >>"$folder/log" 2>&1 || fail "they cannot be installed"
in_root sh -c 'python3 -m pip install --quiet --no-index --break-system-packages /packages/*.whl' >>"$folder/log" 2>&1 || fail "the wheel cannot be installed"

version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' "$project/Cargo.toml")
for program in vigie vigie-web vigie-notify; do
    in_root "$program" --version | grep -qF " $version" || fail "$program --version says: $(in_root "$program" --version)"
done
in_root vigie web --version >/dev/null || fail "vigie finds no vigie-web"
for user in vigie vigie-web vigie-gateway vigie-notify; do
    in_root id "$user" >/dev/null || fail "there is no user $user"
done
owners=$(in_root stat -c '%a %U %G' /etc/vigie /etc/vigie/config.toml /etc/vigie-notify/notify.toml /etc/vigie-notify/secrets | tr '\n' ' ')
[ "$owners" = "750 root vigie 640 root vigie 640 root vigie-notify 700 root root " ] || fail "modes and owners: $owners"
in_root vigie check /etc/vigie/config.toml >>"$folder/log" 2>&1 || fail "the configuration that is installed has faults"

# what the units do
in_root install -d -m 0700 -o vigie -g vigie /var/lib/vigie
in_root install -d -m 0750 -o vigie -g vigie /run/vigie
in_root install -d -m 0700 -o vigie-gateway -g vigie-gateway /var/lib/vigie-gateway
sed -i 's/^trader_users = \[\]/trader_users = ["vigie-gateway"]/' "$root/etc/vigie/config.toml"
start=exec as vigie vigie run --config /etc/vigie/config.toml --state /var/lib/vigie --socket /run/vigie/vigie.sock >>"$folder/log" 2>&1 &
running+=($!)
client() {
    in_root env VIGIE_TOKEN="${token:-}" vigie-client --timeout 10 --socket "$@"
}
until_answered() {
    local tries
    for tries in $(seq 1 300); do
        client "$1" ping >/dev/null 2>>"$folder/log" && return
        kill -0 "${running[-1]}" 2>/dev/null || fail "it ended at once"
        sleep 0.1
    done
    fail "nobody answers at $1"
}
until_answered /run/vigie/vigie.sock
signal=/usr/share/doc/vigie/signal.json
client /run/vigie/vigie.sock score "$signal" | grep -q '"ok": true.*"reason": "no_model"' || fail "no answer to a signal over the socket"
# not even the service's own gateway may order something
token=$(as vigie-gateway vigie-web trader clean --traders /var/lib/vigie-gateway/traders 2>>"$folder/log")
start=exec as vigie-gateway vigie-web gateway --listen 127.0.0.1:18178 --socket /run/vigie/vigie.sock --traders /var/lib/vigie-gateway/traders >>"$folder/log" 2>&1 &
running+=($!)
until_answered http://127.0.0.1:18178
client http://127.0.0.1:18178 score "$signal" | grep -q '"ok": true.*"reason": "no_model"' || fail "no answer to a signal through the gateway"
as vigie-gateway vigie lock --reason "not to be taken" --socket /run/vigie/vigie.sock >>"$folder/log" 2>&1 && fail "the gateway's user may order"
kill -TERM "${running[@]}"
wait "${running[@]}" 2>/dev/null || true
running=()

in_root dpkg -r vigie-notify vigie-web vigie >>"$folder/log" 2>&1 || fail "they cannot be removed"
[ ! -e "$root/usr/bin/vigie" ] && [ -e "$root/etc/vigie/config.toml" ] && [ -e "$root/var/lib/vigie/vigie.redb" ] ||
    fail "removing them took what is the operator's, or left what is not: $(ls "$root/usr/bin" "$root/var/lib/vigie" | grep vigie)"
echo "installed into a clean root, run there as their own users, asked by the client of the wheel, and removed: $((SECONDS - begin)) s"
