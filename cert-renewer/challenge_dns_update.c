/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a record belongs: where the CNAMEs at its name lead, as the server or those of acme.dns_check see them; and the zone that
 * is in, as the server says, or acme.dns_zone.
 */
#include "cert-renewer/challenge_dns_update.h"

#include <stdlib.h>

#include "lib/base/encode.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/settings/settings_hosts.h"

enum { SECRET_MAX = 1024 };

struct challenge_dns_update {
	struct dns_client *client;
	struct settings_host server, check[SETTINGS_HOSTS_MAX];
	unsigned n_checks;
	struct buf secret;
	struct dns_tsig_key key; /* without a secret: nothing is signed */
	char *key_name;
	struct dns_name record, zone; /* no octets: not known yet */
	char *value;
	unsigned hops, asked; /* CNAMEs followed; servers asked for one more: the server, then those of acme.dns_check */
	struct dns_message_question question;
	struct dns_client_call *call; /* NULL: none is under way */
	challenge_fn *fn;
	void *ctx;
};

/* ---- what went wrong ---- */

static void fail(struct challenge_dns_update *u, const char *why)
{
	struct err err;

	err_set(&err, "acme.dns_server %s port %u: %s", u->server.name, u->server.port, why);
	u->fn(u->ctx, false, err.text);
}

/* What an answer means for whoever reads it, and what to do about it. */
static void explain(struct challenge_dns_update *u, const struct dns_client_answer *answer)
{
	const char *key = u->key_name;
	char zone[DNS_NAME_TEXT], record[DNS_NAME_TEXT];
	struct err why;

	dns_message_name_text(&u->question.name, zone);
	dns_message_name_text(&u->record, record);
	if (answer->message == NULL)
		err_set(&why, "%s", answer->why);
	else if (answer->rcode == DNS_BADKEY)
		err_set(&why, "it does not know the key \"%s\" with this algorithm (BADKEY): see acme.dns_key_name and "
			"acme.dns_key_algorithm", key);
	else if (answer->rcode == DNS_BADSIG)
		err_set(&why, "it has another key of the name \"%s\" (BADSIG): see acme.dns_key", key);
	else if (answer->rcode == DNS_BADTIME)
		err_set(&why, "its clock is %lld s ahead of ours (BADTIME): set the wrong one", (long long)answer->clock_ahead);
	else if (answer->rcode == DNS_REFUSED && key[0] != '\0')
		err_set(&why, "it refuses (REFUSED): there the key \"%s\" must be allowed to update TXT records of %s", key, record);
	else if (answer->rcode == DNS_REFUSED)
		err_set(&why, "it refuses (REFUSED): there this host must be allowed to update TXT records of %s, or a key, which "
			"acme.dns_key_name names here", record);
	else if (answer->rcode == DNS_NOTAUTH && key[0] != '\0')
		err_set(&why, "it is not the primary server of the zone %s, or does not take the key \"%s\" (NOTAUTH): see "
			"acme.dns_server, acme.dns_zone and acme.dns_key", zone, key);
	else if (answer->rcode == DNS_NOTAUTH)
		err_set(&why, "it is not the primary server of the zone %s (NOTAUTH): see acme.dns_server and acme.dns_zone", zone);
	else if (answer->rcode == DNS_NOTZONE)
		err_set(&why, "%s is not in the zone %s (NOTZONE): see acme.dns_zone", record, zone);
	else if (answer->rcode == DNS_NXDOMAIN)
		err_set(&why, "there is no zone %s (NXDOMAIN): see acme.dns_zone", zone);
	else if (answer->rcode == DNS_NOTIMP || answer->rcode == DNS_FORMERR)
		err_set(&why, "it does not understand updates (%s)", dns_message_rcode(answer->rcode));
	else if (answer->rcode == DNS_SERVFAIL)
		err_set(&why, "it fails (SERVFAIL): its own log says why");
	else
		err_set(&why, "it answers with %s (%u)", dns_message_rcode(answer->rcode), answer->rcode);
	fail(u, why.text);
}

