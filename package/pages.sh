#!/usr/bin/env bash
# Makes the man pages and completions of vigie, vigie-web and vigie-notify from their command lines: package/pages.sh OUT [PROFILE]
# Only this part of the packages needs cargo; PROFILE is one whose builds are there already, such as release.
set -euo pipefail
[ $# -eq 1 ] || [ $# -eq 2 ] || { echo "usage: package/pages.sh OUT [PROFILE]" >&2; exit 2; }
mkdir -p "$1"
out=$(realpath "$1")
cd "$(dirname "$0")/.."
for program in vigie vigie-web vigie-notify; do
    rm -rf "${out:?}/$program"
    cargo run --locked --quiet --profile "${2:-dev}" -p "$program" --example pages -- "$out/$program"
done
