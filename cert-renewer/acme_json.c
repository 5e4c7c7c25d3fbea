/* SPDX-License-Identifier: Apache-2.0
 *
 * By json_read(). A member that should be there and is not, or is of another kind, is an error; one that nobody needs is not looked at.
 */
#include "cert-renewer/acme_json.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/date.h"
#include "lib/base/clock.h"
#include "lib/base/json_read.h"
#include "lib/settings/settings_provider_check.h"

enum { CHALLENGES_MAX = 32, SUBPROBLEMS_SAID = 4 };
static const struct str urn = STR("urn:ietf:params:acme:error:");

static const char *const statuses[] = {
	[ACME_JSON_PENDING] = "pending",	 [ACME_JSON_PROCESSING] = "processing", [ACME_JSON_READY] = "ready",
	[ACME_JSON_VALID] = "valid",		 [ACME_JSON_INVALID] = "invalid",	[ACME_JSON_DEACTIVATED] = "deactivated",
	[ACME_JSON_EXPIRED] = "expired",	 [ACME_JSON_REVOKED] = "revoked",
};
enum { STATUSES = sizeof(statuses) / sizeof(statuses[0]) };

const char *acme_json_status_name(enum acme_json_status status)
{
	return statuses[status];
}

const char *acme_json_check_url(struct str url, bool http_is_fine)
{
	size_t question = str_find(url, '?');

	if (url.n >= ACME_URL_MAX)
		return "it is too long";
	if (!str_is_printable(url) || str_find(url, ' ') < url.n || str_find(url, '#') < url.n)
		return "it has a character that is not allowed in a URL";
	if (str_starts(url, STR("http://")) && !http_is_fine)
		return "http is not encrypted";
	return settings_provider_check_url(str_first(url, question));
}

void acme_json_words(struct str text, char *out, size_t size)
{
	bool is_utf8 = str_is_utf8(text);
	size_t n = 0;

	for (size_t i = 0; i < text.n && n + 1 < size; i++) {
		unsigned char c = (unsigned char)text.p[i];
		bool is_odd = c < ' ' || c == 0x7f;

		if (is_odd && (n == 0 || out[n - 1] == ' '))
			continue;
		out[n++] = is_odd ? ' ' : (c >= 0x80 && !is_utf8) ? '?' : (char)c;
	}
	/* A character that was cut goes whole. */
	while (n > 0 && !str_is_utf8(str_bytes(out, n)))
		n--;
	out[n] = '\0';
}

/* ---- members ---- */

static struct json_object *read_object(struct str body, struct err *err)
{
	struct json_object *object = str_is_utf8(body) ? json_read(body) : NULL;

	if (json_object_is_type(object, json_type_object))
		return object;
	json_object_put(object);
	err_set(err, "the answer is no JSON object (or is broken off)");
	return NULL;
}

static bool ends(struct json_object *object, bool ok)
{
	json_object_put(object);
	return ok;
}

/* A URL; without one out is "", which is an error only when it is needed. */
static bool take_url(struct json_object *object, const char *name, bool is_needed, bool http_is_fine, char out[ACME_URL_MAX],
		     struct err *err)
{
	struct json_object *member = json_read_member(object, name);
	struct str url = json_read_text(object, name);
	const char *why;

	out[0] = '\0';
	if (member == NULL && !is_needed)
		return true;
	if (url.n == 0)
		return err_set(err, "the answer has no \"%s\"", name);
	why = acme_json_check_url(url, http_is_fine);
	if (why != NULL)
		return err_set(err, "the \"%s\" of the answer is no URL to use: %s", name, why);
	return str_copy(url, out, ACME_URL_MAX) || err_set(err, "the \"%s\" of the answer is no URL to use", name);
}

static bool take_status(struct json_object *object, enum acme_json_status *status, struct err *err)
{
	struct str text = json_read_text(object, "status");
	char shown[64];

	for (unsigned i = 0; i < STATUSES; i++)
		if (str_eq(text, str_of(statuses[i]))) {
			*status = (enum acme_json_status)i;
			return true;
		}
	acme_json_words(text, shown, sizeof(shown));
	return err_set(err, "the answer has the status \"%s\", which is none", shown);
}

static bool take_text(struct json_object *object, const char *name, char *out, size_t size, struct err *err)
{
	struct str text = json_read_text(object, name);

	if (text.n == 0)
		return err_set(err, "the answer has no \"%s\"", name);
	return str_copy(text, out, size) || err_set(err, "the \"%s\" of the answer is too long", name);
}

/* ---- the directory ---- */