/* Nothing that is asked next would be answered better. */
static bool is_hopeless(const struct dns_client_answer *answer)
{
	return answer->message == NULL || answer->rcode == DNS_NOTAUTH || answer->rcode >= DNS_BADSIG;
}

/* ---- asking ---- */

static void ask(struct challenge_dns_update *u, const struct settings_host *host, bool is_signed, dns_client_fn *fn)
{
	u->call = dns_client_start(u->client,
				   &(struct dns_client_request){.host = host->name,
								.port = host->port,
								.question = &u->question,
								.key = is_signed && u->key.secret.n > 0 ? &u->key : NULL},
				   fn, u);
}

/* ---- the update ---- */

static void on_updated(void *ctx, const struct dns_client_answer *answer)
{
	struct challenge_dns_update *u = ctx;

	u->call = NULL;
	if (answer->message != NULL && answer->rcode == DNS_NOERROR)
		u->fn(u->ctx, true, "");
	else
		explain(u, answer);
}

static void update(struct challenge_dns_update *u, bool is_removal)
{
	u->question = (struct dns_message_question){.opcode = DNS_UPDATE,
						    .name = u->zone,
						    .record = u->record,
						    .value = str_of(u->value),
						    .is_removal = is_removal};
	ask(u, &u->server, true, on_updated);
}

/* ---- the zone ---- */

/* The zone that an answer names, with the record or because there is none (RFC 2308). */
static bool take_zone(struct challenge_dns_update *u, const struct dns_message *message)
{
	struct dns_message_record r = {0};

	while (dns_message_next(message, &r))
		if (r.type == DNS_SOA && r.class == DNS_CLASS_IN && r.section != DNS_ADDITIONAL &&
		    dns_message_name_is_in(&u->record, &r.name) && r.name.n > 1) {
			u->zone = r.name;
			return true;
		}
	return false;
}

static void on_zone(void *ctx, const struct dns_client_answer *answer)
{
	struct challenge_dns_update *u = ctx;
	char record[DNS_NAME_TEXT];
	struct err why;

	u->call = NULL;
	if (is_hopeless(answer)) {
		explain(u, answer);
		return;
	}
	if (take_zone(u, answer->message)) {
		update(u, false);
		return;
	}
	/* Not the last label: no such zone is ours. */
	dns_message_name_parent(&u->question.name);
	if (u->question.name.octets[0] + 2u >= u->question.name.n) {
		err_set(&why, "it does not say in which zone %s is (%s): set acme.dns_zone",
			dns_message_name_text(&u->record, record), dns_message_rcode(answer->rcode));
		fail(u, why.text);
		return;
	}
	ask(u, &u->server, true, on_zone);
}

static void find_zone(struct challenge_dns_update *u)
{
	char record[DNS_NAME_TEXT], zone[DNS_NAME_TEXT];
	struct err why;

	if (u->zone.n == 0) {
		u->question = (struct dns_message_question){.opcode = DNS_QUERY, .type = DNS_SOA, .name = u->record};
		ask(u, &u->server, true, on_zone);
		return;
	}
	if (dns_message_name_is_in(&u->record, &u->zone)) {
		update(u, false);
		return;
	}
	err_set(&why, "%s is not in the zone %s: see acme.dns_zone", dns_message_name_text(&u->record, record),
		dns_message_name_text(&u->zone, zone));
	fail(u, why.text);
}

/* ---- where the name leads ---- */

static void look_for_alias(struct challenge_dns_update *u);

static bool knows_the_name(const struct dns_client_answer *answer)
{
	return answer->message->is_authoritative && (answer->rcode == DNS_NOERROR || answer->rcode == DNS_NXDOMAIN);
}

static void on_alias(void *ctx, const struct dns_client_answer *answer)
{
	struct challenge_dns_update *u = ctx;
	bool is_server = u->asked++ == 0;

	u->call = NULL;
	if (is_server && is_hopeless(answer)) {
		explain(u, answer);
		return;
	}
	if (answer->message != NULL && dns_message_follow(answer->message, &u->record, &u->hops)) {
		u->asked = 0;
		if (u->hops == DNS_HOPS_MAX)
			fail(u, "the record's name leads from CNAME to CNAME without end");
		else
			look_for_alias(u);
		return;
	}
	if (is_server && knows_the_name(answer)) {
		if (u->zone.n == 0)
			take_zone(u, answer->message);
		find_zone(u);
		return;
	}
	look_for_alias(u);
}

