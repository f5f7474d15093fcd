/* The C client for the tests in clients/tests: reads a request a line from standard input, fields separated by tabs, and
 * answers each with one line of JSON.
 *
 *     open SOCKET TOKEN                                 a client of another daemon takes the place of this one; with a token the
 *                                                       socket is the address of a gateway
 *     score TRADE-ID CONFIDENCE DEADLINE-US MEMBERS     CONFIDENCE: its 64 bits in hexadecimal, or nan
 *     outcome TRADE-ID TIMEOUT-US METRICS DECISION      DECISION: yes sends the last decision along
 *     skip TRADE-ID TIMEOUT-US REASON
 *     close-descriptor HOW                              closes the client's descriptor behind its back; "file" and "socket" open
 *                                                       something else there
 *     stranger                                          whether that socket is open and was sent nothing
 *     fork                                              a child scores; then the parent goes on
 */
#define VIGIE_IMPLEMENTATION
#include "../vigie.h"

#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <sys/time.h>
#include <sys/wait.h>

static vigie_client client;
static char request[4 * VIGIE_MAX_LINE], reply[16384];
static int interruptions, stranger[2];

static void interrupted(int number) {
    (void)number;
    interruptions++;
}

static char *next_field(char **rest) {
    char *field = *rest, *tab = field == NULL ? NULL : strchr(field, '\t');
    if (tab != NULL) *tab++ = '\0';
    *rest = tab;
    return field == NULL ? request + sizeof request - 1 : field;
}

static void put_decision(vigie_json *json, const vigie_decision *decision) {
    char bits[32];
    uint64_t own;
    memcpy(&own, &decision->confidence, sizeof own);
    snprintf(bits, sizeof bits, "%016" PRIx64, own);
    vigie_json_bool(json, "ok", decision->ok);
    vigie_json_string(json, "trade_id", decision->trade_id);
    vigie_json_string(json, "arm", decision->spoke ? "ml" : "baseline");
    vigie_json_string(json, "confidence_bits", bits);
    vigie_json_number(json, "score", decision->score);
    vigie_json_number(json, "size", decision->size);
    vigie_json_string(json, "model", decision->model);
    vigie_json_string(json, "reason", decision->reason);
    vigie_json_string(json, "error_code", decision->error_code);
    vigie_json_string(json, "error_message", decision->error_message);
    vigie_json_string(json, "error_field", decision->error_field);
}

static void put_ack(vigie_json *json, const vigie_ack *ack) {
    vigie_json_bool(json, "acknowledged", ack->acknowledged);
    vigie_json_bool(json, "duplicate", ack->duplicate);
    vigie_json_number(json, "matched", ack->matched);
    vigie_json_bool(json, "temporary", ack->temporary);
    vigie_json_string(json, "code", ack->code);
    vigie_json_string(json, "message", ack->message);
    vigie_json_string(json, "field", ack->field);
}

int main(void) {
    static vigie_decision decision;
    vigie_init(&client, "/nonexistent");
    if (getenv("VIGIE_TEST_INTERRUPT") != NULL) { /* a signal every millisecond, which interrupts system calls */
        struct sigaction action;
        struct itimerval every;
        memset(&action, 0, sizeof action);
        action.sa_handler = interrupted;
        sigaction(SIGALRM, &action, NULL);
        memset(&every, 0, sizeof every);
        every.it_interval.tv_usec = every.it_value.tv_usec = 1000;
        setitimer(ITIMER_REAL, &every, NULL);
    }
    for (;;) {
        vigie_json json;
        vigie_ack ack;
        char *rest = request, *kind;
        const char *text;
        size_t length = 0;
        long long start;
        int c;
        for (;;) { /* fgets would take an interruption for the end */
            c = getchar();
            if (c == EOF && ferror(stdin) && errno == EINTR) {
                clearerr(stdin);
                continue;
            }
            if (c == EOF || c == '\n' || length + 2 >= sizeof request) break;
            request[length++] = (char)c;
        }
        if (c != '\n') return 0;
        request[length] = '\0';
        kind = next_field(&rest);
        vigie_json_begin(&json, reply, sizeof reply);
        start = vigie_now_us();
        if (strcmp(kind, "open") == 0) {
            vigie_close(&client);
            text = next_field(&rest);
            if (rest != NULL) vigie_init_http(&client, text, rest);
            else vigie_init(&client, text);
        } else if (strcmp(kind, "score") == 0) {
            const char *trade_id = next_field(&rest), *confidence = next_field(&rest), *deadline = next_field(&rest);
            const uint64_t bits = strtoull(confidence, NULL, 16);
            double own = (double)NAN;
            if (strcmp(confidence, "nan") != 0) memcpy(&own, &bits, sizeof own);
            decision = vigie_score(&client, trade_id, own, rest, atol(deadline));
            vigie_json_number(&json, "elapsed_us", (double)(vigie_now_us() - start));
            put_decision(&json, &decision);
        } else if (strcmp(kind, "outcome") == 0) {
            const char *trade_id = next_field(&rest), *timeout = next_field(&rest), *metrics = next_field(&rest);
            const bool with = strcmp(next_field(&rest), "yes") == 0;
            vigie_outcome(&client, trade_id, metrics, with ? &decision : NULL, atol(timeout), &ack);
            put_ack(&json, &ack);
        } else if (strcmp(kind, "skip") == 0) {
            const char *trade_id = next_field(&rest), *timeout = next_field(&rest);
            vigie_skip(&client, trade_id, next_field(&rest), atol(timeout), &ack);
            put_ack(&json, &ack);
        } else if (strcmp(kind, "close-descriptor") == 0) {
            const int fd = client.fd;
            const char *how = next_field(&rest);
            close(fd);
            if (strcmp(how, "file") == 0) {
                const int file = open("reused", O_RDWR | O_CREAT | O_TRUNC, 0600);
                vigie_json_bool(&json, "reused", file == fd);
            } else if (strcmp(how, "socket") == 0) {
                vigie_json_bool(&json, "reused", socketpair(AF_UNIX, SOCK_STREAM, 0, stranger) == 0 && stranger[0] == fd);
            }
        } else if (strcmp(kind, "stranger") == 0) {
            char byte;
            const ssize_t got = recv(stranger[1], &byte, 1, MSG_PEEK | MSG_DONTWAIT);
            vigie_json_bool(&json, "left_alone", got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK));
            close(stranger[0]);
            close(stranger[1]);
        } else if (strcmp(kind, "fork") == 0) {
            const pid_t child = fork();
            int status = 1;
            if (child == 0) {
                decision = vigie_score(&client, "T-CHILD", 0.62, rest, 5000000);
                vigie_close(&client);
                _exit(decision.ok && strcmp(decision.trade_id, "T-CHILD") == 0 ? 0 : 1);
            }
            while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
            vigie_json_bool(&json, "child_was_answered", WIFEXITED(status) && WEXITSTATUS(status) == 0);
        } else {
            return 2;
        }
        vigie_json_number(&json, "interruptions", interruptions);
        text = vigie_json_text(&json);
        puts(text == NULL ? "null" : text);
        while (fflush(stdout) != 0 && errno == EINTR) clearerr(stdout);
    }
}