static void take_profiles(struct json_object *meta, struct acme_json_directory *out)
{
	struct json_object *profiles = json_read_member(meta, "profiles");
	size_t n = 0;

	out->has_profiles = json_object_is_type(profiles, json_type_object);
	if (!out->has_profiles)
		return;
	json_object_object_foreach(profiles, name, description)
	{
		size_t length = strlen(name);

		(void)description;
		if (length == 0 || length + 2 > sizeof(out->profiles) - n || !str_is_printable(str_of(name)) ||
		    strchr(name, ' ') != NULL)
			continue;
		memcpy(out->profiles + n, name, length);
		n += length;
		out->profiles[n++] = ' ';
	}
	out->profiles[n] = '\0';
}

bool acme_json_directory(struct str body, bool http_is_fine, struct acme_json_directory *out, struct err *err)
{
	struct json_object *object = read_object(body, err), *meta;
	struct str terms;

	memset(out, 0, sizeof(*out));
	if (object == NULL)
		return false;
	if (!take_url(object, "newNonce", true, http_is_fine, out->new_nonce, err) ||
	    !take_url(object, "newAccount", true, http_is_fine, out->new_account, err) ||
	    !take_url(object, "newOrder", true, http_is_fine, out->new_order, err) ||
	    !take_url(object, "revokeCert", false, http_is_fine, out->revoke, err) ||
	    !take_url(object, "keyChange", false, http_is_fine, out->change_key, err) ||
	    !take_url(object, "renewalInfo", false, http_is_fine, out->renewal_info, err))
		return ends(object, false);
	meta = json_read_member(object, "meta");
	/* Shown to people, never asked for. */
	terms = json_read_text(meta, "termsOfService");
	if (str_is_printable(terms))
		str_copy(terms, out->terms, sizeof(out->terms));
	out->wants_binding = json_object_get_boolean(json_read_member(meta, "externalAccountRequired"));
	take_profiles(meta, out);
	return ends(object, true);
}

/* ---- problems ---- */

static void take_type(struct json_object *object, char out[ACME_PROBLEM])
{
	struct str type = json_read_text(object, "type");

	out[0] = '\0';
	if (!str_starts(type, urn))
		return;
	type = str_from(type, urn.n);
	for (size_t i = 0; i < type.n; i++) {
		char c = type.p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9'))
			return;
	}
	str_copy(type, out, ACME_PROBLEM);
}

static void put_subproblems(struct json_object *list, struct buf *text)
{
	size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;

	for (size_t i = 0; i < n && i < SUBPROBLEMS_SAID; i++) {
		struct json_object *one = json_object_array_get_idx(list, i);
		struct str name = json_read_text(json_read_member(one, "identifier"), "value");
		struct str detail = json_read_text(one, "detail");

		if (name.n + detail.n > 0)
			buf_printf(text, "%s%.*s%s%.*s", text->n > 0 ? "; " : "", STR_ARG(str_first(name, ACME_JSON_NAME)),
				   name.n > 0 ? ": " : "", STR_ARG(str_first(detail, ACME_WHY)));
	}
	if (n > SUBPROBLEMS_SAID)
		buf_printf(text, "; and %zu more", n - SUBPROBLEMS_SAID);
}

static void take_problem(struct json_object *object, struct acme_json_problem *out)
{
	struct buf text = BUF_MAX(16384);
	struct str instance = json_read_text(object, "instance");

	memset(out, 0, sizeof(*out));
	take_type(object, out->type);
	buf_put_str(&text, str_first(json_read_text(object, "detail"), 8192));
	put_subproblems(json_read_member(object, "subproblems"), &text);
	acme_json_words(buf_str(&text), out->text, sizeof(out->text));
	if (str_is_printable(instance))
		str_copy(instance, out->instance, sizeof(out->instance));
	buf_clear(&text);
}

void acme_json_problem(struct str body, struct acme_json_problem *out)
{
	struct json_object *object = read_object(body, NULL);

	take_problem(object, out);
	json_object_put(object);
}

/* ---- accounts, orders, authorizations ---- */

bool acme_json_account(struct str body, enum acme_json_status *status, struct err *err)
{
	struct json_object *object = read_object(body, err);

	return object != NULL && ends(object, take_status(object, status, err));
}

void acme_json_order_clear(struct acme_json_order *order)
{
	for (unsigned i = 0; i < order->n_authorizations; i++)
		free(order->authorizations[i]);
	memset(order, 0, sizeof(*order));
}

