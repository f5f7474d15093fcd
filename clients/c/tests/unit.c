/* Tests of the C client's JSON: what is read, what is refused, what is written. Prints what failed and exits with 1. */
#define VIGIE_IMPLEMENTATION
#include "../vigie.h"

#include <locale.h>

static int failures, checks;

static void check_(bool holds, const char *what, int line) {
    checks++;
    if (holds) return;
    failures++;
    fprintf(stderr, "unit.c:%d: %s does not hold\n", line, what);
}
#define CHECK(condition) check_((condition), #condition, __LINE__)

static bool is_json(const char *text) {
    const char *end = text + strlen(text), *at = vigie_value(vigie_blank(text, end), end, 0);
    return at != NULL && vigie_blank(at, end) == end;
}

static bool number(const char *text, double *value) {
    vigie_part part;
    part.from = text;
    part.to = text + strlen(text);
    return vigie_double(part, value);
}

static bool decoded(const char *text, char *to, size_t size) {
    vigie_part part;
    part.from = text;
    part.to = text + strlen(text);
    return vigie_text(part, to, size);
}

static void reading(void) {
    static const char *const good[] = {
        "{}", "[]", "0", "-0", "-0.5e-7", "1E+3", "true", "null", "\"\"", "\"\\u00e9\\n\\/\"", "\"\\ud83d\\ude00\"",
        "{\"a\":{\"b\":[1,2,{\"c\":null}]}}", " { \"a\" : 1 , \"b\" : [ ] } ", "\"\xc3\xa9\xf0\x9f\x98\x80\""};
    static const char *const bad[] = {
        "", "{", "}", "[1,]", "{\"a\":1,}", "{\"a\"}", "{a:1}", "01", "-", ".5", "1.", "1e", "+1", "0x10", "NaN", "Infinity",
        "nul", "True", "'a'", "\"", "\"\\\"", "\"\\x\"", "\"\\u12g4\"", "\"\\u123\"", "\"\\ud800\"", "\"\\ude00\"",
        "\"\\ud800\\u0041\"", "\"\x01\"", "\"a\nb\"", "\"\xff\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\"", "\"\xf5\x80\x80\x80\"",
        "\"\xe2\x82\"", "1 2", "{}{}", "[1 2]", "{\"a\" 1}"};
    char deep[300], text[8];
    double value = 0.0;
    size_t i;
    for (i = 0; i < sizeof good / sizeof *good; i++) {
        if (!is_json(good[i])) fprintf(stderr, "refused: %s\n", good[i]);
        CHECK(is_json(good[i]));
    }
    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (is_json(bad[i])) fprintf(stderr, "taken: %s\n", bad[i]);
        CHECK(!is_json(bad[i]));
    }
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    CHECK(!is_json(deep));
    CHECK(number("0.1", &value) && value == 0.1);
    CHECK(number("5e-324", &value) && value == 5e-324);
    CHECK(number("1e-400", &value) && value == 0.0);
    CHECK(!number("1e309", &value) && !number("nan", &value) && !number("inf", &value) && !number("0x1p3", &value));
    CHECK(!number("1 ", &value) && !number("\"1\"", &value));
    CHECK(!number("0.00000000000000000000000000000000000000000000000000000000000000001", &value)); /* longer than any the daemon writes */
    CHECK(decoded("\"1234567\"", text, sizeof text) && strcmp(text, "1234567") == 0);
    CHECK(!decoded("\"12345678\"", text, sizeof text));
    CHECK(!decoded("\"123456\\u00e9\"", text, sizeof text) && strcmp(text, "123456") == 0); /* never half a character */
    CHECK(!decoded("\"a\\u0000b\"", text, sizeof text));
    CHECK(!decoded("null", text, sizeof text) && !decoded("12", text, sizeof text));
}

static void members(void) {
    static const char *const names[] = {"id", "ok"};
    static const char *const refused[] = {"{\"id\":1,\"id\":1}", "{\"id\":1,\"\\u0069d\":2}", "{\"id\":1}x", "[]", "1", "", "{\"id\":}",
                                          "{\"id\":1,\"ok\":true", "{\"id\" 1}", "{,}"};
    static const char line[] = " {\"ok\":true , \"other\":{\"id\":9}, \"\\u0069d\" : 12 }\r";
    vigie_part found[2];
    size_t i;
    CHECK(vigie_members(line, line + sizeof line - 1, names, found, 2));
    CHECK(vigie_is(found[0], "12") && vigie_is(found[1], "true"));
    CHECK(vigie_members("{}", "{}" + 2, names, found, 2) == true && found[0].from == NULL);
    for (i = 0; i < sizeof refused / sizeof *refused; i++) {
        CHECK(!vigie_members(refused[i], refused[i] + strlen(refused[i]), names, found, 2));
    }
}

