/* vigie.h - client of the vigie daemon in one file, over its Unix socket or over HTTP with its gateway. C99 and POSIX.1-2008,
 * nothing else; compiles as C++11 too.
 *
 * In one source file, before any other header:
 *
 *     #define VIGIE_IMPLEMENTATION
 *     #include "vigie.h"
 *
 * and `#include "vigie.h"` alone wherever else it is used.
 *
 * vigie_score returns within its deadline, always with a decision. Whatever goes wrong, the decision is the neutral one:
 * the strategy's own confidence with every bit, size 1. vigie_outcome and vigie_skip return 0 only when the daemon has the
 * message on disk; both may be repeated until they do.
 *
 * Nothing is allocated: all memory is in vigie_client, about 130 KiB, so make it static or put it on the heap. A client
 * belongs to one thread; give each thread its own. After a fork the child opens a connection of its own.
 */
#if defined(VIGIE_IMPLEMENTATION) && defined(__STRICT_ANSI__) && !defined(_POSIX_C_SOURCE) && !defined(_GNU_SOURCE)
#define _POSIX_C_SOURCE 200809L /* works only before the first system header */
#endif

#ifndef VIGIE_H
#define VIGIE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Longest line, in bytes, without its end. */
#define VIGIE_MAX_LINE 65536
/* Longest trade id. */
#define VIGIE_MAX_TRADE_ID 64
/* Largest size that is believed: the daemon's configuration allows no larger one. */
#define VIGIE_MAX_SIZE 10.0
/* A usual deadline of a score, in microseconds. */
#define VIGIE_DEADLINE_US 20000

/* The answer to a signal. */
typedef struct {
    bool ok;      /* false when the daemon had no say, or said that the request was at fault */
    bool spoke;   /* a model influenced it: arm "ml". Otherwise arm "baseline": trade as if there were no model */
    char trade_id[VIGIE_MAX_TRADE_ID + 1];
    double confidence; /* to trade on, 0 to 1; when no model spoke the one that was passed in, with every bit */
    double score;      /* the model's score, 0 to 1; 0.5 when no model spoke: a placeholder, not a prediction */
    double size;       /* multiplier of the strategy's own size, 0 to 10; 0 asks for no trade */
    char model[64];    /* such as "ES/14"; "" without one */
    char reason[32];   /* docs/protocol.md lists them; "deadline", "unreachable" and "invalid_request" are also said here */
    char error_code[32]; /* "" when ok */
    char error_message[256];
    char error_field[128]; /* the field at fault; "" without one */
} vigie_decision;

/* What became of an outcome or a skip. */
typedef struct {
    bool acknowledged; /* the daemon has it on disk */
    bool duplicate;    /* it had it before */
    int matched;       /* 1: the daemon knew the signal; 0: it did not; -1: it did not say */
    bool temporary;    /* not acknowledged, and may be when it is sent again */
    char code[32];     /* why not, "" when acknowledged */
    char message[256];
    char field[128];
} vigie_ack;

/* Longest token of the gateway. */
#define VIGIE_MAX_TOKEN 200

/* A connection to the daemon. The fields are the client's own, except max_backoff_us. */
typedef struct {
    long long max_backoff_us; /* longest pause, after several failures, in which signals are answered without a request */
    char path[108];
    bool is_http;
    unsigned port;
    char token[VIGIE_MAX_TOKEN + 1];
    const char *kind;
    int fd;
    pid_t owner;
    dev_t device;
    ino_t inode;
    unsigned long long last_id;
    unsigned failures;
    long long next_try_us;
    size_t length;
    char line[VIGIE_MAX_LINE + 2];
    char answer[VIGIE_MAX_LINE + 2];
} vigie_client;

/* Prepares a client for the daemon's socket at `path`; connects to nothing yet. Returns -1 when the path is longer than a
 * socket's may be (107 bytes): such a client answers every signal neutrally. */
int vigie_init(vigie_client *client, const char *path);

/* Prepares a client for the gateway at `address`, such as "http://127.0.0.1:8178": an IPv4 address or localhost, and a port;
 * there is no TLS. `token` is the trader's. Returns -1 when either is none: such a client answers every signal neutrally. */
int vigie_init_http(vigie_client *client, const char *address, const char *token);

/* Closes the connection; the next request opens another. */
void vigie_close(vigie_client *client);

/* The daemon's decision on a signal, within `deadline_us` microseconds.
 *
 * `confidence` is the strategy's own, NAN if it has none. `members` is a JSON object with the other fields of a score
 * (docs/protocol.md): at, symbol, side, and features or the four sections; vigie_json makes one. It has none of type, id,
 * trade_id, confidence and deadline_us. NULL, as vigie_json_text returns it, gives the neutral decision. */
vigie_decision vigie_score(vigie_client *client, const char *trade_id, double confidence, const char *members,
                           long deadline_us);

/* The decision that changes nothing. */
vigie_decision vigie_neutral(const char *trade_id, double confidence, const char *reason);

/* Whole contracts to trade where the strategy alone trades `own`: `own` when no model spoke; otherwise own * size to the
 * nearest whole number, a half to the smaller one, no more than `at_most`. Where that is not own * size, put the multiple that
 * was traded into `size` of the decision that goes with the outcome: the daemon divides the pnl by it. */
long vigie_contracts(const vigie_decision *decision, long own, long at_most);

/* Reports a closed trade. `metrics` is a JSON object, the outcome_metrics of docs/protocol.md. `decision`, which may be NULL,
 * is the one the trade was made on. Returns 0 when it is acknowledged, otherwise -1; `ack`, which may be NULL, says more. */
int vigie_outcome(vigie_client *client, const char *trade_id, const char *metrics, const vigie_decision *decision,
                  long timeout_us, vigie_ack *ack);

/* Reports a signal that was not traded, and why. */
int vigie_skip(vigie_client *client, const char *trade_id, const char *reason, long timeout_us, vigie_ack *ack);

/* Writes a JSON object into a buffer. A name is NULL inside an array. What cannot be written (no room, a number that is not
 * finite, text that is not UTF-8) breaks it, and vigie_json_text then returns NULL. */
typedef struct {
    char *text;
    size_t size;
    size_t length;
    unsigned depth;
    unsigned long long arrays;
    bool broken;
} vigie_json;

