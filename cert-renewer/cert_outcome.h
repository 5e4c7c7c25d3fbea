/* SPDX-License-Identifier: Apache-2.0
 *
 * What came of a try: said, counted, remembered; and a person told when it must be.
 */
#ifndef CERT_RENEWER_CERT_OUTCOME_H
#define CERT_RENEWER_CERT_OUTCOME_H

#include "cert-renewer/cert_job.h"

/* job->seen is a new certificate, on the disk; is_restored: another host's. */
void cert_outcome_good(struct cert_job *job, bool is_restored);
/* problem: of RFC 8555, 6.7, or "". not_before: the authority wants no other try before; 0: it does not say. The next one is decided
 * here. */
void cert_outcome_bad(struct cert_job *job, const char *why, const char *problem, int64_t not_before);
/* job->clock_fault is another one. A person is told once for all certificates: was_wrong, of one of them, already. */
void cert_outcome_clock(struct cert_job *job, bool was_wrong);
/* What one authority has said does not bind another that the settings name now. */
void cert_outcome_forget_refusal(struct cert_job *job);
/* The gauges as they are now. */
void cert_outcome_count(const struct cert_job *job);

#endif
