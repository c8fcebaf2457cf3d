/* SPDX-License-Identifier: PostgreSQL
 *
 * test_top.c: `hostflags-host top` in a pseudo-terminal: what it draws, and that it leaves the
 * terminal as it was, however it ends.
 */
#include "tests/integration/proxy_fixture.h"

#include "tests/support/pty.h"
#include "tests/support/status_peer.h"

struct world {
    char *directory, *socket;
    struct hf_status_peer *peer;
    struct hf_pty *pty;
};

static bool shows(struct world *world, const char *text)
{
    return strstr(hf_pty_picture(world->pty), text) != NULL;
}

/* A top of that size over a peer with that answer (NULL: no peer at all). */
static bool begin(
    struct world *world, const char *answer, const char *no_colour, unsigned short lines)
{
    const char *env[] = {no_colour, NULL};

    *world = (struct world){.directory = hf_tmpdir_create()};
    world->socket = hf_tmpdir_path(world->directory, "status");
    if (answer)
        world->peer = hf_status_peer_start(world->socket, answer);
    const char *argv[] = {hf_build_path("hostflags-host"), "top", "--socket", world->socket, NULL};
    world->pty = hf_pty_start(argv, env, 100, lines);
    return CHECK(world->pty && (world->peer || !answer));
}

static void end(struct world *world)
{
    hf_pty_destroy(world->pty);
    hf_status_peer_stop(world->peer);
    free(world->socket);
    hf_tmpdir_remove(world->directory);
}

#define SOME \
    "{\"version\":\"1.2.3\",\"hosts\":[{\"host\":\"some\"}],\"connections\":%d,\"rejected\":0}"

static void set_connections(struct world *world, int connections)
{
    char answer[256];

    snprintf(answer, sizeof(answer), SOME, connections);
    hf_status_peer_set_answer(world->peer, answer);
}

static void test_redraws(void)
{
    struct world world;

    if (begin(&world, "{}", "NO_COLOR=1", 24)) {
        for (int i = 1; i <= 3; i++) {
            char expected[32];

            set_connections(&world, i);
            snprintf(expected, sizeof(expected), "\nconnections %d,", i);
            CHECK(HF_WAIT_UNTIL(shows(&world, expected), BOUND_MS));
        }
        CHECK(shows(&world, "  hostflags 1.2.3  enabled on  requests/s "));
        CHECK_STR_CONTAINS(hf_pty_picture(world.pty), world.socket);
        /* a picture begins with the time, in the top left corner */
        CHECK_INT_EQ(strspn(hf_pty_picture(world.pty), "0123456789:"), 8);
    }
    end(&world);
}

/* Ends with that status within the bound, with the cursor shown and the terminal as it was. */
static void check_restored(struct world *world)
{
    const char *output;

    CHECK_INT_EQ(hf_pty_wait_exit(world->pty, BOUND_MS), 0);
    CHECK(hf_pty_is_plain(world->pty));
    output = hf_pty_output(world->pty);
    CHECK_STR_EQ(strlen(output) < 6 ? output : output + strlen(output) - 6, "\033[?25h");
}

static bool begin_drawn(struct world *world)
{
    return begin(world, "{}", "NO_COLOR=1", 24) &&
        CHECK(HF_WAIT_UNTIL(shows(world, "No hosts: "), BOUND_MS)) &&
        CHECK(!hf_pty_is_plain(world->pty)) &&
        CHECK(strstr(hf_pty_output(world->pty), "\033[?25l") != NULL);
}

static void test_keys(void)
{
    static const char *const keys[] = {"q", "Q", "abcq", "\x03" /* Ctrl-C */};

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct world world;

        if (begin_drawn(&world)) {
            hf_pty_type(world.pty, keys[i]);
            check_restored(&world);
        }
        end(&world);
    }
}

static void test_signals(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        struct world world;

        if (begin_drawn(&world)) {
            kill(hf_pty_pid(world.pty), signals[i]);
            check_restored(&world);
        }
        end(&world);
    }
}

