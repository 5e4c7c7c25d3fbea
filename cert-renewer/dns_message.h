/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages of the DNS (RFC 1035): queries, updates (RFC 2136), and answers, which nobody vouches for. Pure.
 */
#ifndef CERT_RENEWER_DNS_MESSAGE_H
#define CERT_RENEWER_DNS_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/str.h"

enum {
	DNS_MESSAGE_MAX = 65535,
	DNS_MESSAGE_HEAD = 12,
	DNS_NAME_MAX = 255,   /* octets */
	DNS_HOPS_MAX = 8,
	DNS_NAME_TEXT = 1024, /* each octet as \DDD, dots, NUL */
};

enum dns_type { DNS_CNAME = 5, DNS_SOA = 6, DNS_TXT = 16, DNS_TSIG = 250 };
enum { DNS_CLASS_IN = 1, DNS_CLASS_NONE = 254, DNS_CLASS_ANY = 255 };
enum dns_opcode { DNS_QUERY = 0, DNS_UPDATE = 5 };
enum dns_rcode {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5,
	DNS_NOTAUTH = 9,
	DNS_NOTZONE = 10,
	/* TSIG's own (RFC 8945, 3) */
	DNS_BADSIG = 16,
	DNS_BADKEY = 17,
	DNS_BADTIME = 18,
	DNS_BADTRUNC = 22,
};
enum dns_section { DNS_ANSWER, DNS_AUTHORITY, DNS_ADDITIONAL, DNS_SECTIONS };

/* Labels with their lengths before them, the root's at the end; lower case. */
struct dns_name {
	unsigned char octets[DNS_NAME_MAX];
	unsigned n; /* 1: the root */
};

/* "REFUSED"; of a number that means nothing: "an unknown error". */
const char *dns_message_rcode(unsigned rcode);

/* "_acme-challenge.example.com", with or without the dot at the end; no escapes. False: it cannot be a name. */
bool dns_message_name(struct str text, struct dns_name *name);
/* Without the dot at the end; the root is ".". */
char *dns_message_name_text(const struct dns_name *name, char out[DNS_NAME_TEXT]);
bool dns_message_name_eq(const struct dns_name *a, const struct dns_name *b);
/* Is it that name, or one below it? */
bool dns_message_name_is_in(const struct dns_name *name, const struct dns_name *zone);
/* The name without its first label. False: it is the root. */
bool dns_message_name_parent(struct dns_name *name);

/* What is said to a server. */
struct dns_message_question {
	enum dns_opcode opcode;
	struct dns_name name; /* QUERY: asked for; UPDATE: the zone */
	enum dns_type type;   /* QUERY */
	/* UPDATE: one TXT record of this value comes or goes. */
	struct dns_name record;
	struct str value;
	bool is_removal;
};

void dns_message_put(struct buf *out, uint16_t id, const struct dns_message_question *question);

/* An answer; borrows the octets it was read from. */
struct dns_message {
	struct str octets;
	enum dns_opcode opcode;
	unsigned rcode;
	bool is_truncated, is_authoritative;
	unsigned n_records[DNS_SECTIONS];
	size_t records_at; /* where the first one is */
	size_t last_at;	   /* and the last one */
};

struct dns_message_record {
	struct dns_name name;
	unsigned type, class;
	uint32_t ttl;
	struct str data;
	size_t data_at; /* in the message: names in it may point elsewhere */
	enum dns_section section;
	/* of the iteration */
	unsigned index;
	size_t next_at;
};

/* False: it is malformed in any part, or no answer to this question with this id; err-like `why` is a constant. */
bool dns_message_read(struct str octets, uint16_t id, const struct dns_message_question *question, struct dns_message *message,
		      const char **why);
/* Walks over all records: begin with zeroes. False: that was the last one. */
bool dns_message_next(const struct dns_message *message, struct dns_message_record *record);
/* Where a CNAME points to. */
bool dns_message_target(const struct dns_message *message, const struct dns_message_record *record, struct dns_name *target);
/* Goes along the CNAMEs that an answer has for a name, as far as *hops goes up to DNS_HOPS_MAX. False: there is none. */
bool dns_message_follow(const struct dns_message *message, struct dns_name *name, unsigned *hops);
/* Is this what a TXT record says, its strings together? */
bool dns_message_text_is(const struct dns_message_record *record, struct str value);

/* Reads a name at an offset, which moves behind it. False: it is malformed. */
bool dns_message_name_at(struct str octets, size_t *at, struct dns_name *name);

#endif
