/* SPDX-License-Identifier: Apache-2.0
 *
 * Mailboxes as they stand in MAIL and RCPT (RFC 5321, 4.1.2 and 4.5.3.1), in UTF-8 too (RFC 6531, 3.3).
 */
#ifndef LIB_SMTP_SMTP_ADDRESS_H
#define LIB_SMTP_SMTP_ADDRESS_H

#include <stdbool.h>

#include "lib/base/str.h"

enum {
	SMTP_ADDRESS_LOCAL_MAX = 64,
	SMTP_ADDRESS_DOMAIN_MAX = 255,
	SMTP_ADDRESS_MAX = 254, /* a path has 256 octets with its brackets */
};

enum smtp_address_result {
	SMTP_ADDRESS_OK,
	SMTP_ADDRESS_SYNTAX,
	SMTP_ADDRESS_LONG,
};

struct smtp_address {
	struct str mailbox; /* local@domain: the path without its source route; beyond ASCII it needs SMTPUTF8 */
	struct str local;   /* with its quotes */
	struct str domain;  /* with its [ ] when it is a literal */
};

/* Parses a path without angle brackets; what it gives is borrowed from it. The null path is no mailbox. */
enum smtp_address_result smtp_address_parse(struct str path, struct smtp_address *address);
/* The same mailbox? The domain compares without case, the local part with it. */
bool smtp_address_eq(struct str mailbox, struct str other);
/* A domain name as DNS knows it, in ASCII or in UTF-8 (U-labels), no literal. */
bool smtp_address_is_domain(struct str s);

#endif
