/* SPDX-License-Identifier: PostgreSQL
 *
 * share = on: processes end, in every way there is, and the others go on.
 */
#include "tests/integration/children.h"

static int other_than(int number)
{
    return (number + 1) % CHILDREN;
}

static void connect_all(int count)
{
    for (int i = 0; i < CHILDREN; i++)
        CHECK_INT_EQ(tell(i, CONNECT, count), count);
}

/* ---- C91 ---- */

static void test_refresher_killed(void)
{
    int first, other;

    start_sharing("ttl = 2s\nttl_min = 100ms\n");
    hf_flag_service_set_ttl(service, NULL);
    connect_all(1);
    first = refreshing_child();
    other = other_than(first);
    CHECK(HF_WAIT_UNTIL(tell(other, READ, A) == 1, BOUND_MS));
    kill_child(first);
    CHECK(HF_WAIT_UNTIL(sharing("take_overs") == 1, WITHIN_MS));
    CHECK_INT_EQ(tell(other, READ, A), 1);
    CHECK_INT_EQ(requests(), 1);
    hf_flag_service_set_flag(service, "a", false);
    CHECK(HF_WAIT_UNTIL(tell(other, READ, A) == 0, BOUND_MS));
    CHECK_INT_BETWEEN(asked_ms(1) - asked_ms(0), 1600 - 100, 2 * WITHIN_MS * hf_wait_slow_ms(1));
    CHECK_INT_EQ(requests(), 2);
    end_sharing();
}

/* The refresher dies with its request on the wire: it is asked once more, and no oftener. */
static void test_killed_in_flight(void)
{
    struct gate gate;
    int first, lost, again;

    start_sharing("%s", "");
    gate = gate_open();
    for (int i = 0; i < CHILDREN; i++)
        CHECK_INT_EQ(tell_about(i, CONNECT, 1, HF_NO_CONN, gate.url), 1);
    lost = gate_take(&gate);
    first = refreshing_child();
    kill_child(first);
    again = -1;
    CHECK(HF_WAIT_UNTIL((again = gate_try(&gate)) >= 0, WITHIN_MS));
    CHECK_INT_EQ(sharing("take_overs"), 1);
    gate_answer(again, "{\"flags\":[{\"name\":\"a\",\"value\":\"true\"}]}");
    CHECK(HF_WAIT_UNTIL(tell(other_than(first), READ, A) == 1, BOUND_MS));
    CHECK_INT_EQ(gate_try(&gate), -1);
    CHECK_INT_EQ(hf_test_status_int(plugin, "127.0.0.1", gate_port(&gate), "requests"), 2);
    close(lost);
    gate_close(&gate);
    end_sharing();
}

/* One after the other, until nobody is left; the next one who comes finds all as it was. */
static void test_all_killed_in_turn(void)
{
    start_sharing("%s", "");
    connect_all(10);
    CHECK(HF_WAIT_UNTIL(tell(0, READ, A) == 1, BOUND_MS));
    for (int left = CHILDREN - 1; left > 0; left--) {
        kill_child(refreshing_child());
        CHECK(HF_WAIT_UNTIL(sharing("take_overs") == CHILDREN - left, WITHIN_MS));
        CHECK(HF_WAIT_UNTIL(hf_test_status_total(plugin, "connections") == 10 * left, WITHIN_MS));
    }
    kill_child(refreshing_child());
    CHECK_INT_EQ(hf_test_status_total(plugin, "connections"), 10);
    hf_conn conn = connect_service();
    CHECK_INT_EQ(plugin->is_enabled(conn, A), 1);
    CHECK(HF_WAIT_UNTIL(hf_test_status_total(plugin, "connections") == 1, WITHIN_MS));
    CHECK_INT_EQ(sharing("take_overs"), CHILDREN);
    CHECK_INT_EQ(sharing("returned_references"), 10 * CHILDREN);
    CHECK_INT_EQ(requests(), 1);
    plugin->on_disconnect(conn);
    end_sharing();
}

/* Nothing is due while nobody has read: to stand by for the others is something to do as well. */
static void test_reload_with_nothing_due(void)
{
    start_sharing("prefetch = off\n");
    connect_all(1);
    for (int i = 0; i < CHILDREN; i++)
        CHECK_INT_EQ(tell_about(i, RELOAD, 0, HF_NO_CONN, ""), HF_OK);
    kill_child(refreshing_child());
    CHECK(HF_WAIT_UNTIL(hf_test_status_total(plugin, "connections") == CHILDREN - 1, WITHIN_MS));
    CHECK_INT_EQ(sharing("processes"), CHILDREN - 1);
    end_sharing();
}

