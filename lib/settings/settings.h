/* SPDX-License-Identifier: Apache-2.0
 *
 * The settings as a struct, made from settings.def: settings->smtpd.command_timeout is typed, checked
 * and never looked up by name at run time.
 */
#ifndef LIB_SETTINGS_SETTINGS_H
#define LIB_SETTINGS_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/str.h"

/* Which children receive a setting: bit n is role n of lib/ipc/role.def. */
enum {
	FOR_SMTPD = 1 << 1,
	FOR_GATE = 1 << 2,
	FOR_QMGR = 1 << 3,
	FOR_DELIVER = 1 << 4,
	FOR_API = 1 << 5,
	FOR_CERT_RENEWER = 1 << 6,
	FOR_ALL = 0x7e,
};

enum settings_type {
	SETTINGS_BOOL,
	SETTINGS_INT,
	SETTINGS_SIZE,
	SETTINGS_DURATION,
	SETTINGS_TEXT,
	SETTINGS_PATH,
	SETTINGS_SECRET,
	SETTINGS_CHOICE,
};

enum settings_when { SETTINGS_RELOAD, SETTINGS_RESTART };

#define SETTINGS_C_BOOL bool
#define SETTINGS_C_INT int64_t
#define SETTINGS_C_SIZE int64_t
#define SETTINGS_C_DURATION int64_t
#define SETTINGS_C_TEXT char *
#define SETTINGS_C_PATH char *
#define SETTINGS_C_SECRET char *
#define SETTINGS_C_CHOICE int

/* The values of the CHOICE settings, in the order of their `allowed` column. */
enum { LOG_AUTO, LOG_JSON, LOG_PLAIN };
enum { LISTENER_STARTTLS, LISTENER_IMPLICIT };
/* A listener's mode; of a tenant: one less, after "listener". */
enum { MODE_QUEUED, MODE_DIRECT, MODE_DIRECT_THEN_QUEUE };
enum { CLIENT_CERTIFICATE_OFF, CLIENT_CERTIFICATE_ASK, CLIENT_CERTIFICATE_REQUIRE };
enum { GATE_USERS_DATABASE, GATE_USERS_SETTINGS, GATE_USERS_CAKEMAIL };
enum { TLS_MIN_1_2, TLS_MIN_1_3 };
enum { PLACEHOLDER_SELF_SIGNED, PLACEHOLDER_REFUSE };
enum { CERTIFICATE_FILES, CERTIFICATE_ACME };
enum { CHALLENGE_HTTP_01, CHALLENGE_TLS_ALPN_01, CHALLENGE_DNS_01 };
enum { KEY_TYPE_ECDSA, KEY_TYPE_RSA };
enum { DNS_HMAC_SHA256, DNS_HMAC_SHA384, DNS_HMAC_SHA512 };
enum { S3_ENCRYPTION_AES256, S3_ENCRYPTION_KMS, S3_ENCRYPTION_NONE };
enum { BARE_NEWLINE_REPAIR, BARE_NEWLINE_REFUSE };
enum { SSLMODE_DISABLE, SSLMODE_PREFER, SSLMODE_REQUIRE, SSLMODE_VERIFY_FULL };
enum {
#define PROVIDER(constant, name, raw, envelope, utf8, inlines, repeats, recipients, size, needs) PROVIDER_##constant,
#include "lib/settings/settings_provider.def"
#undef PROVIDER
	PROVIDER_TYPES
};
enum { PROVIDER_TLS_STARTTLS, PROVIDER_TLS_IMPLICIT, PROVIDER_TLS_OFF };
enum {
	AWS_SETTINGS,
	AWS_ENVIRONMENT,
	AWS_FILE,
	AWS_CONTAINER,
	AWS_WEB_IDENTITY,
	AWS_INSTANCE,
	AWS_DEFAULT
};

enum { SETTINGS_KEY = 64 };

/* One expansion a struct: the rows that are not its own expand to nothing. */
#define SECTION(section, prose)
#define END(section)
#define SETTING(type, section, name, fallback, allowed, roles, when, prose)
#define LIST(list, section, most, when, prose)
#define LISTED(type, list, name, fallback, allowed, roles, when, prose) \
	SETTINGS_OF_##list(SETTINGS_C_##type name;)

#define SETTINGS_OF_listener(field)
#define SETTINGS_OF_certificate(field)
#define SETTINGS_OF_user(field)
#define SETTINGS_OF_tenant(field)
#define SETTINGS_OF_provider(field)

struct settings_listener {
	char key[SETTINGS_KEY];
#undef SETTINGS_OF_listener
#define SETTINGS_OF_listener(field) field
#include "lib/settings/settings.def"
#undef SETTINGS_OF_listener
#define SETTINGS_OF_listener(field)
};