void vigie_json_begin(vigie_json *json, char *buffer, size_t size);
void vigie_json_number(vigie_json *json, const char *name, double value);
void vigie_json_string(vigie_json *json, const char *name, const char *value);
void vigie_json_bool(vigie_json *json, const char *name, bool value);
void vigie_json_null(vigie_json *json, const char *name);
void vigie_json_object(vigie_json *json, const char *name);
void vigie_json_array(vigie_json *json, const char *name);
void vigie_json_end(vigie_json *json); /* of the innermost object or array */
/* The finished text, or NULL. Ends the outermost object. */
const char *vigie_json_text(vigie_json *json);

#ifdef __cplusplus
}
#endif
#endif /* VIGIE_H */

#ifdef VIGIE_IMPLEMENTATION
#ifndef VIGIE_IMPLEMENTED
#define VIGIE_IMPLEMENTED

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* never wait in the call itself, also where somebody made the descriptor a blocking one again */
#ifdef MSG_DONTWAIT
#define VIGIE_RECEIVE_FLAGS MSG_DONTWAIT
#else
#define VIGIE_RECEIVE_FLAGS 0
#endif
#ifdef MSG_NOSIGNAL
#define VIGIE_SEND_FLAGS (MSG_NOSIGNAL | VIGIE_RECEIVE_FLAGS)
#else
#define VIGIE_SEND_FLAGS VIGIE_RECEIVE_FLAGS
#endif

/* how an exchange ended */
typedef enum { VIGIE_ANSWERED, VIGIE_LATE, VIGIE_UNREACHABLE } vigie_end;

/* a part of a line, as it stands there */
typedef struct {
    const char *from;
    const char *to; /* one past the last; from == NULL: not there */
} vigie_part;

static long long vigie_now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static long long vigie_until(long microseconds) {
    const long long longest = 3600LL * 1000000; /* so that no sum overflows */
    return vigie_now_us() + (microseconds < longest ? microseconds : longest);
}

static void vigie_sleep_us(long long microseconds) {
    struct timespec pause;
    pause.tv_sec = (time_t)(microseconds / 1000000);
    pause.tv_nsec = (long)(microseconds % 1000000) * 1000;
    nanosleep(&pause, NULL); /* a signal ends it sooner, and whoever called looks at the clock */
}

/* as much of `text` as there is room for, whole characters */
static void vigie_copy(char *to, size_t size, const char *text) {
    size_t length = strlen(text);
    if (length >= size) {
        length = size - 1;
        while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80) length--;
    }
    memcpy(to, text, length);
    to[length] = '\0';
}

/* ---- JSON: reading ------------------------------------------------------------------------------------------------- */

/* the length of the UTF-8 character at `at`, 0 if it is none */
static size_t vigie_utf8(const char *at, const char *end) {
    const unsigned char *byte = (const unsigned char *)at;
    size_t left = (size_t)(end - at), length, i;
    unsigned long point;
    if (left == 0) return 0;
    if (byte[0] < 0x80) return 1;
    if (byte[0] >= 0xC2 && byte[0] <= 0xDF) length = 2;
    else if ((byte[0] & 0xF0) == 0xE0) length = 3;
    else if (byte[0] >= 0xF0 && byte[0] <= 0xF4) length = 4;
    else return 0;
    if (left < length) return 0;
    point = byte[0] & (0xFFu >> (length + 1));
    for (i = 1; i < length; i++) {
        if ((byte[i] & 0xC0) != 0x80) return 0;
        point = point << 6 | (byte[i] & 0x3Fu);
    }
    if (length == 3 && (point < 0x800 || (point >= 0xD800 && point <= 0xDFFF))) return 0;
    if (length == 4 && (point < 0x10000 || point > 0x10FFFF)) return 0;
    return length;
}

static const char *vigie_blank(const char *at, const char *end) {
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n')) at++;
    return at;
}

static bool vigie_hex4(const char *at, const char *end, unsigned long *value) {
    int i;
    *value = 0;
    if (end - at < 4) return false;
    for (i = 0; i < 4; i++) {
        char c = at[i];
        unsigned digit;
        if (c >= '0' && c <= '9') digit = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f') digit = (unsigned)(c - 'a') + 10;
        else if (c >= 'A' && c <= 'F') digit = (unsigned)(c - 'A') + 10;
        else return false;
        *value = *value << 4 | digit;
    }
    return true;
}

/* Reads the string at `at`, decodes it into `to` if that is not NULL, and returns what follows it; NULL if it is no string.
 * `*fits` says whether all of it, without a zero byte, is in `to`; what does not fit is cut off at a whole character. */
static const char *vigie_string(const char *at, const char *end, char *to, size_t size, bool *fits) {
    static const char escapes[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    size_t length = 0;
    bool room = true;
    if (at >= end || *at != '"') return NULL;
    for (at++; at < end && *at != '"';) {
        char piece[4];
        size_t count = 0, i;
        if ((unsigned char)*at < 0x20) return NULL;
        if (*at != '\\') {
            count = vigie_utf8(at, end);
            if (count == 0) return NULL;
            for (i = 0; i < count; i++) piece[i] = at[i];
            at += count;
        } else if (end - at >= 2 && at[1] == 'u') {
            unsigned long point, low;
            if (!vigie_hex4(at + 2, end, &point)) return NULL;
            at += 6;
            if (point >= 0xDC00 && point <= 0xDFFF) return NULL;
            if (point >= 0xD800 && point <= 0xDBFF) {
                if (end - at < 6 || at[0] != '\\' || at[1] != 'u' || !vigie_hex4(at + 2, end, &low)) return NULL;
                if (low < 0xDC00 || low > 0xDFFF) return NULL;
                point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
                at += 6;
            }
            if (point == 0) room = false; /* a C string cannot hold it */
            if (point < 0x80) {
                piece[count++] = (char)point;
            } else if (point < 0x800) {
                piece[count++] = (char)(0xC0 | point >> 6);
                piece[count++] = (char)(0x80 | (point & 0x3F));
            } else if (point < 0x10000) {
                piece[count++] = (char)(0xE0 | point >> 12);
                piece[count++] = (char)(0x80 | (point >> 6 & 0x3F));
                piece[count++] = (char)(0x80 | (point & 0x3F));
            } else {
                piece[count++] = (char)(0xF0 | point >> 18);
                piece[count++] = (char)(0x80 | (point >> 12 & 0x3F));
                piece[count++] = (char)(0x80 | (point >> 6 & 0x3F));
                piece[count++] = (char)(0x80 | (point & 0x3F));
            }
        } else {
            const char *known = end - at >= 2 && at[1] != '\0' ? strchr(escapes, at[1]) : NULL;
            if (known == NULL) return NULL;
            piece[count++] = meant[known - escapes];
            at += 2;
        }
        if (to != NULL && room) {
            if (length + count < size) {
                memcpy(to + length, piece, count);
                length += count;
            } else {
                room = false;
            }
        }
    }
    if (at >= end) return NULL;
    if (to != NULL) to[length] = '\0';
    if (fits != NULL) *fits = room;
    return at + 1;
}

static const char *vigie_digits(const char *at, const char *end) {
    const char *from = at;
    while (at < end && *at >= '0' && *at <= '9') at++;
    return at == from ? NULL : at;
}

static const char *vigie_number(const char *at, const char *end) {
    if (at < end && *at == '-') at++;
    if (at < end && *at == '0') at++;
    else if ((at = vigie_digits(at, end)) == NULL) return NULL;
    if (at < end && *at == '.' && (at = vigie_digits(at + 1, end)) == NULL) return NULL;
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-')) at++;
        at = vigie_digits(at, end);
    }
    return at;
}

