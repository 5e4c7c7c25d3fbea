/* SPDX-License-Identifier: Apache-2.0
 *
 * Are certificates, OCSP responses and authorities good, as a worker will see them? Parsed in a process of its own (lib/service/service_apart.h).
 */
#ifndef MASTER_MASTER_VERIFY_H
#define MASTER_MASTER_VERIFY_H

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/net/tls_certificate.h"
#include "lib/net/tls_server.h"
#include "lib/settings/settings.h"

/* The texts are printable. */
struct master_verdict {
	bool is_good, has_good_ocsp;
	struct tls_certificate certificate; /* when it is good */
	struct err why, ocsp_why;	    /* when it is not; when there is a response and it is not */
};

/* pem: chain and key; ocsp: a response about it, or none; names: the only ones that it may have, with blanks between, or "": any. */
struct master_verify_question {
	struct str pem, ocsp, names;
};

/* `settings` as in lib/service/service_apart.h. Later than `until` (monotonic) it is not waited for. */
void master_verify_certificate(const struct master_verify_question *question, const struct settings *settings, int64_t until,
			       struct master_verdict *out);

/* Authorities for client certificates: pem, of which the first n_ca octets are the certificates, and what is behind them revocation
 * lists, of which there must be one then. *is_list: what is bad is the lists. */
bool master_verify_trust(struct str pem, size_t n_ca, const struct settings *settings, int64_t until,
			 struct tls_server_trusted *found, bool *is_list, struct err *err);

#endif
