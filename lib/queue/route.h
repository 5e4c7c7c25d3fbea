/* SPDX-License-Identifier: Apache-2.0
 *
 * Through which provider a message goes: a tenant's routes, each with conditions and with targets, in the order of their
 * positions; the first route whose conditions a recipient of the message meets is its route. Pure, for qmgr and smtp-proxyctl.
 *
 * Targets as text: tiers in the order in which they are tried, `>` between; in a tier the keys of providers, with the weight
 * by which the tier's mail is shared out, `,` between: "sendgrid:3,ses:1 > mailgun > smarthost".
 */
#ifndef LIB_QUEUE_ROUTE_H
#define LIB_QUEUE_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/uuid.h"
#include "lib/settings/settings.h"

enum {
	ROUTE_TARGETS = 32,	  /* of a route */
	ROUTE_TEXT = 4096,	  /* of its targets, at most */
	ROUTE_ROUTES = 256,	  /* of a tenant */
	ROUTE_WEIGHT_MAX = 1000,
	ROUTE_PATTERN_MAX = 255,  /* of a condition, in octets */
	ROUTE_NONE = ROUTE_ROUTES /* the number of no route */
};

struct route_target {
	char provider[SETTINGS_KEY];
	int16_t index;	 /* in the settings (route_resolve()); -1: they have no such provider */
	uint16_t weight; /* at least 1 */
	uint8_t tier;	 /* from 0, none left out */
};

/* All that are given must be met; an empty one always is. */
struct route_conditions {
	struct str sender_domain;    /* of MAIL; "example.org" is that domain, ".example.org" and "*.example.org" those below it */
	struct str recipient_domain; /* in the same way */
	struct str header_name;	     /* a field that has this name ... */
	struct str header_pattern;   /* ... and whose value is this; * stands for any octets, case does not matter; empty: any */
	struct uuid user;	     /* who handed it in; zeroes: anybody */
};

struct route {
	struct route_conditions when;
	struct route_target *target;
	unsigned n_targets;
	char *texts; /* those of `when` */
};

/* What a route is chosen by. */
struct route_message {
	struct str mail_from;
	const struct str *recipients;
	unsigned n_recipients;
	struct uuid user;
	struct str content; /* the header is read */
};

/* Conditions and targets as people write them. False: *route is zeroes, err says what is wrong. */
bool route_make(struct route *route, const struct route_conditions *when, struct str targets, struct err *err);
void route_clear(struct route *route);
/* The targets as text, as route_make() reads them. */
void route_print(const struct route *route, struct buf *out);
/* Finds the providers of these settings; at first, and when they change. */
void route_resolve(struct route *route, const struct settings *settings);

/* Something of a message must be known to choose among these routes. */
bool route_is_conditional(const struct route *routes, unsigned n);
/* The number of each recipient's route, or ROUTE_NONE, into group[m->n_recipients]. Returns how many different ones there are. */
unsigned route_group(const struct route *routes, unsigned n, const struct route_message *m, uint16_t *group);

/* What is said of a target. */
enum route_word {
	ROUTE_FINE,
	ROUTE_NO_PROVIDER, /* the settings have none of this name */
	ROUTE_UNFIT,	   /* it has said that it cannot carry this message */
	ROUTE_UTF8,	   /* it takes no addresses beyond ASCII */
	ROUTE_SIZE,	   /* the message is too large for it */
	ROUTE_DOWN,
	ROUTE_WORDS
};

/* What the kinds of provider are measured by (settings_provider_kind()). */
struct route_load {
	bool has_utf8; /* an address beyond ASCII */
	int64_t size;  /* 0: not known */
	uint64_t unfit; /* a bit for each provider, by its index, that cannot carry it */
};

struct route_choice {
	int target; /* its number, or -1: none is fine */
	int first;  /* that which it would be if all were up, or -1: nobody can carry it */
	enum route_word word[ROUTE_TARGETS];
};

/* May messages be given to this provider now? */
typedef bool route_is_up_fn(void *ctx, unsigned provider);

bool route_is_beyond_ascii(const struct route_message *m);
/* `random`: any number; the same one chooses the same target as long as it can be had. */
struct route_choice route_choose(const struct route *route, const struct settings *settings, const struct route_load *load,
				 route_is_up_fn *is_up, void *ctx, uint64_t random);
/* For people: "is down". */
const char *route_word_text(enum route_word word);

#endif