static const char *vigie_word(const char *at, const char *end, const char *word) {
    size_t length = strlen(word);
    return (size_t)(end - at) >= length && memcmp(at, word, length) == 0 ? at + length : NULL;
}

/* what follows the value at `at`; NULL if there is none */
static const char *vigie_value(const char *at, const char *end, int depth) {
    if (at >= end || depth > 64) return NULL;
    switch (*at) {
    case '"': return vigie_string(at, end, NULL, 0, NULL);
    case 't': return vigie_word(at, end, "true");
    case 'f': return vigie_word(at, end, "false");
    case 'n': return vigie_word(at, end, "null");
    case '{':
    case '[': {
        const bool is_object = *at == '{';
        const char close = is_object ? '}' : ']';
        at = vigie_blank(at + 1, end);
        if (at < end && *at == close) return at + 1;
        for (;;) {
            if (is_object) {
                at = vigie_string(at, end, NULL, 0, NULL);
                if (at == NULL) return NULL;
                at = vigie_blank(at, end);
                if (at >= end || *at != ':') return NULL;
                at = vigie_blank(at + 1, end);
            }
            at = vigie_value(at, end, depth + 1);
            if (at == NULL) return NULL;
            at = vigie_blank(at, end);
            if (at >= end) return NULL;
            if (*at == close) return at + 1;
            if (*at != ',') return NULL;
            at = vigie_blank(at + 1, end);
        }
    }
    default: return vigie_number(at, end);
    }
}

/* Finds the members `names` of the object that is the whole of `from` to `to`; `found[i]` is the value of `names[i]`. False
 * if it is no object, or has one of them twice. */
static bool vigie_members(const char *from, const char *to, const char *const *names, vigie_part *found, size_t count) {
    const char *at = vigie_blank(from, to);
    size_t i;
    for (i = 0; i < count; i++) found[i].from = found[i].to = NULL;
    if (at >= to || *at != '{') return false;
    at = vigie_blank(at + 1, to);
    if (at < to && *at == '}') return vigie_blank(at + 1, to) == to;
    for (;;) {
        char name[32];
        bool whole = false;
        const char *value;
        at = vigie_string(at, to, name, sizeof name, &whole);
        if (at == NULL) return false;
        at = vigie_blank(at, to);
        if (at >= to || *at != ':') return false;
        value = vigie_blank(at + 1, to);
        at = vigie_value(value, to, 0);
        if (at == NULL) return false;
        for (i = 0; whole && i < count; i++) {
            if (strcmp(name, names[i]) != 0) continue;
            if (found[i].from != NULL) return false;
            found[i].from = value;
            found[i].to = at;
        }
        at = vigie_blank(at, to);
        if (at >= to) return false;
        if (*at == '}') return vigie_blank(at + 1, to) == to;
        if (*at != ',') return false;
        at = vigie_blank(at + 1, to);
    }
}

static bool vigie_is(vigie_part part, const char *text) {
    size_t length = strlen(text);
    return part.from != NULL && (size_t)(part.to - part.from) == length && memcmp(part.from, text, length) == 0;
}

/* absent or null */
static bool vigie_is_none(vigie_part part) {
    return part.from == NULL || vigie_is(part, "null");
}

/* whether the part is a string, and all of it in `to` */
static bool vigie_text(vigie_part part, char *to, size_t size) {
    bool fits = false;
    to[0] = '\0';
    return part.from != NULL && vigie_string(part.from, part.to, to, size, &fits) != NULL && fits;
}

/* what the C library writes for a decimal point: a locale may have another one than JSON */
static void vigie_point(char *point, size_t size) {
    char half[32];
    int length = snprintf(half, sizeof half, "%.1f", 0.5);
    if (length >= 3 && (size_t)length - 2 < size) {
        memcpy(point, half + 1, (size_t)length - 2);
        point[length - 2] = '\0';
    } else {
        vigie_copy(point, size, ".");
    }
}

/* whether the part is a finite number */
static bool vigie_double(vigie_part part, double *value) {
    char text[96], point[16];
    size_t length = 0;
    const char *at;
    if (part.from == NULL || part.to - part.from > 64 || vigie_number(part.from, part.to) != part.to) return false;
    vigie_point(point, sizeof point);
    for (at = part.from; at < part.to; at++) {
        const char *piece = *at == '.' ? point : at;
        size_t count = *at == '.' ? strlen(point) : 1;
        memcpy(text + length, piece, count);
        length += count;
    }
    text[length] = '\0';
    *value = strtod(text, NULL);
    return isfinite(*value);
}

static bool vigie_probability(vigie_part part, double *value) {
    return vigie_double(part, value) && *value >= 0.0 && *value <= 1.0;
}

/* ---- JSON: writing ------------------------------------------------------------------------------------------------- */

static void vigie_put(vigie_json *json, const char *text, size_t length) {
    if (json->broken || json->size - json->length <= length) { /* one byte is kept for the end */
        json->broken = true;
        return;
    }
    memcpy(json->text + json->length, text, length);
    json->length += length;
    json->text[json->length] = '\0';
}

static void vigie_put_text(vigie_json *json, const char *text) {
    vigie_put(json, text, strlen(text));
}

