/* SPDX-License-Identifier: PostgreSQL
 *
 * A day of 1,000 proxies with 50 hosts each, in seconds. Argument: the directory for what is
 * written: day.csv (10 s a line), picture.csv and events.gnuplot (for the picture), and summary
 * (which is also printed, and shown by README). HF_SEED chooses another day of
 * the same kind. Exit status 1: a target was missed.
 */
#include "tests/simulate/fleet.h"
#include "tests/simulate/summary.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#define PROXIES 1000
#define HOSTS 50
#define TTL_S 900
#define DAY_LINE_S 10
#define PICTURE_LINE_S 120
#define DEFAULT_SEED "1"

static double processor_s(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

static FILE *create(const char *directory, const char *name)
{
    char path[1024];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    file = fopen(path, "w");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    return file;
}

static void finish(FILE *file)
{
    if (ferror(file) || fclose(file) != 0) {
        perror("simulate");
        exit(1);
    }
}

static void write_csv(
    const struct hf_summary *summary, int64_t line_s, const char *directory, const char *name)
{
    FILE *file = create(directory, name);

    hf_ledger_write_csv(summary->ledger, line_s, file);
    finish(file);
}

static void write_summary(const struct hf_summary *summary, const char *directory, const char *name)
{
    FILE *file = create(directory, name);

    (void)hf_summary_write(summary, file);
    finish(file);
}

/* Gives the number of missed targets. */
static int write_results(const struct hf_summary *summary, const char *directory)
{
    FILE *file = create(directory, "events.gnuplot");

    hf_summary_write_events(summary, PICTURE_LINE_S, file);
    finish(file);
    write_csv(summary, PICTURE_LINE_S, directory, "picture.csv");
    write_csv(summary, DAY_LINE_S, directory, "day.csv");
    write_summary(summary, directory, "summary");
    return hf_summary_write(summary, stdout);
}

int main(int argc, char **argv)
{
    const char *text = getenv("HF_SEED") != NULL ? getenv("HF_SEED") : DEFAULT_SEED;
    struct hf_fleet_options options = {.proxies = PROXIES,
        .hosts = HOSTS,
        .ttl_s = TTL_S,
        .jitter = HF_JITTER_RANDOM,
        .seed = strtoull(text, NULL, 10)};
    struct hf_retries retries[HF_RETRIES];
    double began_s = processor_s();
    struct hf_ledger *ledger;
    int missed;

    if (argc != 2) {
        fprintf(stderr, "usage: simulate DIRECTORY\n");
        return 2;
    }
    printf("simulate: HF_SEED=%" PRIu64 "\n", options.seed);
    ledger = hf_fleet_run(&options, &hf_scenario_day);
    printf("simulate: %d proxies x %d hosts: a day with %" PRIu64 " requests took %.1f s\n\n",
        PROXIES, HOSTS, ledger->requests, processor_s() - began_s);
    hf_retries_run(PROXIES, options.seed, retries);
    missed = write_results(&(struct hf_summary){ledger, &hf_scenario_day, TTL_S, retries}, argv[1]);
    if (ledger->requests != ledger->counted) {
        printf("\nsimulate: the registries counted %" PRIu64 " requests\n", ledger->counted);
        missed++;
    }
    printf("\nsimulate: %d target(s) missed\n", missed);
    hf_ledger_destroy(ledger);
    return missed == 0 ? 0 : 1;
}