static void test_stopped_refresher(void)
{
    int first, other;

    start_sharing("%s", "");
    connect_all(1);
    first = refreshing_child();
    other = other_than(first);
    CHECK(HF_WAIT_UNTIL(tell(other, READ, A) == 1, BOUND_MS));
    kill(children[first].pid, SIGSTOP);
    CHECK_INT_EQ(tell(other, CONNECT, 10), 11);
    CHECK_INT_EQ(tell(other, READ, A), 1);
    CHECK_INT_EQ(tell(other, DISCONNECT, 0), CHILDREN - 1);
    CHECK(HF_STAYS(sharing("take_overs") == 0, WITHIN_MS));
    kill(children[first].pid, SIGCONT);
    CHECK_INT_EQ(tell(first, READ, A), 1);
    end_sharing();
}

/* ---- C92 ---- */

static void test_references_return(void)
{
    start_sharing("%s", "");
    connect_all(100);
    CHECK_INT_EQ(hf_test_status_total(plugin, "connections"), 100 * CHILDREN);
    int victim = other_than(refreshing_child());
    kill_child(victim);
    CHECK(HF_WAIT_UNTIL(
        hf_test_status_total(plugin, "connections") == 100 * (CHILDREN - 1), WITHIN_MS));
    CHECK_INT_EQ(sharing("returned_references"), 100);
    CHECK_INT_EQ(sharing("processes"), CHILDREN - 1);
    CHECK_INT_EQ(sharing("take_overs"), 0);
    CHECK(HF_WAIT_UNTIL(tell(other_than(victim), READ, A) == 1, BOUND_MS));
    CHECK_INT_EQ(tell(other_than(victim), DISCONNECT, 0), 100 * (CHILDREN - 2));
    CHECK_INT_EQ(requests(), 1);
    end_sharing();
}

/* A process is killed as soon as it is seen: one that refreshes alone has to notice, too. */
static void test_killed_while_joining(void)
{
    hf_conn conn;

    start_sharing("%s", "");
    conn = connect_service();
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, A) == 1, BOUND_MS));
    for (int i = 0; i < CHILDREN; i++) {
        int64_t end_ms = hf_wait_now_ms() + BOUND_MS;
        struct order what = {.kind = CONNECT, .count = 1};
        snprintf(what.url, sizeof(what.url), "%s", hf_flag_service_url(service));
        order(i, what);
        while (sharing("processes") < 2 && hf_wait_now_ms() < end_ms)
            continue; /* no nap: the moment after it has joined is short */
        kill_child(i);
        CHECK(HF_WAIT_UNTIL(
            sharing("processes") == 1 && hf_test_status_total(plugin, "connections") == 1,
            WITHIN_MS));
    }
    plugin->on_disconnect(conn);
    end_sharing();
}

/* The refresher was alone, and had nobody to look at. */
static void test_late_comer_killed(void)
{
    start_sharing("%s", "");
    CHECK_INT_EQ(tell(0, CONNECT, 1), 1);
    CHECK(HF_WAIT_UNTIL(tell(0, READ, A) == 1, BOUND_MS));
    for (int i = 1; i < CHILDREN; i++) {
        CHECK(HF_STAYS(sharing("processes") == 1, 300));
        CHECK_INT_EQ(tell(i, CONNECT, 1), 1);
        kill_child(i);
        CHECK(HF_WAIT_UNTIL(hf_test_status_total(plugin, "connections") == 1, WITHIN_MS));
    }
    CHECK_INT_EQ(sharing("returned_references"), CHILDREN - 1);
    end_sharing();
}

/* A dead process was the only one that held the host: with linger = 0 its entry goes with it. */
static void test_last_holder_killed(void)
{
    start_sharing("linger = 0\n");
    struct pacer other = {.service = hf_flag_service_start(NULL)};
    for (int i = 1; i < CHILDREN; i++)
        CHECK_INT_EQ(tell_about(i, CONNECT, 1, HF_NO_CONN, hf_flag_service_url(other.service)), 1);
    CHECK_INT_EQ(tell(0, CONNECT, 100), 100);
    CHECK(has_entry());
    kill_child(0);
    CHECK(HF_WAIT_UNTIL(!has_entry(), WITHIN_MS));
    CHECK_INT_EQ(hf_test_status_total(plugin, "connections"), CHILDREN - 1);
    hf_flag_service_stop(other.service);
    end_sharing();
}

/* The table was full of a dead process's connections. */
static void test_full_table_returns(void)
{
    start_sharing("max_connections = 100\n");
    CHECK_INT_EQ(tell(0, CONNECT, 1), 1);
    CHECK_INT_EQ(tell(1, CONNECT, 200), 99);
    CHECK_INT_EQ(tell(0, CONNECT, 1), 1);
    kill_child(1);
    CHECK(HF_WAIT_UNTIL(tell(0, CONNECT, 1) > 1, WITHIN_MS));
    end_sharing();
}

