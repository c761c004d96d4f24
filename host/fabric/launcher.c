/* SPDX-License-Identifier: Apache-2.0 */
#include "fabric/launcher.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/thread.h"

enum state { IDLE, ASKED, OVER, STOP };

struct sl_launcher {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t change;
    enum state state; /* under the lock, as what follows */
    struct sl_device *dev;
    uint32_t job_off, n_job;
    unsigned deadline_ms;
    int err;
    uint64_t begin, end;
    struct sl_failure why; /* the thread's */
};

static void launch(struct sl_launcher *l)
{
    l->begin = sl_now_ns();
    l->err = sl_device_launch(l->dev, l->job_off, l->n_job, l->deadline_ms);
    l->end = sl_now_ns();
    if (l->err)
        sl_failure_keep(&l->why);
}

static void *launcher_main(void *user)
{
    struct sl_launcher *l = user;
    pthread_mutex_lock(&l->lock);
    while (l->state != STOP) {
        if (l->state != ASKED) {
            pthread_cond_wait(&l->change, &l->lock);
            continue;
        }
        pthread_mutex_unlock(&l->lock);
        launch(l);
        pthread_mutex_lock(&l->lock);
        l->state = OVER;
        pthread_cond_broadcast(&l->change);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

int sl_launcher_open(struct sl_launcher **out)
{
    pthread_condattr_t attr;
    struct sl_launcher *l = sl_alloc(1, sizeof *l);
    if (!l)
        return SL_ERR_NOMEM;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->change, &attr);
    pthread_condattr_destroy(&attr);
    if (sl_thread_start(&l->thread, launcher_main, l)) {
        pthread_cond_destroy(&l->change);
        pthread_mutex_destroy(&l->lock);
        free(l);
        return sl_fail(SL_ERR_NOMEM, NULL, "cannot start a thread for a device");
    }
    *out = l;
    return 0;
}

void sl_launcher_close(struct sl_launcher **launcher)
{
    struct sl_launcher *l = *launcher;
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    while (l->state == ASKED)
        pthread_cond_wait(&l->change, &l->lock);
    l->state = STOP;
    pthread_cond_broadcast(&l->change);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->thread, NULL);
    pthread_cond_destroy(&l->change);
    pthread_mutex_destroy(&l->lock);
    free(l);
    *launcher = NULL;
}

void sl_launcher_start(struct sl_launcher *l, struct sl_device *dev, uint32_t job_off,
                       uint32_t n_job, unsigned deadline_ms)
{
    pthread_mutex_lock(&l->lock);
    l->dev = dev;
    l->job_off = job_off;
    l->n_job = n_job;
    l->deadline_ms = deadline_ms;
    l->state = ASKED;
    pthread_cond_broadcast(&l->change);
    pthread_mutex_unlock(&l->lock);
}

bool sl_launcher_poll(struct sl_launcher *l, unsigned wait_us)
{
    enum { US_PER_S = 1000000, NS_PER_US = 1000, NS_PER_S = 1000000000 };
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += wait_us / US_PER_S;
    until.tv_nsec += (long)(wait_us % US_PER_S) * NS_PER_US;
    if (until.tv_nsec >= NS_PER_S) {
        until.tv_nsec -= NS_PER_S;
        until.tv_sec++;
    }
    pthread_mutex_lock(&l->lock);
    while (wait_us && l->state == ASKED)
        if (pthread_cond_timedwait(&l->change, &l->lock, &until) == ETIMEDOUT)
            break;
    const bool over = l->state != ASKED;
    pthread_mutex_unlock(&l->lock);
    return over;
}

int sl_launcher_finish(struct sl_launcher *l, uint64_t *begin, uint64_t *end)
{
    pthread_mutex_lock(&l->lock);
    while (l->state == ASKED)
        pthread_cond_wait(&l->change, &l->lock);
    l->state = IDLE;
    const int err = l->err;
    if (begin)
        *begin = l->begin;
    if (end)
        *end = l->end;
    pthread_mutex_unlock(&l->lock);
    return err ? sl_failure_tell(err, &l->why) : 0;
}