static void writing(void) {
    char buffer[256], small[16];
    vigie_json json;
    const char *text;
    vigie_json_begin(&json, buffer, sizeof buffer);
    vigie_json_string(&json, "s", "a\"\\\n\xc3\xa9");
    vigie_json_number(&json, "n", 0.1);
    vigie_json_array(&json, "a");
    vigie_json_number(&json, NULL, 1.0);
    vigie_json_object(&json, NULL);
    vigie_json_bool(&json, "b", true);
    vigie_json_null(&json, "z");
    vigie_json_end(&json);
    vigie_json_end(&json);
    text = vigie_json_text(&json);
    CHECK(text != NULL && strcmp(text, "{\"s\":\"a\\\"\\\\\\u000a\xc3\xa9\",\"n\":0.10000000000000001,\"a\":[1,{\"b\":true,\"z\":null}]}") == 0);
    CHECK(vigie_json_text(&json) == text);
#define BROKEN(writes)                              \
    vigie_json_begin(&json, buffer, sizeof buffer); \
    writes;                                         \
    CHECK(vigie_json_text(&json) == NULL)
    BROKEN(vigie_json_number(&json, "n", (double)NAN));
    BROKEN(vigie_json_number(&json, "n", (double)INFINITY));
    BROKEN(vigie_json_string(&json, "s", "\xff"));
    BROKEN(vigie_json_string(&json, "s", NULL));
    BROKEN(vigie_json_string(&json, NULL, "x"));
    BROKEN(vigie_json_object(&json, "o"));
    BROKEN(vigie_json_end(&json));
    BROKEN(vigie_json_array(&json, "a"); vigie_json_number(&json, "n", 1.0); vigie_json_end(&json));
    vigie_json_begin(&json, small, sizeof small);
    vigie_json_string(&json, "s", "much too long");
    CHECK(vigie_json_text(&json) == NULL);
    vigie_json_begin(&json, NULL, 0);
    vigie_json_null(&json, "z");
    CHECK(vigie_json_text(&json) == NULL);
}

/* every number must come back with its bits, also where a comma is the decimal point */
static void numbers(void) {
    static const double values[] = {0.1, 1.0 / 3.0, 0.62, 5e-324, 1.7976931348623157e308, -0.0, 123456789.125, 1e21};
    unsigned long long state = 88172645463325252ULL;
    size_t i;
    for (i = 0; i < 20000; i++) {
        char buffer[64];
        vigie_json json;
        vigie_part part;
        double value, back = 0.0;
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        if (i < sizeof values / sizeof *values) value = values[i];
        else memcpy(&value, &state, sizeof value);
        if (!isfinite(value)) continue;
        vigie_json_begin(&json, buffer, sizeof buffer);
        vigie_json_number(&json, "n", value);
        CHECK(vigie_json_text(&json) != NULL && is_json(buffer));
        part.from = buffer + 5;
        part.to = buffer + json.length - 1;
        CHECK(vigie_double(part, &back) && memcmp(&back, &value, sizeof value) == 0);
    }
}

/* damaged answers: nothing may be read past the end (the sanitizers look), and nothing that is no JSON may be taken */
static void damage(void) {
    static const char sound[] =
        "{\"ok\":true,\"id\":7,\"trade_id\":\"T-1\",\"arm\":\"ml\",\"confidence\":0.685,\"score\":0.75,\"size\":1.5,"
        "\"model\":\"ES/14\",\"reason\":\"ab_test\",\"missing\":[\"a\\u00e9\",{\"b\":-1.5e3}],\"error\":null}";
    static vigie_client client;
    unsigned long long state = 20250106;
    size_t taken = 0, i;
    client.last_id = 7;
    for (i = 0; i < 200000; i++) {
        size_t length = sizeof sound - 1, changes, change;
        char *copy;
        vigie_part answer;
        vigie_decision decision;
        bool turned_away;
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        changes = i == 0 ? 0 : 1 + (state >> 63);
        copy = (char *)malloc(length); /* of just this size, so that a byte too many is found */
        memcpy(copy, sound, length);
        for (change = 0; change < changes; change++) {
            state = state * 6364136223846793005ULL + 1442695040888963407ULL;
            copy[(state >> 33) % length] = (char)(state >> 20);
        }
        if (i % 3 == 1) length = (size_t)(state >> 40) % (length + 1);
        answer.from = copy;
        answer.to = copy + length;
        if (vigie_read_decision(&client, answer, "T-1", 0.62, &decision, &turned_away)) {
            taken++;
            CHECK(decision.confidence >= 0.0 && decision.confidence <= 1.0 && decision.score >= 0.0 && decision.score <= 1.0);
            CHECK(decision.size >= 0.0 && decision.size <= VIGIE_MAX_SIZE && strcmp(decision.trade_id, "T-1") == 0);
            CHECK(decision.ok || !decision.spoke);
        }
        free(copy);
    }
    printf("%lu of %lu damaged answers were sound\n", (unsigned long)taken, (unsigned long)i);
    CHECK(taken > 100 && taken < i / 2); /* a changed digit is still a sound answer */
}

