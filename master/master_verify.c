/* SPDX-License-Identifier: Apache-2.0
 *
 * The questions and the answers. An answer comes from a process that certificates may have taken over: it is numbers and texts, whatever
 * they say, and no pointer is in it.
 */
#include "master/master_verify.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/net/tls_ocsp.h"
#include "lib/service/service_apart.h"
#include "lib/settings/settings_certificate_check.h"

/* Milliseconds are enough, on a machine that has nothing else to do. */
static const int64_t longest = 5 * CLOCK_SECOND;

static int64_t time_until(int64_t until)
{
	int64_t left = until - clock_mono();

	return left < longest ? left : longest;
}

static int64_t now(void)
{
	return clock_wall() / CLOCK_SECOND;
}

/* Ends it, and takes out of it what a terminal would obey. */
static void tame(char *text, size_t size)
{
	text[size - 1] = '\0';
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

#define TAME(text) tame(text, sizeof(text))

/* ---- A certificate ---- */

struct certificate_answer {
	uint8_t is_good, has_good_ocsp;
	struct tls_certificate certificate;
	struct err why, ocsp_why;
};

static bool has_no_other_name(const struct master_verify_question *q, struct err *err)
{
	struct str names[SETTINGS_CERTIFICATE_NAMES], rest = q->names;
	unsigned n = 0;

	if (rest.n == 0)
		return true;
	while (n < SETTINGS_CERTIFICATE_NAMES && str_next(&rest, ' ', &names[n]))
		n += names[n].n > 0;
	return tls_certificate_has_only(q->pem, names, n, err);
}

/* As a worker will take it. */
static void answer_certificate(const void *ctx, void *result)
{
	const struct master_verify_question *q = ctx;
	struct certificate_answer *a = result;
	struct tls_server *server = tls_server_new(TLS_1_2);

	a->is_good = tls_server_add(server, q->pem, STR(""), now(), &a->certificate, &a->why) && has_no_other_name(q, &a->why);
	if (a->is_good && q->ocsp.n > 0)
		a->has_good_ocsp = tls_ocsp_check(q->pem, q->ocsp, now(), &a->certificate.ocsp_until, &a->ocsp_why);
}

void master_verify_certificate(const struct master_verify_question *question, const struct settings *settings, int64_t until,
			       struct master_verdict *out)
{
	struct certificate_answer a = {0};
	/* The other process has no settings any more when it looks at them. */
	char *names = str_dup(question->names);
	struct master_verify_question ours = {question->pem, question->ocsp, str_of(names)};
	bool has_answer;

	*out = (struct master_verdict){0};
	has_answer = service_apart_run(answer_certificate, &ours, settings, time_until(until), &a, sizeof(a), &out->why);
	mem_free(&names);
	if (!has_answer)
		return;
	TAME(a.certificate.subject);
	TAME(a.certificate.issuer);
	TAME(a.certificate.serial);
	TAME(a.certificate.names);
	TAME(a.certificate.key);
	TAME(a.certificate.fingerprint);
	TAME(a.why.text);
	TAME(a.ocsp_why.text);
	*out = (struct master_verdict){.is_good = a.is_good != 0,
				       .has_good_ocsp = a.has_good_ocsp != 0,
				       .certificate = a.certificate,
				       .why = a.why,
				       .ocsp_why = a.ocsp_why};
	if (!out->has_good_ocsp)
		out->certificate.ocsp_until = 0;
}

/* ---- Authorities ---- */

struct trust_question {
	struct str pem;
	size_t n_ca;
};

struct trust_answer {
	uint8_t is_good, is_list;
	struct tls_server_trusted found;
	struct err why;
};

static bool try_trust(struct str pem, struct trust_answer *a)
{
	return tls_server_trust(tls_server_new(TLS_1_2), pem, STR(""), &a->found, &a->why);
}

static void answer_trust(const void *ctx, void *result)
{
	const struct trust_question *q = ctx;
	struct trust_answer *a = result;

	a->is_good = try_trust(str_first(q->pem, q->n_ca), a);
	if (!a->is_good || q->n_ca == q->pem.n)
		return;
	a->is_list = 1;
	if (!try_trust(q->pem, a) || a->found.lists == 0)
		a->is_good = err_set(&a->why, "there is no revocation list in it that can be read");
}

bool master_verify_trust(struct str pem, size_t n_ca, const struct settings *settings, int64_t until,
			 struct tls_server_trusted *found, bool *is_list, struct err *err)
{
	struct trust_answer a = {0};

	*found = (struct tls_server_trusted){0};
	*is_list = false;
	if (!service_apart_run(answer_trust, &(struct trust_question){pem, n_ca}, settings, time_until(until), &a, sizeof(a), err))
		return false;
	TAME(a.why.text);
	*is_list = a.is_list != 0;
	*found = a.found;
	return a.is_good != 0 || err_set(err, "%s", a.why.text);
}