static void vigie_put_string(vigie_json *json, const char *text) {
    const char *end;
    if (text == NULL) {
        json->broken = true;
        return;
    }
    end = text + strlen(text);
    vigie_put_text(json, "\"");
    while (text < end && !json->broken) {
        size_t length = vigie_utf8(text, end);
        char escaped[8];
        if (length == 0) {
            json->broken = true;
        } else if ((unsigned char)*text < 0x20) {
            snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)(unsigned char)*text);
            vigie_put_text(json, escaped);
        } else if (*text == '"' || *text == '\\') {
            escaped[0] = '\\';
            escaped[1] = *text;
            vigie_put(json, escaped, 2);
        } else {
            vigie_put(json, text, length);
        }
        text += length;
    }
    vigie_put_text(json, "\"");
}

static void vigie_put_number(vigie_json *json, double value) {
    char text[64], point[16], *at;
    size_t length;
    if (!isfinite(value)) {
        json->broken = true;
        return;
    }
    if (value == 0.0 && signbit(value)) { /* "-0" would be read as a whole number, which has no sign */
        vigie_put_text(json, "-0.0");
        return;
    }
    snprintf(text, sizeof text, "%.17g", value);
    vigie_point(point, sizeof point);
    at = strstr(text, point);
    if (at == NULL) {
        vigie_put_text(json, text);
        return;
    }
    length = strlen(point);
    vigie_put(json, text, (size_t)(at - text));
    vigie_put_text(json, ".");
    vigie_put_text(json, at + length);
}

static void vigie_put_count(vigie_json *json, unsigned long long value) {
    char text[32];
    snprintf(text, sizeof text, "%llu", value);
    vigie_put_text(json, text);
}

/* the comma and the name before a value */
static void vigie_next(vigie_json *json, const char *name) {
    const bool in_array = json->depth > 0 && (json->arrays >> (json->depth - 1) & 1) != 0;
    char last;
    if (json->broken || json->depth == 0 || in_array != (name == NULL)) {
        json->broken = true;
        return;
    }
    last = json->text[json->length - 1];
    if (last != '{' && last != '[') vigie_put_text(json, ",");
    if (name != NULL) {
        vigie_put_string(json, name);
        vigie_put_text(json, ":");
    }
}

static void vigie_deeper(vigie_json *json, bool is_array) {
    if (json->depth >= 60) {
        json->broken = true;
        return;
    }
    vigie_put_text(json, is_array ? "[" : "{");
    if (is_array) json->arrays |= 1ULL << json->depth;
    else json->arrays &= ~(1ULL << json->depth);
    json->depth++;
}

void vigie_json_begin(vigie_json *json, char *buffer, size_t size) {
    memset(json, 0, sizeof *json);
    json->text = buffer;
    json->size = size;
    json->broken = buffer == NULL || size == 0;
    vigie_deeper(json, false);
}

void vigie_json_number(vigie_json *json, const char *name, double value) {
    vigie_next(json, name);
    vigie_put_number(json, value);
}

void vigie_json_string(vigie_json *json, const char *name, const char *value) {
    vigie_next(json, name);
    vigie_put_string(json, value);
}

void vigie_json_bool(vigie_json *json, const char *name, bool value) {
    vigie_next(json, name);
    vigie_put_text(json, value ? "true" : "false");
}

void vigie_json_null(vigie_json *json, const char *name) {
    vigie_next(json, name);
    vigie_put_text(json, "null");
}

void vigie_json_object(vigie_json *json, const char *name) {
    vigie_next(json, name);
    vigie_deeper(json, false);
}

void vigie_json_array(vigie_json *json, const char *name) {
    vigie_next(json, name);
    vigie_deeper(json, true);
}

void vigie_json_end(vigie_json *json) {
    if (json->broken || json->depth < 2) {
        json->broken = true;
        return;
    }
    json->depth--;
    vigie_put_text(json, (json->arrays >> json->depth & 1) != 0 ? "]" : "}");
}

const char *vigie_json_text(vigie_json *json) {
    if (!json->broken && json->depth == 1) {
        vigie_put_text(json, "}");
        json->depth = 0;
    }
    return json->broken || json->depth != 0 ? NULL : json->text;
}

/* ---- the connection ------------------------------------------------------------------------------------------------ */

int vigie_init(vigie_client *client, const char *path) {
    client->max_backoff_us = 1000000;
    client->fd = -1;
    client->owner = 0;
    client->device = 0;
    client->inode = 0;
    client->last_id = 0;
    client->failures = 0;
    client->next_try_us = 0;
    client->length = 0;
    client->path[0] = '\0';
    client->is_http = false;
    client->port = 0;
    client->token[0] = '\0';
    client->kind = "";
    if (path == NULL || path[0] == '\0' || strlen(path) >= sizeof client->path) return -1;
    memcpy(client->path, path, strlen(path) + 1);
    return 0;
}

int vigie_init_http(vigie_client *client, const char *address, const char *token) {
    static const char scheme[] = "http://";
    const char *name, *colon;
    size_t length, i;
    struct in_addr known;
    vigie_init(client, NULL);
    client->is_http = true;
    if (address == NULL || token == NULL || strncmp(address, scheme, sizeof scheme - 1) != 0) return -1;
    name = address + sizeof scheme - 1;
    colon = strchr(name, ':');
    if (colon == NULL || colon == name || (size_t)(colon - name) >= sizeof client->path) return -1;
    for (i = 1; colon[i] >= '0' && colon[i] <= '9' && i <= 5; i++) client->port = 10 * client->port + (unsigned)(colon[i] - '0');
    if (i == 1 || (colon[i] != '\0' && strcmp(colon + i, "/") != 0) || client->port == 0 || client->port > 65535) return -1;
    length = strlen(token);
    if (length == 0 || length > VIGIE_MAX_TOKEN) return -1;
    for (i = 0; i < length; i++) {
        char c = token[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_')) return -1;
    }
    memcpy(client->token, token, length + 1);
    length = (size_t)(colon - name);
    memcpy(client->path, name, length);
    client->path[length] = '\0';
    /* no name is looked up: that could take longer than any deadline */
    if (strcmp(client->path, "localhost") == 0) vigie_copy(client->path, sizeof client->path, "127.0.0.1");
    if (inet_pton(AF_INET, client->path, &known) != 1) {
        client->path[0] = '\0';
        return -1;
    }
    return 0;
}

/* Whether the descriptor is still the socket that was opened: a program that closed it by mistake may have opened something
 * else since, which must be neither written to nor closed here. */
static bool vigie_is_own(const vigie_client *client) {
    struct stat known;
    return client->fd >= 0 && fstat(client->fd, &known) == 0 && known.st_dev == client->device &&
           known.st_ino == client->inode;
}

void vigie_close(vigie_client *client) {
    if (vigie_is_own(client)) close(client->fd);
    client->fd = -1;
    client->length = 0;
}

/* between requests nothing may be waiting: neither an answer nobody asked for nor the end of the stream */
static bool vigie_is_stale(const vigie_client *client) {
    char byte;
    ssize_t got;
    if (client->owner != getpid() || !vigie_is_own(client)) return true;
    do got = recv(client->fd, &byte, 1, MSG_PEEK | VIGIE_RECEIVE_FLAGS);
    while (got < 0 && errno == EINTR);
    return !(got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK));
}

