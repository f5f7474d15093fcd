#!/usr/bin/env bash
# Makes the Debian packages vigie, vigie-web and vigie-notify and the Python wheel: package/build.sh FOLDER-OF-BUILT-PROGRAMS OUT [PAGES]
#
# Needs dpkg-deb, gzip, and pip for the wheel (VIGIE_WHEEL=no leaves it out). PAGES is a folder that package/pages.sh made; without it cargo makes
# the man pages and completions now. Needs no root.
# cargo-deb would do the same, but takes longer to install than all of this to run, and it packs one crate at a time.
set -euo pipefail
[ $# -eq 2 ] || [ $# -eq 3 ] || { echo "usage: package/build.sh FOLDER-OF-BUILT-PROGRAMS OUT [PAGES]" >&2; exit 2; }
programs=$(realpath "$1")
mkdir -p "$2"
out=$(realpath "$2")
pages=${3:+$(realpath "$3")}
cd "$(dirname "$0")/.."
for program in vigie vigie-web vigie-notify; do
    [ -x "$programs/$program" ] || { echo "$programs/$program is not there; cargo build --release --workspace" >&2; exit 1; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
umask 022
version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)
architecture=$(dpkg --print-architecture)
if [ -z "$pages" ]; then
    pages=$work/pages
    profile=dev
    [ "$(basename "$programs")" != release ] || profile=release
    package/pages.sh "$pages" "$profile"
fi

# the newest version of the C library that a program asks for
libc() {
    grep -aoE 'GLIBC_2\.[0-9]+' "$1" | sed 's/GLIBC_//' | sort -uV | tail -n 1
}

# file MODE FROM PACKAGE-AND-PATH
file() {
    install -D -m "$1" "$2" "$work/$3"
}

# compressed without a name and a time, so that the same source makes the same package
gz() {
    mkdir -p "$(dirname "$work/$2")"
    gzip -9n <"$1" >"$work/$2"
}

# what each package has: program, man pages, completions, copyright
common() {
    local package=$1 page
    file 0755 "$programs/$package" "$package/usr/bin/$package"
    for page in "$pages/$package"/man/*.1; do
        # `vigie web` and `vigie notify` are told by the pages of the programs that they start
        [ "$package" = vigie ] && [[ $(basename "$page") =~ ^vigie-(web|notify)(-.*)?\.1$ ]] && continue
        gz "$page" "$package/usr/share/man/man1/$(basename "$page").gz"
    done
    file 0644 "$pages/$package/completions/$package.bash" "$package/usr/share/bash-completion/completions/$package"
    file 0644 "$pages/$package/completions/_$package" "$package/usr/share/zsh/vendor-completions/_$package"
    file 0644 "$pages/$package/completions/$package.fish" "$package/usr/share/fish/vendor_completions.d/$package.fish"
    file 0644 LICENSE "$package/usr/share/doc/$package/copyright"
    gz CHANGELOG.md "$package/usr/share/doc/$package/changelog.gz"
}

# pack PACKAGE DEPENDS DESCRIPTION: with the scripts and the list of configuration files in package/debian
pack() {
    local package=$1 depends=$2 description=$3 root=$work/$1 script
    mkdir -p "$root/DEBIAN" "$root/etc"
    for script in postinst prerm postrm; do
        [ ! -f "package/debian/$package.$script" ] || install -m 0755 "package/debian/$package.$script" "$root/DEBIAN/$script"
    done
    (cd "$root" && find etc -type f -printf '/%p\n' | sort) >"$root/DEBIAN/conffiles"
    [ -s "$root/DEBIAN/conffiles" ] || rm "$root/DEBIAN/conffiles"
    (cd "$root" && find usr etc -type f -print0 | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
    find "$root/etc" -maxdepth 0 -empty -delete
    cat >"$root/DEBIAN/control" <<CONTROL
Package: $package
Version: $version
Architecture: $architecture
Maintainer: vigie contributors <vigie@localhost>
Installed-Size: $(du -k -s --exclude=DEBIAN "$root" | cut -f1)
Depends: libc6 (>= $(libc "$programs/$package")), libgcc-s1, $depends
Section: misc
Priority: optional
Description: $description
CONTROL
    SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)} \
        dpkg-deb --root-owner-group -Zgzip --build "$root" "$out/${package}_${version}_$architecture.deb" >/dev/null
}

for package in vigie vigie-web vigie-notify; do
    common "$package"
done
file 0644 systemd/vigie.service vigie/usr/lib/systemd/system/vigie.service
file 0644 systemd/vigie.sysusers vigie/usr/lib/sysusers.d/vigie.conf
file 0644 systemd/vigie.tmpfiles vigie/usr/lib/tmpfiles.d/vigie.conf
file 0640 config.toml vigie/etc/vigie/config.toml
for document in README.md docs/*.md examples/signal.json examples/signals.jsonl.gz; do
    file 0644 "$document" "vigie/usr/share/doc/vigie/$(basename "$document")"
done
for schema in docs/schema/*.json; do
    file 0644 "$schema" "vigie/usr/share/doc/vigie/schema/$(basename "$schema")"
done
file 0644 clients/c/vigie.h vigie/usr/include/vigie.h
file 0644 clients/csharp/Vigie.cs vigie/usr/share/vigie/Vigie.cs
for unit in vigie-web vigie-gateway; do
    file 0644 "systemd/$unit.service" "vigie-web/usr/lib/systemd/system/$unit.service"
done
file 0644 systemd/vigie-notify.service vigie-notify/usr/lib/systemd/system/vigie-notify.service
file 0640 notify/notify.toml vigie-notify/etc/vigie-notify/notify.toml
install -d -m 0700 "$work/vigie-notify/etc/vigie-notify/secrets"

pack vigie "systemd (>= 249) | systemd-standalone-sysusers" \
    "lookout beside an automated futures trader
 Scores each signal of a rule-based strategy with a model that had to earn it, and steps aside the moment anything is not right.
 The daemon is not started by this package: see /usr/share/doc/vigie/README.md."
pack vigie-web "vigie (= $version)" "page, metrics and gateway over HTTP of vigie
 Shows a running daemon in a browser, tells Prometheus about it, and speaks its protocol over HTTP for traders who cannot open its
 socket; on loopback."
pack vigie-notify "vigie (= $version)" "notifications of vigie
 Sends what a running daemon alerts of to webhooks, Slack, Discord, Telegram and by e-mail, at least once and in order."

if [ "${VIGIE_WHEEL:-yes}" = yes ]; then
    python3 -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$out" clients/python
fi
ls "$out"