static void check_left(int number)
{
    CHECK(HF_WAIT_UNTIL(
        hf_test_status_total(plugin, "connections") == 10 * (CHILDREN - 1), WITHIN_MS));
    CHECK_INT_EQ(sharing("processes"), CHILDREN - 1);
    CHECK_INT_EQ(sharing("returned_references"), 10);
    CHECK(HF_WAIT_UNTIL(tell(other_than(number), READ, A) == 1, BOUND_MS));
}

/* fini detaches this process only; init makes a cache of its own then. */
static void test_fini(void)
{
    start_sharing("%s", "");
    connect_all(10);
    int first = refreshing_child();
    CHECK(HF_WAIT_UNTIL(tell(first, READ, A) == 1, BOUND_MS));
    tell(first, FINI, 0);
    CHECK_INT_EQ(tell(first, READ, A), 0);
    check_left(first);
    CHECK_INT_EQ(tell(first, INIT, 0), HF_OK);
    CHECK_INT_EQ(tell(first, READ, A), 0);
    CHECK_INT_EQ(tell(first, CONNECT, 1), 11);
    CHECK(HF_WAIT_UNTIL(tell(first, READ, A) == 1, BOUND_MS));
    CHECK_INT_EQ(tell(first, CONNECTIONS, 0), 1);
    CHECK_INT_EQ(hf_test_status_total(plugin, "connections"), 10 * (CHILDREN - 1));
    CHECK_INT_EQ(requests(), 2);
    end_sharing();
}

static void test_exit(void)
{
    start_sharing("%s", "");
    connect_all(10);
    int first = refreshing_child();
    order(first, (struct order){.kind = EXIT});
    bury_child(first);
    check_left(first);
    end_sharing();
}

/* The parent's fini leaves the children what they have. */
static void test_fini_of_the_parent(void)
{
    start_sharing("%s", "");
    connect_all(10);
    CHECK(HF_WAIT_UNTIL(tell(0, READ, A) == 1, BOUND_MS));
    plugin->fini();
    for (int i = 0; i < CHILDREN; i++) {
        CHECK_INT_EQ(tell(i, READ, A), 1);
        CHECK_INT_EQ(tell(i, CONNECTIONS, 0), 10 * CHILDREN);
    }
    end_sharing();
}

/* A process that is forked from one that has connections, and from its threads' midst. */
static void test_forked_late(void)
{
    if (getenv("HF_UNDER_VALGRIND") || NO_LATE_FORKS) {
        hf_test_skip("threads that start after a fork of a process with threads are not seen well");
        return;
    }
    start_sharing("%s", "");
    hf_conn conn = connect_service();
    CHECK(HF_WAIT_UNTIL(plugin->is_enabled(conn, A) == 1, BOUND_MS));
    kill_child(0);
    start_child(0);
    CHECK_INT_EQ(tell(0, OWN, 0), 0);
    CHECK_INT_EQ(tell(0, CONNECT, 5), 5);
    CHECK_INT_EQ(tell(0, READ, A), 1);
    CHECK(tell(0, OWN, 0) > 0);
    CHECK_INT_EQ(tell(0, DISCONNECT, 0), 1);
    CHECK_INT_EQ(requests(), 1);
    plugin->on_disconnect(conn);
    end_sharing();
}

int main(int argc, char **argv)
{
    static const struct hf_test tests[] = {
        {"C91 the refresher is killed: another refreshes, and nobody asks more",
            test_refresher_killed},
        {"C91 killed with a request in flight: one more request, within 2 s",
            test_killed_in_flight},
        {"C91 C92 killed one after the other, to the last", test_all_killed_in_turn},
        {"C91 C92 after a reload with nothing due there is one who stands by",
            test_reload_with_nothing_due},
        {"C91 a stopped refresher keeps the lease, and the others answer", test_stopped_refresher},
        {"C92 a killed process's 100 references are gone within 2 s, the others stay",
            test_references_return},
        {"C92 one who is killed while it joins", test_killed_while_joining},
        {"C92 one who comes late and is killed", test_late_comer_killed},
        {"C92 C11 linger = 0: the entry of the only holder goes with it", test_last_holder_killed},
        {"C92 C15 a table full of a dead process's connections is free again",
            test_full_table_returns},
        {"C91 C92 fini detaches this process only, and init starts anew", test_fini},
        {"C91 C92 exit without fini", test_exit},
        {"C92 fini where all was forked from", test_fini_of_the_parent},
        {"C90 C79 forked from a process that has connections", test_forked_late},
    };
    return run_tests("sharing life", tests, COUNT(tests), argc, argv);
}
