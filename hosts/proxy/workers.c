/* SPDX-License-Identifier: PostgreSQL
 *
 * workers.c: see workers.h. Only pids of children that were not reaped yet get signals, so none can
 * reach a stranger.
 */
#include "hosts/proxy/workers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "hosts/proxy/log.h"
#include "hosts/proxy/memory.h"

enum { RESTART_MS = 1000 };

struct slot {
    pid_t pid; /* 0: empty */
    int64_t due_ms; /* when it may be filled again; meaningful once it was */
};

static struct slot *slots;
static size_t slot_count;

static int64_t now_ms(void)
{
    return (int64_t)(uv_hrtime() / 1000000);
}

void hf_workers_create(size_t count)
{
    slots = hf_memory_new(count * sizeof(*slots));
    slot_count = count;
}

void hf_workers_destroy(void)
{
    free(slots);
    slots = NULL;
    slot_count = 0;
}

void hf_workers_hold_signals(sigset_t *mask)
{
    sigset_t held;

    sigemptyset(&held);
    sigaddset(&held, SIGHUP);
    sigaddset(&held, SIGTERM);
    sigaddset(&held, SIGINT);
    sigaddset(&held, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &held, mask);
}

/* The master may have died before prctl was called: then nothing would tell. */
static void be_child(pid_t master)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != master)
        _exit(0);
}

/* In a worker true. */
static bool fill(struct slot *slot)
{
    pid_t master = getpid(), pid = fork();
    int number = (int)(slot - slots) + 1;

    if (pid == 0) {
        be_child(master);
        return true;
    }
    slot->due_ms = now_ms() + RESTART_MS;
    if (pid > 0) {
        slot->pid = pid;
        hf_log(HF_LOG_INFO, "worker %d of %zu is pid %ld", number, slot_count, (long)pid);
    } else {
        hf_log(HF_LOG_ERROR, "cannot start worker %d: %s", number, strerror(errno));
    }
    return false;
}

static int64_t wait_of(const struct slot *slot)
{
    int64_t wait_ms = slot->due_ms - now_ms();

    return wait_ms > 0 ? wait_ms : 0;
}

int hf_workers_start(void)
{
    for (size_t i = 0; i < slot_count; i++)
        if (slots[i].pid == 0 && wait_of(&slots[i]) == 0 && fill(&slots[i]))
            return (int)i + 1;
    return 0;
}

bool hf_workers_reap(struct hf_worker_end *end)
{
    for (size_t i = 0; i < slot_count; i++) {
        if (slots[i].pid == 0 || waitpid(slots[i].pid, &end->wait_status, WNOHANG) <= 0)
            continue;
        end->number = (int)i + 1;
        end->pid = slots[i].pid;
        end->restart_ms = wait_of(&slots[i]);
        slots[i].pid = 0;
        return true;
    }
    return false;
}

int64_t hf_workers_wait_ms(void)
{
    int64_t least = -1;

    for (size_t i = 0; i < slot_count; i++)
        if (slots[i].pid == 0 && (least < 0 || wait_of(&slots[i]) < least))
            least = wait_of(&slots[i]);
    return least;
}

size_t hf_workers_count(void)
{
    size_t count = 0;

    for (size_t i = 0; i < slot_count; i++)
        count += slots[i].pid != 0;
    return count;
}

void hf_workers_signal(int number)
{
    for (size_t i = 0; i < slot_count; i++)
        if (slots[i].pid != 0)
            kill(slots[i].pid, number);
}
