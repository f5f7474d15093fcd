/* Asks the daemon about one signal, trades it as the answer says, and reports the outcome.
 *
 *     cc -std=c99 -O2 -o example example.c -lm && ./example vigie-state/vigie.sock
 */
#define VIGIE_IMPLEMENTATION
#include "vigie.h"

#include <stdio.h>

static vigie_client client; /* about 130 KiB: static, and not on a small stack */

/* the signal as the strategy sees it, without its id and confidence */
static const char *members_of_signal(char *buffer, size_t size) {
    vigie_json json;
    vigie_json_begin(&json, buffer, size);
    vigie_json_string(&json, "at", "2025-11-04T15:02:11Z");
    vigie_json_string(&json, "symbol", "ES");
    vigie_json_string(&json, "side", "long");
    vigie_json_object(&json, "features");
    vigie_json_number(&json, "vwap_trend_signal", 0.71);
    vigie_json_number(&json, "level_proximity", 0.55);
    vigie_json_null(&json, "recent_momentum"); /* not known: null, never 0 or NAN */
    vigie_json_end(&json);
    return vigie_json_text(&json);
}

int main(int argc, char **argv) {
    char buffer[8192];
    const char *trade_id = argc > 2 ? argv[2] : "C-20251104-001";
    vigie_decision decision;
    vigie_ack ack;
    long contracts;
    if (argc < 2) {
        fprintf(stderr, "usage: example SOCKET [TRADE-ID]\n");
        return 2;
    }
    if (vigie_init(&client, argv[1]) != 0) fprintf(stderr, "%s is too long for a socket\n", argv[1]);

    decision = vigie_score(&client, trade_id, 0.62, members_of_signal(buffer, sizeof buffer), VIGIE_DEADLINE_US);
    contracts = vigie_contracts(&decision, 2, 4);
    printf("%s: confidence %.4f, %ld contracts, %s\n", decision.spoke ? "ml" : "baseline", decision.confidence, contracts,
           decision.reason);
    if (contracts == 0) return vigie_skip(&client, trade_id, "the model asks for no trade", 2000000, &ack) == 0 ? 0 : 1;

    /* ... the trade is made and closed ... */
    decision.size = (double)contracts / 2; /* what was traded, as a multiple of the strategy's own 2 contracts */
    if (vigie_outcome(&client, trade_id,
                      "{\"exit_at\":\"2025-11-04T15:40:00Z\",\"pnl\":137.5,\"exit_reason\":\"take_profit\"}", &decision,
                      2000000, &ack) != 0) {
        fprintf(stderr, "not acknowledged (%s: %s); keep it%s\n", ack.code, ack.message,
                ack.temporary ? " and send it again later" : ", and have a person look");
        return 1;
    }
    printf("the outcome is on disk%s\n", ack.duplicate ? ", and was before" : "");
    vigie_close(&client);
    return 0;
}