struct settings_certificate {
	char key[SETTINGS_KEY];
#undef SETTINGS_OF_certificate
#define SETTINGS_OF_certificate(field) field
#include "lib/settings/settings.def"
#undef SETTINGS_OF_certificate
#define SETTINGS_OF_certificate(field)
};

struct settings_user {
	char key[SETTINGS_KEY];
#undef SETTINGS_OF_user
#define SETTINGS_OF_user(field) field
#include "lib/settings/settings.def"
#undef SETTINGS_OF_user
#define SETTINGS_OF_user(field)
};

struct settings_tenant {
	char key[SETTINGS_KEY];
#undef SETTINGS_OF_tenant
#define SETTINGS_OF_tenant(field) field
#include "lib/settings/settings.def"
#undef SETTINGS_OF_tenant
#define SETTINGS_OF_tenant(field)
};

struct settings_provider {
	char key[SETTINGS_KEY];
#undef SETTINGS_OF_provider
#define SETTINGS_OF_provider(field) field
#include "lib/settings/settings.def"
#undef SETTINGS_OF_provider
#define SETTINGS_OF_provider(field)
};

#undef SETTINGS_OF_listener
#undef SETTINGS_OF_certificate
#undef SETTINGS_OF_user
#undef SETTINGS_OF_tenant
#undef SETTINGS_OF_provider
#undef SECTION
#undef END
#undef SETTING
#undef LIST
#undef LISTED
#define SECTION(section, prose) struct {
#define END(section) } section;
#define SETTING(type, section, name, fallback, allowed, roles, when, prose) SETTINGS_C_##type name;
#define LIST(list, section, most, when, prose) \
	struct settings_##list list[most]; \
	size_t n_##list;
#define LISTED(type, list, name, fallback, allowed, roles, when, prose)

/* All texts are owned by the struct and never NULL. */
struct settings {
#include "lib/settings/settings.def"
};

#undef SECTION
#undef END
#undef SETTING
#undef LIST
#undef LISTED

/* A row of settings.def, for whoever walks over all of them. */
struct settings_row {
	enum settings_type type;
	const char *section; /* as in the file: "smtpd", "listeners" */
	const char *name;
	const char *fallback, *allowed, *prose;
	unsigned roles;
	enum settings_when when;
	size_t offset; /* of the field: in struct settings, or in the listed thing when `list` is set */
	const struct settings_list *list;
};

struct settings_list {
	const char *section, *prose;
	size_t most, size;		/* of one thing */
	size_t offset, count_offset;	/* in struct settings */
	enum settings_when when;	/* for a thing that comes or goes */
};

extern const struct settings_row settings_rows[];
extern const size_t settings_n_rows;

/* The sections in the order of the table; `list` is NULL for one that holds settings itself. */
struct settings_section {
	const char *name, *prose;
	const struct settings_list *list;
};

extern const struct settings_section settings_sections[];
extern const size_t settings_n_sections;

/* Every setting at its default, the lists empty. The caller ends it with settings_free(). */
struct settings *settings_new(void);
/* Wipes secrets. Sets the pointer to NULL. */
void settings_free(struct settings **settings);

/* Parses and checks one value as text and puts it into the field (`thing` is the struct settings or the
 * listed struct). False: err says what is wrong and what is allowed, without the setting's name. */
bool settings_set(void *thing, const struct settings_row *row, struct str value, struct err *err);
/* The value as settings_set() reads it ("10MiB", "30s", "implicit"); a secret as it is. */
void settings_get(const void *thing, const struct settings_row *row, struct buf *out);

/* Adds a thing to a list, at its defaults; NULL when it is full. `key` is at most SETTINGS_KEY - 1. */
void *settings_add(struct settings *settings, const struct settings_list *list, struct str key);
/* How many things a list holds, the i-th of them (which begins with its key), and the one with this
 * key or NULL. */
size_t settings_count(const struct settings *settings, const struct settings_list *list);
void *settings_at(const struct settings *settings, const struct settings_list *list, size_t i);
void *settings_find(const struct settings *settings, const struct settings_list *list, struct str key);

/* Takes all things out of a list. */
void settings_empty(struct settings *settings, const struct settings_list *list);
/* Whether the value is the row's default. */
bool settings_is_default(const void *thing, const struct settings_row *row);

/* What is wrong with the settings as a whole; see settings_check.c. */
struct settings_problems;
void settings_check(const struct settings *settings, struct settings_problems *problems);

/* Reads and checks a file. True: *out is the caller's, and `problems` holds warnings at most. False:
 * *out is NULL and `problems` says everything that is wrong. */
bool settings_read_file(const char *path, struct settings **out, struct settings_problems *problems);

#endif
