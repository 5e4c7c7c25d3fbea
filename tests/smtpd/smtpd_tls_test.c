/* SPDX-License-Identifier: Apache-2.0
 *
 * How a worker takes what master hands out, frame by frame.
 */
#include "smtpd/smtpd_tls.h"

#include <time.h>

#include "lib/base/log.h"
#include "lib/net/tls_server.h"
#include "tests/support/certificate.h"
#include "tests/support/unit.h"

#define DAY 86400L

static struct loop *loop;
static struct settings *settings;
static struct smtpd_worker worker;
static struct smtpd_tls *tls;
static struct certificate a, b;

static void start_all(void)
{
	log_set(LOG_FORMAT_JSON, LOG_LEVEL_ERROR);
	loop = loop_new();
	settings = settings_new();
	worker = (struct smtpd_worker){.loop = loop, .settings = settings};
	tls = smtpd_tls_new(&worker);
	a = certificate_make("a", "DNS:a.test", -DAY, DAY, NULL);
	b = certificate_make("b", "DNS:b.test", -DAY, DAY, NULL);
}

static void stop_all(void)
{
	smtpd_tls_free(&tls);
	tls_server_free(&worker.tls);
	certificate_clear(&a);
	certificate_clear(&b);
	settings_free(&settings);
	loop_free(&loop);
}

static void take(unsigned number, unsigned count, const char *pem)
{
	smtpd_tls_take_identity(tls, &(struct ipc_identity){.number = (uint8_t)number, .count = (uint8_t)count, .pem = str_of(pem)});
}

static void a_set_is_used_when_its_last_one_has_come(void)
{
	struct tls_server *first;

	smtpd_tls_take_trust(tls, STR(""));
	take(0, 2, a.both);
	UNIT_TRUE(worker.tls == NULL && !worker.rules.has_certificate);
	take(1, 2, b.both);
	UNIT_TRUE(worker.tls != NULL && worker.rules.has_certificate);
	first = worker.tls;
	smtpd_tls_take_trust(tls, STR(""));
	take(0, 2, b.both);
	UNIT_TRUE(worker.tls == first);
	smtpd_tls_take_trust(tls, STR("")); /* the next set begins before this one is complete */
	take(0, 1, b.both);
	UNIT_TRUE(worker.tls != first);
}

static void a_bad_one_leaves_the_others_and_a_bad_set_the_old_one(void)
{
	struct tls_server *before = worker.tls;

	take(0, 1, "nothing");
	UNIT_TRUE(worker.tls == before);
	take(0, 2, "nothing");
	take(1, 2, a.both);
	UNIT_TRUE(worker.tls != before && worker.tls != NULL);
}

static void what_is_served_is_told_as_json(void)
{
	static const unsigned char keys[2 * TLS_SERVER_TICKET_KEY] = {1};
	struct buf json = BUF_MAX(65536);
	char *text;

	take(0, 1, a.both);
	smtpd_tls_take_tickets(tls, &(struct ipc_ticket_keys){.made_at = 1700000000000000, .lifetime = 3600000000,
							     .keys = str_bytes(keys, sizeof(keys))});
	smtpd_tls_tell(tls, &json);
	text = buf_take_text(&json);
	UNIT_STR(str_first(str_of(text), 52), "{\"certificates\":[{\"subject\":\"CN=a\",\"names\":\"a.test\",");
	UNIT_TRUE(strstr(text, "\"key\":\"ECDSA P-256\"") != NULL);
	UNIT_TRUE(strstr(text, "\"ocsp\":\"none\",\"ocsp_until\":0,\"fallback\":true,\"sessions\":0}],\"old\":[],"
			       "\"ticket_keys\":2,\"ticket_key_made_at\":1700000000}") != NULL);
	free(text);
}

UNIT_TESTS({"start", start_all},
	   {"a set is used when its last one has come", a_set_is_used_when_its_last_one_has_come},
	   {"a bad one leaves the others, and a bad set the old one", a_bad_one_leaves_the_others_and_a_bad_set_the_old_one},
	   {"what is served is told as JSON", what_is_served_is_told_as_json},
	   {"stop", stop_all})