static bool take_authorizations(struct json_object *list, bool http_is_fine, struct acme_json_order *out, struct err *err)
{
	size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;

	if (n == 0 || n > ACME_NAMES_MAX)
		return err_set(err, "the order has %s authorizations", n == 0 ? "no" : "too many");
	for (size_t i = 0; i < n; i++) {
		struct json_object *one = json_object_array_get_idx(list, i);
		struct str url = STR("");

		if (json_object_is_type(one, json_type_string))
			url = str_bytes(json_object_get_string(one), (size_t)json_object_get_string_len(one));
		if (acme_json_check_url(url, http_is_fine) != NULL)
			return err_set(err, "the order has an authorization that is no URL to use");
		out->authorizations[out->n_authorizations++] = str_dup(url);
	}
	return true;
}

bool acme_json_order(struct str body, bool http_is_fine, struct acme_json_order *out, struct err *err)
{
	struct json_object *object = read_object(body, err);

	memset(out, 0, sizeof(*out));
	if (object == NULL)
		return false;
	if (!take_status(object, &out->status, err) ||
	    !take_authorizations(json_read_member(object, "authorizations"), http_is_fine, out, err) ||
	    !take_url(object, "finalize", true, http_is_fine, out->finalize, err) ||
	    !take_url(object, "certificate", out->status == ACME_JSON_VALID, http_is_fine, out->certificate, err))
		return ends(object, false);
	take_problem(json_read_member(object, "error"), &out->problem);
	return ends(object, true);
}

static bool is_token(struct str token)
{
	for (size_t i = 0; i < token.n; i++) {
		char c = token.p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '-' && c != '_')
			return false;
	}
	return token.n > 0 && token.n < ACME_JSON_TOKEN;
}

static void add_offered(struct acme_json_authorization *out, struct str type)
{
	size_t n = strlen(out->offered);

	if (type.n == 0 || !str_is_printable(type) || n + type.n + 3 > sizeof(out->offered))
		return;
	if (n > 0) {
		memcpy(out->offered + n, ", ", 2);
		n += 2;
	}
	memcpy(out->offered + n, type.p, type.n);
	out->offered[n + type.n] = '\0';
}

static bool take_challenge(struct json_object *one, bool http_is_fine, const char *type, struct acme_json_authorization *out,
			   struct err *err)
{
	struct str said = json_read_text(one, "type"), token = json_read_text(one, "token");
	struct json_object *error = json_read_member(one, "error");

	add_offered(out, said);
	if (error != NULL && out->problem.text[0] == '\0')
		take_problem(error, &out->problem);
	if (!str_eq(said, str_of(type)) || out->has_challenge)
		return true;
	if (!is_token(token))
		return err_set(err, "the challenge has no token, or one with characters that are not allowed");
	str_copy(token, out->token, sizeof(out->token));
	out->has_challenge = true;
	return take_status(one, &out->challenge_status, err) && take_url(one, "url", true, http_is_fine, out->url, err);
}

bool acme_json_authorization(struct str body, bool http_is_fine, const char *type, struct acme_json_authorization *out,
			     struct err *err)
{
	struct json_object *object = read_object(body, err), *list, *identifier;
	size_t n;

	memset(out, 0, sizeof(*out));
	if (object == NULL)
		return false;
	identifier = json_read_member(object, "identifier");
	if (!take_status(object, &out->status, err))
		return ends(object, false);
	if (!str_eq(json_read_text(identifier, "type"), STR("dns")))
		return ends(object, err_set(err, "the authorization is not for a DNS name"));
	if (!take_text(identifier, "value", out->name, sizeof(out->name), err))
		return ends(object, false);
	out->is_wildcard = json_object_get_boolean(json_read_member(object, "wildcard"));
	list = json_read_member(object, "challenges");
	n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
	if (n > CHALLENGES_MAX)
		return ends(object, err_set(err, "the authorization has too many challenges"));
	for (size_t i = 0; i < n; i++)
		if (!take_challenge(json_object_array_get_idx(list, i), http_is_fine, type, out, err))
			return ends(object, false);
	return ends(object, true);
}

/* ---- renewal information ---- */

bool acme_json_window(struct str body, struct acme_window *out, struct err *err)
{
	struct json_object *object = read_object(body, err), *window;
	struct str page;

	if (object == NULL)
		return false;
	window = json_read_member(object, "suggestedWindow");
	if (!date_read_rfc3339(json_read_text(window, "start"), &out->start) ||
	    !date_read_rfc3339(json_read_text(window, "end"), &out->end))
		return ends(object, err_set(err, "the answer has no \"suggestedWindow\" with two times"));
	if (out->end < out->start)
		return ends(object, err_set(err, "the suggested window ends before it begins"));
	out->start *= CLOCK_SECOND;
	out->end *= CLOCK_SECOND;
	page = json_read_text(object, "explanationURL");
	if (!str_is_printable(page) || !str_copy(page, out->explanation, sizeof(out->explanation)))
		out->explanation[0] = '\0';
	return ends(object, true);
}