/* waits until the socket is ready or a part of the time is over; false when all of it is */
static bool vigie_wait(int fd, short events, long long until) {
    struct pollfd ready;
    long long left = until - vigie_now_us();
    if (left <= 0) {
        errno = ETIMEDOUT;
        return false;
    }
    ready.fd = fd;
    ready.events = events;
    ready.revents = 0;
    if (left >= 1000) {
        poll(&ready, 1, (int)(left / 1000)); /* whole milliseconds, rounded down: never past the deadline */
    } else if (poll(&ready, 1, 0) == 0) {
        vigie_sleep_us(left < 100 ? left : 100);
    }
    return true; /* a signal ended the wait sooner, perhaps: whoever called tries, and looks at the clock */
}

/* a connection over TCP that is being made, to its end */
static bool vigie_connect_http(vigie_client *client, long long until) {
    struct sockaddr_in address;
    int on = 1;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons((unsigned short)client->port);
    inet_pton(AF_INET, client->path, &address.sin_addr);
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    for (;;) {
        int error = 0;
        socklen_t size = sizeof error;
        if (connect(client->fd, (const struct sockaddr *)&address, sizeof address) == 0 || errno == EISCONN) return true;
        if (errno != EINPROGRESS && errno != EALREADY && errno != EINTR && errno != EAGAIN) return false;
        if (!vigie_wait(client->fd, POLLOUT, until)) return false;
        if (getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error != 0) {
            /* not one that looks like the end of our own time */
            errno = error == ETIMEDOUT ? EHOSTUNREACH : error;
            return false;
        }
    }
}

