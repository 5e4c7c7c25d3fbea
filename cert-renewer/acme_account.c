/* SPDX-License-Identifier: Apache-2.0
 *
 * Directory and account, asked for when somebody waits for them.
 */
#include "cert-renewer/acme_account.h"

#include <stdio.h>
#include <stdlib.h>

#include "cert-renewer/acme_jws.h"
#include "lib/base/encode.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"

enum { EAB_KEY_MAX = 1024 };
static const char step_account[] = "asking for the account";

/* ---- those who wait ---- */

static bool can_go_on(const struct acme *acme, const struct acme_op *op)
{
	return op->is_waiting && op->has_directory && (acme->session.account != NULL || !op->kind->wants_account);
}

static void go_on(struct acme *acme)
{
	struct acme_op *op = acme->ops;

	while (op != NULL) {
		if (!can_go_on(acme, op)) {
			op = op->next;
			continue;
		}
		op->is_waiting = false;
		op->kind->ready(op);
		op = acme->ops; /* there may be others now */
	}
}

/* Those that wait now; not those that somebody who is told begins. */
static void fail_waiting(struct acme *acme, const struct acme_failure *failure)
{
	struct acme_op *op;

	for (op = acme->ops; op != NULL; op = op->next) {
		op->is_doomed = op->is_waiting;
		op->is_waiting = false;
	}
	for (op = acme->ops; op != NULL;) {
		if (!op->is_doomed) {
			op = op->next;
			continue;
		}
		op->is_doomed = false;
		op->kind->fail(op, failure);
		op = acme->ops;
	}
}

static void fail_saying(struct acme *acme, const char *step, bool is_ours, const char *why)
{
	struct acme_failure failure;

	acme_reply_fail(&failure, "%s", why);
	failure.is_ours = is_ours;
	acme_call_complete(&acme->session, step, &failure);
	fail_waiting(acme, &failure);
}

/* ---- the directory ---- */

static void step_directory(const struct acme *acme, char *out, size_t size)
{
	struct buf text = BUF_MAX(ACME_URL_MAX + 64);

	buf_printf(&text, "asking for the directory %.300s", acme->directory);
	acme_json_words(buf_str(&text), out, size);
	buf_clear(&text);
}

static void on_directory(void *ctx, const struct acme_reply *reply, const struct acme_failure *failure)
{
	struct acme *acme = ctx;
	struct acme_session *session = &acme->session;
	struct acme_json_directory *read;
	char step[384];
	struct err err;

	acme->call = NULL;
	if (failure != NULL) {
		fail_waiting(acme, failure);
		return;
	}
	read = mem_zero(sizeof(*read));
	if (!acme_json_directory(reply->body, session->http_is_fine, read, &err)) {
		free(read);
		step_directory(acme, step, sizeof(step));
		fail_saying(acme, step, false, err.text);
		return;
	}
	free(session->directory);
	session->directory = read;
	for (struct acme_op *op = acme->ops; op != NULL; op = op->next)
		op->has_directory = op->has_directory || op->is_waiting;
	acme_account_look_after(acme);
}

static void ask_for_directory(struct acme *acme)
{
	char step[384];
	/* Nothing was begun yet: whoever waits has its own way to try again. */
	const struct acme_request request = {
		.kind = ACME_CALL_GET, .step = step, .url = acme->directory, .type = "application/json", .tries = 1};

	step_directory(acme, step, sizeof(step));
	acme->call = acme_call_start(&acme->session, &request, on_directory, acme);
}

/* ---- the account ---- */

void acme_account_forget(struct acme *acme)
{
	mem_free(&acme->session.account);
}

static void put_contacts(struct buf *out, const char *contact)
{
	struct str rest = str_of(contact), address;

	json_begin(out, "contact", '[');
	while (str_next(&rest, ' ', &address)) {
		struct buf url = BUF_MAX(2048);

		if (address.n == 0)
			continue;
		buf_put_text(&url, "mailto:");
		buf_put_str(&url, address);
		json_put_text(out, NULL, buf_str(&url));
		buf_clear(&url);
	}
	buf_put_char(out, ']');
}

static void on_contacts(void *ctx, const struct acme_reply *reply, const struct acme_failure *failure)
{
	struct acme *acme = ctx;

	(void)reply;
	acme->call = NULL;
	/* No reason to go without a certificate. */
	if (failure != NULL)
		log_warn(NULL, "cert.acme.contacts_not_told", log_text("reason", failure->why));
	acme_account_look_after(acme);
}

