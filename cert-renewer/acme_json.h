/* SPDX-License-Identifier: Apache-2.0
 *
 * What an authority says (RFC 8555, 7.1; RFC 9773, 4.2): read strictly, in bounds that no honest one needs. Pure. Every reader's `false`
 * comes with a sentence in err, and what is out is then not to be looked at.
 */
#ifndef CERT_RENEWER_ACME_JSON_H
#define CERT_RENEWER_ACME_JSON_H

#include "cert-renewer/acme.h"
#include "lib/base/err.h"

enum {
	ACME_JSON_NAME = 254, /* with the NUL: RFC 1035, 2.3.4 */
	ACME_JSON_TOKEN = 257,
	ACME_JSON_TYPES = 128,
	ACME_JSON_PROFILES = 512,
};

enum acme_json_status {
	ACME_JSON_PENDING,
	ACME_JSON_PROCESSING,
	ACME_JSON_READY,
	ACME_JSON_VALID,
	ACME_JSON_INVALID,
	ACME_JSON_DEACTIVATED,
	ACME_JSON_EXPIRED,
	ACME_JSON_REVOKED,
};

/* As the RFC spells it. */
const char *acme_json_status_name(enum acme_json_status status);

/* https:, or http: to this host where that is fine (for an authority that is on this host itself). NULL: it is good. */
const char *acme_json_check_url(struct str url, bool http_is_fine);
/* Text for a sentence: in one line, whole characters, at most so many octets with the NUL. */
void acme_json_words(struct str text, char *out, size_t size);

struct acme_json_directory {
	char new_nonce[ACME_URL_MAX], new_account[ACME_URL_MAX], new_order[ACME_URL_MAX];
	/* These may be missing: "". */
	char revoke[ACME_URL_MAX], change_key[ACME_URL_MAX], renewal_info[ACME_URL_MAX], terms[ACME_URL_MAX];
	bool wants_binding;
	bool has_profiles;
	char profiles[ACME_JSON_PROFILES]; /* their names, a blank behind each; what does not fit is left out */
};

bool acme_json_directory(struct str body, bool http_is_fine, struct acme_json_directory *out, struct err *err);

/* RFC 7807, with the words of RFC 8555, 6.7. What is no problem document makes an empty one. */
struct acme_json_problem {
	char type[ACME_PROBLEM]; /* without its URN; "" when it is none of these */
	char text[ACME_WHY - 160]; /* its detail, and those of the names that it is about */
	char instance[ACME_URL_MAX];
};

void acme_json_problem(struct str body, struct acme_json_problem *out);

/* Of an account only this counts. */
bool acme_json_account(struct str body, enum acme_json_status *status, struct err *err);

struct acme_json_order {
	enum acme_json_status status;
	unsigned n_authorizations;
	char *authorizations[ACME_NAMES_MAX]; /* URLs */
	char finalize[ACME_URL_MAX];
	char certificate[ACME_URL_MAX]; /* "" while it is not valid */
	struct acme_json_problem problem;
};

/* Also when it was false. */
void acme_json_order_clear(struct acme_json_order *order);
bool acme_json_order(struct str body, bool http_is_fine, struct acme_json_order *out, struct err *err);

struct acme_json_authorization {
	enum acme_json_status status;
	char name[ACME_JSON_NAME]; /* without "*." */
	bool is_wildcard;
	char offered[ACME_JSON_TYPES]; /* the types of its challenges, for people */
	struct acme_json_problem problem; /* of the first challenge that has one */
	/* The challenge of the type that was asked for, if there is one. */
	bool has_challenge;
	enum acme_json_status challenge_status;
	char url[ACME_URL_MAX], token[ACME_JSON_TOKEN];
};

bool acme_json_authorization(struct str body, bool http_is_fine, const char *type, struct acme_json_authorization *out,
			     struct err *err);

/* start, end and explanation. */
bool acme_json_window(struct str body, struct acme_window *out, struct err *err);

#endif