static bool vigie_connect(vigie_client *client, long long until) {
    struct sockaddr_un address;
    struct stat opened;
    long long pause = 500;
    int flags;
    if (client->path[0] == '\0') {
        errno = ENAMETOOLONG;
        return false;
    }
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    vigie_copy(address.sun_path, sizeof address.sun_path, client->path);
    client->fd = socket(client->is_http ? AF_INET : AF_UNIX, SOCK_STREAM, 0);
    if (client->fd < 0) return false;
    if (fstat(client->fd, &opened) != 0) {
        close(client->fd);
        client->fd = -1;
        return false;
    }
    client->device = opened.st_dev;
    client->inode = opened.st_ino;
    client->owner = getpid();
    client->length = 0;
    flags = fcntl(client->fd, F_GETFL);
    if (flags < 0 || fcntl(client->fd, F_SETFL, flags | O_NONBLOCK) < 0) return false;
    if (fcntl(client->fd, F_SETFD, FD_CLOEXEC) < 0) return false;
#if !defined(MSG_NOSIGNAL) && defined(SO_NOSIGPIPE)
    {
        int on = 1;
        setsockopt(client->fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
    }
#endif
    if (client->is_http) return vigie_connect_http(client, until);
    for (;;) {
        long long left;
        if (connect(client->fd, (const struct sockaddr *)&address, sizeof address) == 0 || errno == EISCONN) return true;
        if (errno != EAGAIN && errno != EINTR) return false;
        /* a Unix socket whose queue is full says EAGAIN, and there is nothing to poll for */
        left = until - vigie_now_us();
        if (left <= 0) {
            errno = ETIMEDOUT;
            return false;
        }
        vigie_sleep_us(pause < left ? pause : left);
        pause = pause < 25000 ? 2 * pause : 50000;
    }
}

static bool vigie_send(vigie_client *client, const char *line, size_t length, long long until) {
    size_t sent = 0;
    while (sent < length) {
        ssize_t count = send(client->fd, line + sent, length - sent, VIGIE_SEND_FLAGS);
        if (count >= 0) {
            sent += (size_t)count;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (!vigie_wait(client->fd, POLLOUT, until)) return false;
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

/* Finds the body of an HTTP answer in what was read so far: 1 when it is whole, 0 when more is to come, -1 when it is none. */
static int vigie_body(const vigie_client *client, size_t *from, size_t *to) {
    const char *at = client->answer, *limit = at + client->length, *line = at;
    bool is_first = true, has_length = false;
    size_t length = 0;
    for (;;) {
        const char *end = (const char *)memchr(line, '\n', (size_t)(limit - line)), *value, *i;
        size_t name;
        if (end == NULL) return client->length > 16384 ? -1 : 0;
        if (is_first) {
            if (end - line < 12 || memcmp(line, "HTTP/1.", 7) != 0 || line[8] != ' ' || line[9] < '2' || line[9] > '5') return -1;
        } else if (end == line || (end == line + 1 && *line == '\r')) {
            at = end + 1;
            break;
        } else {
            value = (const char *)memchr(line, ':', (size_t)(end - line));
            if (value == NULL) return -1;
            name = (size_t)(value - line);
            value = vigie_blank(value + 1, end);
            if (name == 17 && strncasecmp(line, "transfer-encoding", name) == 0) return -1;
            if (name == 14 && strncasecmp(line, "content-length", name) == 0) {
                if (has_length) return -1;
                has_length = true;
                for (i = value; i < end && *i >= '0' && *i <= '9' && length < VIGIE_MAX_LINE; i++) {
                    length = 10 * length + (size_t)(*i - '0');
                }
                if (i == value || vigie_blank(i, end) != end) return -1;
            }
        }
        is_first = false;
        line = end + 1;
    }
    if (!has_length || length > VIGIE_MAX_LINE) return -1;
    *from = (size_t)(at - client->answer);
    *to = *from + length;
    return *to <= client->length ? 1 : 0;
}

/* reads an answer into client->answer; what it says stands from *from to *to, and it ends at *end */
static bool vigie_receive(vigie_client *client, long long until, size_t *from, size_t *to, size_t *end) {
    client->length = 0;
    for (;;) {
        size_t room = sizeof client->answer - 1 - client->length;
        ssize_t count;
        if (room == 0) {
            errno = EMSGSIZE;
            return false;
        }
        count = recv(client->fd, client->answer + client->length, room, VIGIE_RECEIVE_FLAGS);
        if (count > 0) {
            const char *feed = (const char *)memchr(client->answer + client->length, '\n', (size_t)count);
            int found;
            client->length += (size_t)count;
            if (vigie_now_us() >= until) {
                errno = ETIMEDOUT;
                return false;
            }
            if (client->is_http) {
                found = vigie_body(client, from, to);
                if (found < 0) {
                    errno = EBADMSG;
                    return false;
                }
                if (found > 0) {
                    *end = *to;
                    return true;
                }
            } else if (feed != NULL) {
                *from = 0;
                *to = (size_t)(feed - client->answer);
                *end = *to + 1;
                return true;
            }
        } else if (count == 0) {
            errno = ECONNRESET;
            return false;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (!vigie_wait(client->fd, POLLIN, until)) return false;
        } else if (errno != EINTR) {
            return false;
        }
    }
}

/* sends `line` as it is, or as the body of a request */
static bool vigie_send_framed(vigie_client *client, const char *line, size_t length, long long until) {
    char head[VIGIE_MAX_TOKEN + 256];
    int size;
    if (!client->is_http) return vigie_send(client, line, length, until);
    size = snprintf(head, sizeof head,
                    "POST /v1/%s HTTP/1.1\r\nHost: %s:%u\r\nAuthorization: Bearer %s\r\n"
                    "Content-Type: application/json\r\nContent-Length: %lu\r\n\r\n",
                    client->kind, client->path, client->port, client->token, (unsigned long)length);
    if (size < 0 || (size_t)size >= sizeof head) {
        errno = EMSGSIZE;
        return false;
    }
    return vigie_send(client, head, (size_t)size, until) && vigie_send(client, line, length, until);
}

/* Sends `line` and finds the line of the answer. The connection stays open only if nothing followed the answer. */
static vigie_end vigie_exchange(vigie_client *client, const char *line, size_t length, long long until, vigie_part *answer) {
    size_t from = 0, to = 0, end = 0;
    bool is_whole;
    errno = 0;
    if (client->fd >= 0 && vigie_is_stale(client)) vigie_close(client);
    is_whole = client->fd >= 0 || vigie_connect(client, until);
    if (is_whole) {
        is_whole = vigie_send_framed(client, line, length, until);
        if (is_whole || errno == EPIPE || errno == ECONNRESET) {
            /* a daemon that turned the connection away and closed it may have said why before */
            int reason = is_whole ? 0 : errno;
            is_whole = vigie_receive(client, until, &from, &to, &end);
            if (!is_whole && reason != 0) errno = reason;
        }
    }
    if (!is_whole) {
        int reason = errno;
        vigie_close(client);
        errno = reason;
        return reason == ETIMEDOUT ? VIGIE_LATE : VIGIE_UNREACHABLE;
    }
    answer->from = client->answer + from;
    answer->to = client->answer + to;
    if (end != client->length) vigie_close(client); /* it says what nobody asked */
    return VIGIE_ANSWERED;
}

/* The first failure costs nothing, so that a restart of the daemon is hardly noticed; then there is a pause of 10 ms, 20 ms,
 * ... in which signals are answered neutrally at once. */
static void vigie_failed(vigie_client *client) {
    long long pause = 10000;
    unsigned doubled;
    client->failures++;
    if (client->failures < 2) return;
    for (doubled = 2; doubled < client->failures && pause < client->max_backoff_us; doubled++) pause *= 2;
    client->next_try_us = vigie_now_us() + (pause < client->max_backoff_us ? pause : client->max_backoff_us);
}

/* ---- requests ------------------------------------------------------------------------------------------------------ */

static bool vigie_is_trade_id(const char *text) {
    size_t length;
    if (text == NULL || text[0] == '\0') return false;
    for (length = 0; text[length] != '\0'; length++) {
        char c = text[length];
        bool allowed = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
                       c == '_' || c == ':' || c == '/' || c == '-';
        if (!allowed || length >= VIGIE_MAX_TRADE_ID) return false;
    }
    return true;
}

static bool vigie_is_temporary(const char *code) {
    static const char *const known[] = {"busy",     "deadline",   "half_line",          "internal_error",
                                        "retry",    "too_slow",   "too_many_connections", "unreachable"};
    size_t i;
    for (i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(code, known[i]) == 0) return true;
    }
    return false;
}

static void vigie_begin(vigie_client *client, vigie_json *json, const char *type, const char *trade_id) {
    client->last_id++;
    client->kind = type;
    vigie_json_begin(json, client->line, sizeof client->line);
    vigie_json_string(json, "type", type);
    vigie_next(json, "id");
    vigie_put_count(json, client->last_id);
    vigie_json_string(json, "trade_id", trade_id);
}

/* Puts a JSON object of the trader's where a value is due, line ends as spaces. False if it is none. */
static bool vigie_put_object(vigie_json *json, const char *object) {
    const char *end, *at;
    if (object == NULL) return false;
    end = object + strlen(object);
    at = vigie_blank(object, end);
    if (at >= end || *at != '{') return false;
    at = vigie_value(at, end, 0);
    if (at == NULL || vigie_blank(at, end) != end) return false;
    for (at = object; at < end; at++) vigie_put(json, *at == '\n' || *at == '\r' ? " " : at, 1);
    return true;
}

/* ends the line; its length, 0 if it could not be written */
static size_t vigie_finish(vigie_json *json) {
    if (vigie_json_text(json) == NULL || json->length > VIGIE_MAX_LINE) return 0;
    json->text[json->length] = '\n'; /* in the place of the zero */
    return json->length + 1;
}

vigie_decision vigie_neutral(const char *trade_id, double confidence, const char *reason) {
    vigie_decision decision;
    memset(&decision, 0, sizeof decision);
    if (trade_id != NULL) vigie_copy(decision.trade_id, sizeof decision.trade_id, trade_id);
    decision.confidence = confidence;
    decision.score = 0.5;
    decision.size = 1.0;
    vigie_copy(decision.reason, sizeof decision.reason, reason);
    vigie_copy(decision.error_code, sizeof decision.error_code, reason);
    return decision;
}

static vigie_decision vigie_refused(const char *trade_id, double confidence, const char *message) {
    vigie_decision decision = vigie_neutral(trade_id, confidence, "invalid_request");
    vigie_copy(decision.error_message, sizeof decision.error_message, message);
    return decision;
}

/* the error of an answer; true if there was one */
static bool vigie_error(vigie_part error, char *code, size_t code_size, char *message, size_t message_size, char *field,
                        size_t field_size) {
    static const char *const names[] = {"code", "message", "field"};
    vigie_part found[3];
    vigie_copy(code, code_size, "unreachable");
    vigie_copy(message, message_size, "refused without a reason");
    field[0] = '\0';
    if (error.from == NULL || !vigie_members(error.from, error.to, names, found, 3)) return false;
    if (!vigie_text(found[0], code, code_size)) {
        vigie_copy(code, code_size, "unreachable");
        return false;
    }
    vigie_text(found[1], message, message_size);
    vigie_text(found[2], field, field_size);
    return true;
}

enum { VIGIE_OK, VIGIE_ID, VIGIE_TRADE, VIGIE_ERROR, VIGIE_ARM, VIGIE_CONFIDENCE, VIGIE_SCORE, VIGIE_SIZE, VIGIE_MODEL,
       VIGIE_REASON, VIGIE_DECISION_FIELDS };

/* The answer as a decision, every field checked: a broken one must not reach an order. False if it is broken, or about
 * something else. */
static bool vigie_read_decision(const vigie_client *client, vigie_part answer, const char *trade_id, double confidence,
                                vigie_decision *decision, bool *turned_away) {
    static const char *const names[] = {"ok",         "id",    "trade_id", "error", "arm",
                                        "confidence", "score", "size",     "model", "reason"};
    vigie_part found[VIGIE_DECISION_FIELDS];
    char id[32], about[VIGIE_MAX_TRADE_ID + 1], arm[16];
    bool has_confidence;
    *turned_away = false;
    if (!vigie_members(answer.from, answer.to, names, found, VIGIE_DECISION_FIELDS)) return false;
    snprintf(id, sizeof id, "%llu", client->last_id);
    *decision = vigie_neutral(trade_id, confidence, "unreachable");
    if (!vigie_is(found[VIGIE_OK], "true")) {
        if (!vigie_is(found[VIGIE_ID], id)) {
            if (!vigie_is_none(found[VIGIE_ID])) return false;
            *turned_away = true; /* the daemon could not take the connection at all */
        }
        if (!vigie_is_none(found[VIGIE_TRADE]) &&
            !(vigie_text(found[VIGIE_TRADE], about, sizeof about) && strcmp(about, trade_id) == 0)) return false;
        vigie_error(found[VIGIE_ERROR], decision->error_code, sizeof decision->error_code, decision->error_message,
                    sizeof decision->error_message, decision->error_field, sizeof decision->error_field);
        if (*turned_away) return true;
        if (!vigie_text(found[VIGIE_REASON], decision->reason, sizeof decision->reason)) {
            vigie_copy(decision->reason, sizeof decision->reason,
                       vigie_is_temporary(decision->error_code) ? "unreachable" : "invalid_request");
        }
        return true;
    }
    if (!vigie_is(found[VIGIE_ID], id)) return false;
    if (!vigie_text(found[VIGIE_TRADE], about, sizeof about) || strcmp(about, trade_id) != 0) return false;
    if (!vigie_text(found[VIGIE_ARM], arm, sizeof arm)) return false;
    decision->spoke = strcmp(arm, "ml") == 0;
    if (!decision->spoke && strcmp(arm, "baseline") != 0) return false;
    has_confidence = vigie_probability(found[VIGIE_CONFIDENCE], &decision->confidence);
    if (!has_confidence && (decision->spoke || !vigie_is_none(found[VIGIE_CONFIDENCE]))) return false;
    if (!decision->spoke) decision->confidence = confidence; /* as it came, not as the daemon read it */
    if (!vigie_probability(found[VIGIE_SCORE], &decision->score)) return false;
    if (!vigie_double(found[VIGIE_SIZE], &decision->size)) return false;
    if (!(decision->size >= 0.0 && decision->size <= VIGIE_MAX_SIZE)) return false;
    if (!vigie_is_none(found[VIGIE_MODEL]) && !vigie_text(found[VIGIE_MODEL], decision->model, sizeof decision->model)) {
        return false;
    }
    if (!vigie_text(found[VIGIE_REASON], decision->reason, sizeof decision->reason)) return false;
    decision->ok = true;
    decision->error_code[0] = '\0';
    return true;
}

vigie_decision vigie_score(vigie_client *client, const char *trade_id, double confidence, const char *members,
                           long deadline_us) {
    static const char *const own[] = {"type", "id", "trade_id", "confidence", "deadline_us"};
    const long long until = vigie_until(deadline_us);
    vigie_part found[5], answer;
    vigie_decision decision;
    vigie_json json;
    vigie_end end;
    const char *at;
    size_t length, i;
    bool turned_away = false;
    if (!vigie_is_trade_id(trade_id)) {
        return vigie_refused(trade_id, confidence, "trade_id is not 1 to 64 characters of A-Z a-z 0-9 . _ : / -");
    }
    if (members == NULL || !vigie_members(members, members + strlen(members), own, found, 5)) {
        return vigie_refused(trade_id, confidence, "the members are not one JSON object");
    }
    for (i = 0; i < 5; i++) {
        if (found[i].from != NULL) {
            return vigie_refused(trade_id, confidence, "the client itself writes type, id, trade_id, confidence, deadline_us");
        }
    }
    if (deadline_us <= 0) return vigie_neutral(trade_id, confidence, "deadline");
    if (vigie_now_us() < client->next_try_us) {
        decision = vigie_neutral(trade_id, confidence, "unreachable");
        vigie_copy(decision.error_message, sizeof decision.error_message, "pausing after several failures");
        return decision;
    }
    vigie_begin(client, &json, "score", trade_id);
    if (!isnan(confidence)) vigie_json_number(&json, "confidence", confidence);
    vigie_next(&json, "deadline_us");
    {
        const long long left = until - vigie_now_us();
        vigie_put_count(&json, left > 0 ? (unsigned long long)left : 1);
    }
    at = vigie_blank(strchr(members, '{') + 1, members + strlen(members));
    if (*at != '}') vigie_put_text(&json, ",");
    /* all but its last brace, which vigie_finish writes */
    length = (size_t)(strrchr(at, '}') - at);
    for (i = 0; i < length; i++) vigie_put(&json, at[i] == '\n' || at[i] == '\r' ? " " : at + i, 1);
    length = vigie_finish(&json);
    if (length == 0) return vigie_refused(trade_id, confidence, "the signal is too long, or its confidence is not finite");
    end = vigie_exchange(client, client->line, length, until, &answer);
    if (end == VIGIE_ANSWERED && vigie_read_decision(client, answer, trade_id, confidence, &decision, &turned_away)) {
        if (!turned_away) {
            /* the gateway may be there when the daemon is not */
            if (!decision.ok && (strcmp(decision.reason, "deadline") == 0 || strcmp(decision.reason, "unreachable") == 0)) {
                vigie_failed(client);
            } else {
                client->failures = 0;
            }
            return decision;
        }
    } else {
        int reason = errno;
        decision = vigie_neutral(trade_id, confidence, end == VIGIE_LATE ? "deadline" : "unreachable");
        vigie_copy(decision.error_message, sizeof decision.error_message,
                   end == VIGIE_LATE ? "no answer in time" : end == VIGIE_ANSWERED ? "a broken answer" : strerror(reason));
    }
    vigie_close(client);
    vigie_failed(client);
    return decision;
}

long vigie_contracts(const vigie_decision *decision, long own, long at_most) {
    double wanted;
    if (!decision->spoke) return own;
    wanted = ceil((double)own * decision->size - 0.5);
    if (!(wanted > 0.0)) return 0;
    return wanted < (double)at_most ? (long)wanted : at_most;
}

/* Sends a finished line and reads the acknowledgement of `trade_id`. */
static int vigie_record(vigie_client *client, size_t length, const char *trade_id, long long until, vigie_ack *ack) {
    static const char *const names[] = {"ok", "id", "trade_id", "error", "durable", "duplicate", "matched"};
    vigie_part found[7], answer;
    char id[32], about[VIGIE_MAX_TRADE_ID + 1];
    vigie_end end = vigie_exchange(client, client->line, length, until, &answer);
    if (end != VIGIE_ANSWERED) {
        vigie_copy(ack->code, sizeof ack->code, end == VIGIE_LATE ? "deadline" : "unreachable");
        vigie_copy(ack->message, sizeof ack->message, end == VIGIE_LATE ? "no answer in time" : strerror(errno));
        ack->temporary = true;
        return -1;
    }
    snprintf(id, sizeof id, "%llu", client->last_id);
    if (vigie_members(answer.from, answer.to, names, found, 7)) {
        const bool is_ok = vigie_is(found[0], "true"), is_mine = vigie_is(found[1], id);
        if (is_ok && is_mine && vigie_text(found[2], about, sizeof about) && strcmp(about, trade_id) == 0 &&
            (vigie_is(found[4], "true") || vigie_is(found[5], "true"))) {
            ack->acknowledged = true;
            ack->duplicate = vigie_is(found[5], "true");
            ack->matched = vigie_is(found[6], "true") ? 1 : vigie_is(found[6], "false") ? 0 : -1;
            ack->code[0] = '\0';
            return 0;
        }
        if (!is_ok && (is_mine || vigie_is_none(found[1]))) {
            vigie_error(found[3], ack->code, sizeof ack->code, ack->message, sizeof ack->message, ack->field,
                        sizeof ack->field);
            ack->temporary = vigie_is_temporary(ack->code);
            if (!is_mine) vigie_close(client);
            return -1;
        }
    }
    vigie_close(client);
    vigie_copy(ack->code, sizeof ack->code, "unreachable");
    vigie_copy(ack->message, sizeof ack->message, "not the acknowledgement of this trade");
    ack->temporary = true;
    return -1;
}

static int vigie_not_sent(vigie_ack *ack, const char *message) {
    vigie_copy(ack->code, sizeof ack->code, "invalid_request");
    vigie_copy(ack->message, sizeof ack->message, message);
    return -1;
}

static void vigie_fresh_ack(vigie_ack *ack) {
    memset(ack, 0, sizeof *ack);
    ack->matched = -1;
}

int vigie_outcome(vigie_client *client, const char *trade_id, const char *metrics, const vigie_decision *decision,
                  long timeout_us, vigie_ack *ack) {
    const long long until = vigie_until(timeout_us);
    vigie_json json;
    vigie_ack unasked;
    size_t length;
    if (ack == NULL) ack = &unasked;
    vigie_fresh_ack(ack);
    if (!vigie_is_trade_id(trade_id)) return vigie_not_sent(ack, "trade_id is not 1 to 64 characters of A-Z a-z 0-9 . _ : / -");
    vigie_begin(client, &json, "outcome", trade_id);
    vigie_next(&json, "outcome_metrics");
    if (!vigie_put_object(&json, metrics)) return vigie_not_sent(ack, "the metrics are not one JSON object");
    if (decision != NULL) {
        const double confidence = decision->confidence;
        vigie_json_object(&json, "decision");
        vigie_json_string(&json, "trade_id", decision->trade_id);
        vigie_json_string(&json, "arm", decision->spoke ? "ml" : "baseline");
        if (confidence >= 0.0 && confidence <= 1.0) vigie_json_number(&json, "confidence", confidence);
        else vigie_json_null(&json, "confidence");
        vigie_json_number(&json, "score", decision->score);
        vigie_json_number(&json, "size", decision->size);
        if (decision->model[0] != '\0') vigie_json_string(&json, "model", decision->model);
        else vigie_json_null(&json, "model");
        vigie_json_string(&json, "reason", decision->reason);
        vigie_json_end(&json);
    }
    length = vigie_finish(&json);
    if (length == 0) return vigie_not_sent(ack, "the outcome is too long, or a number of its decision is not finite");
    return vigie_record(client, length, trade_id, until, ack);
}

int vigie_skip(vigie_client *client, const char *trade_id, const char *reason, long timeout_us, vigie_ack *ack) {
    const long long until = vigie_until(timeout_us);
    vigie_json json;
    vigie_ack unasked;
    size_t length;
    if (ack == NULL) ack = &unasked;
    vigie_fresh_ack(ack);
    if (!vigie_is_trade_id(trade_id)) return vigie_not_sent(ack, "trade_id is not 1 to 64 characters of A-Z a-z 0-9 . _ : / -");
    vigie_begin(client, &json, "skip", trade_id);
    vigie_json_string(&json, "reason", reason);
    length = vigie_finish(&json);
    if (length == 0) return vigie_not_sent(ack, "the reason is too long, or not UTF-8");
    return vigie_record(client, length, trade_id, until, ack);
}

#endif /* VIGIE_IMPLEMENTED */
#endif /* VIGIE_IMPLEMENTATION */
