#!/usr/bin/env bash
# A whole life of the built program through its real socket: .ci/end-to-end.sh PATH-OF-A-BUILT-VIGIE
# Import, train, serve, promote, replay, lock, a kill, a reload, a stop. Everything happens in a folder that is removed.
set -euo pipefail

fail() {
    echo "end to end: $*" >&2
    [ -s "${log:-}" ] && sed 's/^/    /' "$log" | tail -n 20 >&2
    exit 1
}

[ $# -eq 1 ] || fail "usage: .ci/end-to-end.sh PATH-OF-A-BUILT-VIGIE"
[ -x "$1" ] || fail "$1 is not an executable file; build vigie first"
binary=$(realpath "$1")
project=$(realpath "$(dirname "$0")/..")
folder=$(mktemp -d)
log=$folder/log
daemon=
cleanup() {
    if [ -n "$daemon" ]; then
        kill -KILL "$daemon" 2>/dev/null && wait "$daemon" 2>/dev/null || true
    fi
    rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM
cd "$folder"
signals=$project/examples/signals.jsonl.gz

# holds WHAT EXPRESSION: reads one JSON object and holds it, as `a`, against a Python expression
holds() {
    python3 -c 'import json, sys
a = json.load(sys.stdin)
if not eval(f"({sys.argv[1]})"):
    sys.exit(f"{sys.argv[1]} does not hold of {json.dumps(a)[:2000]}")' "$2" || fail "$1"
}

# expect CODE COMMAND...: the command must end with that exit code
expect() {
    local wanted=$1 code=0
    shift
    "$@" >"$folder/said" 2>&1 || code=$?
    [ "$code" -eq "$wanted" ] || fail "\`${*/#$binary/vigie}\` ended with $code instead of $wanted: $(cat "$folder/said")"
}

start() {
    "$binary" run --config my.toml >>"$log" 2>&1 &
    daemon=$!
    local try
    for try in $(seq 200); do
        "$binary" status >/dev/null 2>&1 && return
        kill -0 "$daemon" 2>/dev/null || fail "the daemon ended while it was starting"
        sleep 0.1
    done
    fail "the daemon did not answer within 20 s"
}

hash_is() {
    "$binary" status --json | holds "$1" "a['config_hash'] $2 '$3'"
}

# with time enough for a machine that is busy with other things
holdback() {
    # all of the trades are to be scored: emergencies are for the demonstration at the end
    printf '[server]\ndeadline_us = 1000000\n[scoring]\nholdback = %s\n' "$1" >my.toml
    # and a version that passes its gates waits for the orders below
    printf '[lifecycle]\nstage_validated = false\n' >>my.toml
    printf '[guardian]\nliteral = true\nmin_accuracy = 0\nmax_loss_streak = 99\ndaily_loss_factor = 100\n' >>my.toml
}

holdback 0.2
"$binary" check my.toml
expect 4 "$binary" status
"$binary" import --json "$signals" | holds "import" "a['stored'] == a['lines'] == 1100 and a['rejected'] == 0"
"$binary" import --json "$signals" | holds "import again" "a['stored'] == 0 and a['duplicates'] == 1100"
"$binary" train --json --keep |
    holds "train" "a['version'] == 'ES/1' and a['registered'] and a['metrics']['test_auc'] > 0.6 and a['verdict']"
echo "end to end: imported, trained"

start
python3 "$project/clients/python/vigie.py" --socket vigie-state/vigie.sock ping | holds "ping" "a['ok']"
"$binary" score --json --deadline-ms 2000 "$project/examples/signal.json" |
    holds "a trained model influences nothing" "a['arm'] == 'baseline' and a['reason'] == 'no_model'"
expect 1 "$binary" promote ES/1 --to production --reason "no test was run"
expect 0 "$binary" promote ES/1 --to production --override --reason "end to end"
"$binary" score --json --deadline-ms 2000 "$project/examples/signal.json" |
    holds "a model in production speaks" "a['ok'] and (a['arm'], a['model']) == ('ml', 'ES/1') and 0 < a['score'] < 1"

# the same trades under other names, so that their outcomes are new
gzip -dc "$signals" | sed 's/"EX-/"EY-/' >renamed.jsonl
"$binary" replay --json renamed.jsonl | holds "replay" \
    "a['scored'] == a['acknowledged'] + a['let_go'] == 1100 and a['matched'] == a['acknowledged'] and 0 < a['let_go']
     and a['duplicates'] == 0 and a['refused'] == {} and a['reasons']['production'] + a['reasons']['holdback'] == 1100 and 0.15 < a['reasons']['holdback'] / 1100 < 0.25"
"$binary" replay --json renamed.jsonl | holds "replay again" "a['acknowledged'] == a['duplicates'] > 500 and a['refused'] == {}"
"$binary" status --json | holds "status" \
    "a['counts']['outcomes'] + a['counts']['skips'] == 2200 and a['counts']['decisions'] == a['scorer']['answered'] == 2202
     and a['counts']['signals'] == 3302 and a['restarts'] == a['rejected'] == a['journal']['dropped'] == 0"
(cd "$project/clients/python" &&
    VIGIE_SOCKET=$folder/vigie-state/vigie.sock python3 -W error -B -m unittest -q test_vigie.DaemonTest)
echo "end to end: scored, promoted, replayed"

expect 0 "$binary" lock --reason "end to end"
kill -KILL "$daemon"
wait "$daemon" 2>/dev/null || true
start
"$binary" score --json --deadline-ms 2000 "$project/examples/signal.json" |
    holds "a lock survives a kill" "a['arm'] == 'baseline' and a['reason'] == 'locked'"
"$binary" status --json | holds "what was acknowledged survives a kill" "a['counts']['outcomes'] + a['counts']['skips'] >= 2200"
expect 0 "$binary" resume --reason "end to end"
"$binary" score --json --deadline-ms 2000 "$project/examples/signal.json" | holds "resumed" "a['arm'] == 'ml'"
echo "end to end: locked, killed, resumed"

# a reload is all or nothing; the socket answers in between, so a round trip follows the signal
before=$("$binary" check --json my.toml | python3 -c 'import json, sys; print(json.load(sys.stdin)["hash"])')
hash_is "the file is in force" == "$before"
holdback 0.3
after=$("$binary" check --json my.toml | python3 -c 'import json, sys; print(json.load(sys.stdin)["hash"])')
kill -HUP "$daemon"
for try in $(seq 50); do
    "$binary" status --json | grep -qF "$after" && break
    sleep 0.1
done
hash_is "SIGHUP takes a good file" == "$after"
holdback 2
expect 3 "$binary" check my.toml
kill -HUP "$daemon"
expect 1 "$binary" reload
hash_is "SIGHUP and reload refuse a bad file" == "$after"

begin=$(date +%s%N)
kill -TERM "$daemon"
code=0
wait "$daemon" || code=$?
took=$((($(date +%s%N) - begin) / 1000000))
daemon=
[ "$code" -eq 0 ] || fail "SIGTERM ended the daemon with $code"
[ "$took" -lt 2000 ] || fail "SIGTERM took $took ms"
[ ! -e vigie-state/vigie.sock ] || fail "the socket was left behind"
expect 4 "$binary" score "$project/examples/signal.json"
echo "end to end: reloaded, stopped in $took ms"

# the whole life of a model on a daemon of its own: trained, tested, promoted, an emergency, a kill -9, the way back
expect 0 "$binary" demo --scenario crash --seed 1
grep -q "earned production" "$folder/said" || fail "the demonstration tells of no promotion: $(cat "$folder/said")"
grep -qi "emergency" "$folder/said" || fail "the demonstration tells of no emergency: $(cat "$folder/said")"
[ -s vigie-demo.html ] || fail "the demonstration wrote no report"
echo "end to end: the demonstration of a crash went as it should"