static void contracts(void) {
    vigie_decision decision = vigie_neutral("T-1", 0.62, "deadline");
    CHECK(vigie_contracts(&decision, 3, 1) == 3);
    decision.spoke = true;
    decision.size = 0.5;
    CHECK(vigie_contracts(&decision, 1, 9) == 0 && vigie_contracts(&decision, 3, 9) == 1 && vigie_contracts(&decision, 4, 9) == 2);
    decision.size = 10.0;
    CHECK(vigie_contracts(&decision, 3, 8) == 8);
    decision.size = 0.0;
    CHECK(vigie_contracts(&decision, 3, 8) == 0);
}

static void refusals(void) {
    static vigie_client client;
    char path[200];
    vigie_decision decision;
    vigie_ack ack;
    static char huge[VIGIE_MAX_LINE + 64];
    memset(path, 'x', sizeof path);
    path[sizeof path - 1] = '\0';
    CHECK(vigie_init(&client, path) == -1 && vigie_init(&client, "") == -1 && vigie_init(&client, NULL) == -1);
    decision = vigie_score(&client, "T-1", 0.62, "{}", 20000);
    CHECK(strcmp(decision.reason, "unreachable") == 0 && decision.confidence == 0.62);
    CHECK(vigie_init(&client, "/nonexistent/vigie.sock") == 0);
    memset(huge, 'x', sizeof huge);
    memcpy(huge, "{\"a\":\"", 6);
    memcpy(huge + sizeof huge - 3, "\"}", 3);
#define INVALID(id, confidence, members) \
    CHECK(strcmp(vigie_score(&client, (id), (confidence), (members), 20000).reason, "invalid_request") == 0)
    INVALID("T-1", 0.62, NULL);
    INVALID("T-1", 0.62, "");
    INVALID("T-1", 0.62, "[]");
    INVALID("T-1", 0.62, "{\"a\":1}}");
    INVALID("T-1", 0.62, "{\"id\":1}");
    INVALID("T-1", 0.62, "{\"confidence\":1}");
    INVALID("T-1", 0.62, huge);
    INVALID("T-1", (double)INFINITY, "{}");
    INVALID("a b", 0.62, "{}");
    INVALID("", 0.62, "{}");
    INVALID(NULL, 0.62, "{}");
    INVALID("T-\xc3\xa9", 0.62, "{}");
    INVALID("12345678901234567890123456789012345678901234567890123456789012345", 0.62, "{}");
    CHECK(client.failures == 0); /* none of them was the daemon's fault */
    CHECK(strcmp(vigie_score(&client, "T-1", 0.62, "{}", 0).reason, "deadline") == 0);
    CHECK(strcmp(vigie_score(&client, "T-1", 0.62, "{}", -5).reason, "deadline") == 0);
    CHECK(vigie_outcome(&client, "T-1", "{\"pnl\":1}", NULL, 1000, &ack) == -1 && ack.temporary);
    CHECK(vigie_outcome(&client, "T-1", "{\"pnl\":NaN}", NULL, 1000, &ack) == -1 && !ack.temporary);
    CHECK(vigie_outcome(&client, "a b", "{}", NULL, 1000, NULL) == -1);
    CHECK(vigie_skip(&client, "T-1", "\xff", 1000, &ack) == -1 && !ack.temporary);
}

int main(void) {
    static const char *const commas[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
    size_t i;
    reading();
    members();
    writing();
    numbers();
    damage();
    contracts();
    refusals();
    for (i = 0; i < sizeof commas / sizeof *commas; i++) {
        if (setlocale(LC_ALL, commas[i]) != NULL) break;
    }
    if (i < sizeof commas / sizeof *commas) {
        numbers();
        reading();
        writing();
    } else {
        puts("skipped: no locale with a comma as its decimal point");
    }
    printf("%d checks, %d failed\n", checks, failures);
    return failures == 0 ? 0 : 1;
}