/* Ctrl-Z gives the terminal back, and going on takes it again. */
static void test_stop(void)
{
    struct world world;

    if (begin_drawn(&world)) {
        hf_pty_type(world.pty, "\x1a");
        CHECK(HF_WAIT_UNTIL(hf_pty_has_stopped(world.pty), BOUND_MS));
        CHECK(hf_pty_is_plain(world.pty));
        set_connections(&world, 5);
        kill(hf_pty_pid(world.pty), SIGCONT);
        CHECK(HF_WAIT_UNTIL(shows(&world, "\nconnections 5,"), BOUND_MS));
        CHECK(!hf_pty_is_plain(world.pty));
        hf_pty_type(world.pty, "q");
        check_restored(&world);
    }
    end(&world);
}

static size_t count_lines(const char *text)
{
    size_t count = 0;

    for (; *text; text++)
        count += *text == '\n';
    return count;
}

static size_t longest_line(const char *text)
{
    size_t longest = 0;

    for (; *text; text += strcspn(text, "\n"), text += *text == '\n')
        longest = strcspn(text, "\n") > longest ? strcspn(text, "\n") : longest;
    return longest;
}

/* 20 hosts, every second with a message. */
static char *many_hosts(void)
{
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);

    fputs("{\"hosts\":[", file);
    for (int i = 10; i < 30; i++)
        fprintf(file, "%s{\"host\":\"host-%d\",\"state\":\"fresh\",\"last_message\":\"%s\"}",
            i > 10 ? "," : "", i,
            i % 2 ? "a message that is longer than the window is wide, so that it has to be cut "
                    "for this picture"
                  : "");
    fputs("],\"connections\":20,\"rejected\":0}", file);
    fclose(file);
    return text;
}

/* The picture fits, with the line of the cursor, and says what is left out. */
static void test_window(void)
{
    struct world world;
    char *answer = many_hosts();

    if (begin(&world, answer, "NO_COLOR=1", 50)) {
        CHECK(HF_WAIT_UNTIL(shows(&world, "\nhost-29 "), BOUND_MS));
        CHECK(!shows(&world, " more\n"));
        CHECK_INT_EQ(count_lines(hf_pty_picture(world.pty)), 1 + 1 + 20 + 10 + 3);

        /* 12 lines: ours, titles, "... and", a blank one, two of sums, the cursor's: five are left,
         * for host-10, host-11 with its message and host-12; host-13 needs two. */
        hf_pty_resize(world.pty, 60, 12);
        CHECK(HF_WAIT_UNTIL(shows(&world, "\n... and 17 more\n"), BOUND_MS));
        CHECK(shows(&world, "\nhost-12 "));
        CHECK(!shows(&world, "\nhost-13 "));
        CHECK_INT_EQ(count_lines(hf_pty_picture(world.pty)), 12 - 1 - 1);
        CHECK_INT_BETWEEN(longest_line(hf_pty_picture(world.pty)), 40, 60);

        hf_pty_resize(world.pty, 20, 2);
        CHECK(HF_WAIT_UNTIL(count_lines(hf_pty_picture(world.pty)) == 1, BOUND_MS));
        CHECK_INT_BETWEEN(longest_line(hf_pty_picture(world.pty)), 1, 20);
        hf_pty_type(world.pty, "q");
        check_restored(&world);
    }
    end(&world);
    free(answer);
}

#define STALE "{\"hosts\":[{\"host\":\"h\",\"state\":\"stale\"}]}"

static void test_colour(void)
{
    struct world world;

    if (begin(&world, STALE, "NO_COLOR=", 24))
        CHECK(HF_WAIT_UNTIL(shows(&world, "\n\033[33mh "), BOUND_MS));
    end(&world);
    if (begin(&world, STALE, "NO_COLOR=1", 24)) {
        CHECK(HF_WAIT_UNTIL(shows(&world, "\nh "), BOUND_MS));
        CHECK(!shows(&world, "\033"));
    }
    end(&world);
}

