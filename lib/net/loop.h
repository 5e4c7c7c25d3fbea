/* SPDX-License-Identifier: Apache-2.0
 *
 * The event loop: descriptors, timers, signals, and work put off to the end of the turn. One loop a
 * process, no threads. Callbacks do not block, and never free the object whose callback runs: they
 * mark it and free it with loop_later().
 */
#ifndef LIB_NET_LOOP_H
#define LIB_NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct loop_fd;
struct loop_timer;
struct event_base;

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

typedef void loop_fn(void *ctx);
typedef void loop_fd_fn(void *ctx, unsigned events);

struct loop *loop_new(void);
void loop_free(struct loop **loop);
/* Runs until loop_stop(). */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
/* Runs callbacks that are due or become due within `microseconds`, once; for tests and tools. */
void loop_turn(struct loop *loop, int64_t microseconds);

/* Watches fd (which stays the caller's, non-blocking) for nothing yet: loop_fd_want() says for what,
 * an or of LOOP_READ and LOOP_WRITE. Level-triggered. Free it before closing fd. */
struct loop_fd *loop_fd_new(struct loop *loop, int fd, loop_fd_fn *fn, void *ctx);
void loop_fd_want(struct loop_fd *watch, unsigned events);
void loop_fd_free(struct loop_fd **watch);

/* A timer that is not running yet. loop_timer_set() (re)starts it to fire once after so many
 * microseconds; a running timer is moved. */
struct loop_timer *loop_timer_new(struct loop *loop, loop_fn *fn, void *ctx);
void loop_timer_set(struct loop_timer *timer, int64_t microseconds);
void loop_timer_stop(struct loop_timer *timer);
bool loop_timer_is_running(const struct loop_timer *timer);
void loop_timer_free(struct loop_timer **timer);

/* Calls fn when the signal arrives, for the life of the loop. */
void loop_on_signal(struct loop *loop, int signal, loop_fn *fn, void *ctx);

/* Calls fn once, at the end of this turn, in the order of the calls. */
void loop_later(struct loop *loop, loop_fn *fn, void *ctx);

/* For the wrappers of libraries that come with a libevent adapter (evhttp). */
struct event_base *loop_event_base(struct loop *loop);

#endif