/* An account that was there already has the addresses that were told with its first request (RFC 8555, 7.3.2). */
static void tell_contacts(struct acme *acme)
{
	struct buf payload = BUF_MAX(16384);

	json_begin(&payload, NULL, '{');
	put_contacts(&payload, acme->contact);
	buf_put_char(&payload, '}');
	acme->call = acme_call_start(&acme->session,
				     &(struct acme_request){.kind = ACME_CALL_SIGNED,
							    .step = "telling the account's contacts",
							    .url = acme->session.account,
							    .payload = buf_str(&payload)},
				     on_contacts, acme);
	buf_clear(&payload);
}

static void on_account(void *ctx, const struct acme_reply *reply, const struct acme_failure *failure)
{
	struct acme *acme = ctx;
	enum acme_json_status status;
	struct err err;

	acme->call = NULL;
	if (failure != NULL) {
		fail_waiting(acme, failure);
	} else if (!acme_json_account(reply->body, &status, &err)) {
		fail_saying(acme, step_account, false, err.text);
	} else if (status != ACME_JSON_VALID) {
		fail_saying(acme, step_account, false, "the authority has closed it; it needs another key");
	} else if (acme_json_check_url(reply->location, acme->session.http_is_fine) != NULL) {
		fail_saying(acme, step_account, false, "the answer does not tell its URL");
	} else {
		acme_account_forget(acme);
		acme->session.account = str_dup(reply->location);
		acme->on_account(acme->ctx, str_of(acme->session.account));
		if (reply->status == 200 && acme->contact[0] != '\0')
			tell_contacts(acme);
		else
			acme_account_look_after(acme);
	}
}

/* False: the key is not one. */
static bool put_binding(const struct acme *acme, struct buf *out)
{
	struct buf key = BUF_MAX(EAB_KEY_MAX);
	struct str text = buf_str(&acme->eab_key);
	bool ok;

	while (text.n > 0 && text.p[text.n - 1] == '=')
		text.n--;
	ok = encode_from_base64url(&key, text) && key.n > 0;
	if (ok) {
		buf_put_text(out, str_ends(buf_str(out), STR("{")) ? "" : ",");
		buf_put_text(out, "\"externalAccountBinding\":");
		acme_jws_put_binding(out, acme->session.key, str_of(acme->eab_key_id), buf_str(&key),
				     str_of(acme->session.directory->new_account));
	}
	buf_clear_secret(&key);
	return ok;
}

static void ask_for_account(struct acme *acme)
{
	const struct acme_json_directory *directory = acme->session.directory;
	struct buf payload = BUF_MAX(16384);
	char why[ACME_URL_MAX + 128];

	if (directory->terms[0] != '\0' && !acme->agrees) {
		snprintf(why, sizeof(why), "the authority wants its terms of service agreed to (acme.agree_to_terms): %s", directory->terms);
		fail_saying(acme, step_account, true, why);
		return;
	}
	if (directory->wants_binding && acme->eab_key_id[0] == '\0') {
		fail_saying(acme, step_account, true,
			    "the authority wants an external account binding (acme.eab_key_id, acme.eab_key)");
		return;
	}
	json_begin(&payload, NULL, '{');
	if (acme->agrees)
		json_put_bool(&payload, "termsOfServiceAgreed", true);
	if (acme->contact[0] != '\0')
		put_contacts(&payload, acme->contact);
	if (acme->eab_key_id[0] != '\0' && !put_binding(acme, &payload)) {
		buf_clear_secret(&payload);
		fail_saying(acme, step_account, true, "acme.eab_key is not base64url");
		return;
	}
	buf_put_char(&payload, '}');
	acme->call = acme_call_start(&acme->session,
				     &(struct acme_request){.kind = ACME_CALL_SIGNED_BY_KEY,
							    .step = step_account,
							    .url = directory->new_account,
							    .payload = buf_str(&payload),
							    .type = "application/json"},
				     on_account, acme);
	buf_clear_secret(&payload);
}

void acme_account_look_after(struct acme *acme)
{
	bool wants_directory = false, wants_account = false;

	if (acme->call != NULL)
		return;
	go_on(acme);
	for (const struct acme_op *op = acme->ops; op != NULL; op = op->next) {
		wants_directory = wants_directory || (op->is_waiting && !op->has_directory);
		wants_account = wants_account || (op->is_waiting && op->has_directory);
	}
	/* Whatever begins asks for it again: that is weeks after the last time. */
	if (wants_directory)
		ask_for_directory(acme);
	else if (wants_account)
		ask_for_account(acme);
}
