/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS of a worker: gathers what master hands out (authorities, certificates, ticket keys), and makes of it what new
 * handshakes use (worker->tls). Sessions keep what they began with.
 */
#ifndef SMTPD_SMTPD_TLS_H
#define SMTPD_SMTPD_TLS_H

#include "smtpd/smtpd_worker.h"

struct smtpd_tls;

struct smtpd_tls *smtpd_tls_new(struct smtpd_worker *worker);
void smtpd_tls_free(struct smtpd_tls **tls);

/* Authorities and revocation lists, PEM, may be empty: a new set of certificates begins. */
void smtpd_tls_take_trust(struct smtpd_tls *tls, struct str pem);
/* With the last one the set is complete and in use. */
void smtpd_tls_take_identity(struct smtpd_tls *tls, const struct ipc_identity *identity);
void smtpd_tls_take_tickets(struct smtpd_tls *tls, const struct ipc_ticket_keys *keys);

/* What is served, and which sessions are on older certificates: a JSON object. What there is no room for is left out. */
void smtpd_tls_tell(const struct smtpd_tls *tls, struct buf *json);

/* A session's handshake is done: counts it, and returns what the client's certificate says (struct smtpd_proto), NULL when
 * it showed none that is accepted. Borrowed for the connection's life. */
const char *smtpd_tls_secured(struct tls *tls, const char *session, const char *client);

#endif
