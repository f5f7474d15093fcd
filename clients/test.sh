#!/usr/bin/env bash
# Tests of all clients, against servers that misbehave and against the real daemon: clients/test.sh PATH-OF-A-BUILT-VIGIE
#
# Needs python3 3.9 or later. Installs nothing: what has no compiler (cc; mcs with mono) or no package (numpy, pandas) is
# skipped, and the summary says so. VIGIE_WHEEL=yes also builds the wheel, for which pip fetches hatchling into a folder that
# is removed. VIGIE_LONG=1 sends more signals in the search for leaks. VIGIE_PYTHON names another Python.
set -euo pipefail
[ $# -eq 1 ] && [ -x "$1" ] || { echo "usage: clients/test.sh PATH-OF-A-BUILT-VIGIE" >&2; exit 2; }
VIGIE_BINARY=$(realpath "$1")
export VIGIE_BINARY
cd "$(dirname "$0")"
exec "${VIGIE_PYTHON:-python3}" -W error -B tests/run.py