/* The server that takes the update may know nothing of the name, but of where it leads. */
static void look_for_alias(struct challenge_dns_update *u)
{
	u->question = (struct dns_message_question){.opcode = DNS_QUERY, .type = DNS_TXT, .name = u->record};
	if (u->asked == 0)
		ask(u, &u->server, true, on_alias);
	else if (u->asked <= u->n_checks)
		ask(u, &u->check[u->asked - 1], false, on_alias);
	else
		find_zone(u);
}

/* ---- asked for ---- */

void challenge_dns_update_add(struct challenge_dns_update *update, const char *record, const char *value, challenge_fn *fn,
			      void *ctx)
{
	update->fn = fn;
	update->ctx = ctx;
	update->value = mem_text(value);
	if (dns_message_name(str_of(record), &update->record))
		look_for_alias(update);
	else
		fail(update, "the record's name is too long, or not one of the DNS");
}

void challenge_dns_update_remove(struct challenge_dns_update *u, challenge_fn *fn, void *ctx)
{
	u->fn = fn;
	u->ctx = ctx;
	if (u->zone.n > 0 && u->record.n > 0)
		update(u, true);
	else
		fail(u, "it was never known where the record belongs");
}

char *challenge_dns_update_record(const struct challenge_dns_update *update, char out[DNS_NAME_TEXT])
{
	return dns_message_name_text(&update->record, out);
}

/* ---- making and ending ---- */

static bool read_key(struct challenge_dns_update *u, const struct settings *s, struct err *err)
{
	static const enum digest digests[] = {
		[DNS_HMAC_SHA256] = DIGEST_SHA256, [DNS_HMAC_SHA384] = DIGEST_SHA384, [DNS_HMAC_SHA512] = DIGEST_SHA512};

	if (u->key_name[0] == '\0')
		return true;
	if (!dns_message_name(str_of(u->key_name), &u->key.name))
		return err_set(err, "acme.dns_key_name cannot be a name in the DNS");
	if (!encode_from_base64(&u->secret, str_of(s->acme.dns_key)) || u->secret.n == 0)
		return err_set(err, "acme.dns_key is not base64");
	u->key.digest = digests[s->acme.dns_key_algorithm];
	u->key.secret = buf_str(&u->secret);
	return true;
}

static bool read_settings(struct challenge_dns_update *u, const struct settings *s, struct err *err)
{
	struct settings_host hosts[SETTINGS_HOSTS_MAX];

	if (settings_hosts_read(str_of(s->acme.dns_server), DNS_CLIENT_PORT, hosts, err) == 0)
		return err_wrap(err, "acme.dns_server: ");
	u->server = hosts[0];
	u->n_checks = settings_hosts_read_words(str_of(s->acme.dns_check), DNS_CLIENT_PORT, u->check, err);
	if (err->text[0] != '\0')
		return err_wrap(err, "acme.dns_check: ");
	if (s->acme.dns_zone[0] != '\0' && !dns_message_name(str_of(s->acme.dns_zone), &u->zone))
		return err_set(err, "acme.dns_zone cannot be a name in the DNS");
	return read_key(u, s, err);
}

struct challenge_dns_update *challenge_dns_update_new(struct dns_client *client, const struct settings *settings, struct err *err)
{
	struct challenge_dns_update *u = mem_zero(sizeof(*u));

	u->client = client;
	buf_init(&u->secret, SECRET_MAX);
	u->key_name = mem_text(settings->acme.dns_key_name);
	if (!read_settings(u, settings, err))
		challenge_dns_update_free(&u);
	return u;
}

void challenge_dns_update_free(struct challenge_dns_update **update)
{
	struct challenge_dns_update *u = *update;

	if (u == NULL)
		return;
	dns_client_cancel(&u->call);
	buf_clear_secret(&u->secret);
	free(u->key_name);
	free(u->value);
	mem_free(update);
}
