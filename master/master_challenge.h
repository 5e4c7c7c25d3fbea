/* SPDX-License-Identifier: Apache-2.0
 *
 * The two ports at which an authority looks for the answers to challenges (RFC 8555, 8.3; RFC 8737): bound while a certificate
 * wants it, and handed to cert-renewer. One that cannot be had (a web server has it) is said, and tried again: mail goes on.
 */
#ifndef MASTER_MASTER_CHALLENGE_H
#define MASTER_MASTER_CHALLENGE_H

#include "master/master.h"

struct master_challenge;

/* After master_listen_open(). */
struct master_challenge *master_challenge_new(struct master *master);
void master_challenge_free(struct master_challenge **challenge);
/* The settings may want another port, or none. */
void master_challenge_reload(struct master_challenge *challenge);

#endif