/* It waits for a proxy, notices when that has ended, and finds the next one. */
static void test_proxy_gone(void)
{
    struct world world;

    if (begin(&world, NULL, "NO_COLOR=1", 24)) {
        CHECK(HF_WAIT_UNTIL(shows(&world, "there is no such socket"), BOUND_MS));
        world.peer = hf_status_peer_start(world.socket, "{}");
        CHECK(HF_WAIT_UNTIL(shows(&world, "No hosts: "), BOUND_MS));
        hf_status_peer_stop(world.peer);
        world.peer = NULL;
        CHECK(HF_WAIT_UNTIL(shows(&world, "there is no such socket"), BOUND_MS));
        CHECK(shows(&world, "Asking again each second"));
        CHECK(!shows(&world, "No hosts: "));
        world.peer = hf_status_peer_start(world.socket, "no JSON\n");
        CHECK(HF_WAIT_UNTIL(shows(&world, "the answer is no JSON object"), BOUND_MS));
        hf_status_peer_set_answer(world.peer, NULL);
        CHECK(HF_WAIT_UNTIL(shows(&world, "no answer within 2 s"), BOUND_MS));
        hf_status_peer_set_answer(world.peer, "{}");
        CHECK(HF_WAIT_UNTIL(shows(&world, "No hosts: "), BOUND_MS));
        hf_pty_type(world.pty, "q");
        check_restored(&world);
    }
    end(&world);
}

static void set_requests(struct world *world, int ok, int http)
{
    char answer[128];

    snprintf(answer, sizeof(answer),
        "{\"hosts\":[],\"requests_by_outcome\":{\"ok\":%d,\"http\":%d}}", ok, http);
    hf_status_peer_set_answer(world->peer, answer);
}

/* Of the rates in all pictures so far the highest, and how often there was none. */
static double highest_rate(struct world *world, int *none)
{
    const char *at = hf_pty_output(world->pty);
    double highest = 0, value;

    *none = 0;
    while ((at = strstr(at, "requests/s "))) {
        if (sscanf(at, "requests/s %lf", &value) == 1)
            highest = value > highest ? value : highest;
        else
            *none += strncmp(at, "requests/s -", 12) == 0;
        at++;
    }
    return highest;
}

static void test_rate(void)
{
    struct world world;
    int none;

    if (begin(&world, "{\"hosts\":[],\"requests_by_outcome\":{\"ok\":100,\"http\":1}}",
            "NO_COLOR=1", 24)) {
        CHECK(HF_WAIT_UNTIL(shows(&world, "requests/s 0.0\n"), BOUND_MS));
        CHECK(highest_rate(&world, &none) == 0);
        CHECK_INT_EQ(none, 1); /* in the first picture */
        set_requests(&world, 1100, 9001); /* 10,000 more, in a second or as long as it takes */
        CHECK(HF_WAIT_UNTIL(highest_rate(&world, &none) > 0, BOUND_MS));
        CHECK(highest_rate(&world, &none) <= 10020); /* a millisecond may be missing */
        CHECK(HF_WAIT_UNTIL(shows(&world, "requests/s 0.0\n"), BOUND_MS));
        set_requests(&world, 1, 0); /* another proxy */
        CHECK(HF_WAIT_UNTIL(highest_rate(&world, &none) && none == 2, BOUND_MS));
    }
    end(&world);
}

static void check_refused(const char *const *argv, const char *part)
{
    char *output = NULL;

    CHECK_INT_EQ(hf_process_run(argv, BOUND_MS, &output), 3);
    CHECK_STR_CONTAINS(output, part);
    free(output);
}

static void test_usage(void)
{
    const char *program = hf_build_path("hostflags-host");
    const char *help[] = {program, "top", "--help", NULL};
    char *output = NULL;

    check_refused((const char *const[]){program, "top", "--socket", "/nowhere", NULL},
        "top needs a terminal on stdout; `hostflags-host status` writes the same table");
    check_refused((const char *const[]){program, "top", "--json", NULL}, "unknown option `--json`");
    CHECK_INT_EQ(hf_process_run(help, BOUND_MS, &output), 0);
    CHECK_STR_CONTAINS(output, "Usage: hostflags-host top (--config FILE | --socket PATH)");
    free(output);
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"a picture each second, in place", test_redraws},
        {"q and Ctrl-C end it and restore the terminal", test_keys},
        {"signals end it and restore the terminal", test_signals},
        {"Ctrl-Z gives the terminal back, and it goes on", test_stop},
        {"the picture fits the window and follows its size", test_window},
        {"colour, unless NO_COLOR is set", test_colour},
        {"no proxy yet, gone, stuck, back", test_proxy_gone},
        {"requests per second", test_rate},
        {"no terminal, bad options: status 3", test_usage},
    };

    return hf_suite_run("top", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
