/* SPDX-License-Identifier: Apache-2.0
 *
 * The order in which the children end: those who give work first, so that nothing is left half done. For the stop
 * and the upgrade all of them, for the drain only the front.
 */
#ifndef MASTER_MASTER_STOP_H
#define MASTER_MASTER_STOP_H

#include "master/master.h"

struct master_stop;

/* on_gone is called once, when every child has ended after master_stop_all() or master_stop_upgrade(). */
struct master_stop *master_stop_new(struct master *master, void (*on_gone)(struct master *master));
void master_stop_free(struct master_stop **stop);

/* Takes the front out of service: no new sessions, no smtpd once the present ones are over. The rest goes on. */
void master_stop_front(struct master_stop *stop);
/* Drains in order: smtpd; gate and deliver; qmgr; api. Called again: kills what is left. */
void master_stop_all(struct master_stop *stop);
/* As master_stop_all(), but new clients wait in the listeners' backlogs, and so the sessions get less time. */
void master_stop_upgrade(struct master_stop *stop);

/* A child has ended that will not be started again. */
void master_stop_note_gone(struct master_stop *stop);

/* "running", "draining", ... */
const char *master_stop_state_name(enum master_state state);

#endif
