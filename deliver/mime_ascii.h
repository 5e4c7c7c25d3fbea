/* SPDX-License-Identifier: Apache-2.0
 *
 * A message in ASCII (RFC 2045, 6; 2047; 2231), for providers that take MIME but only as text: bodies that are not get a
 * transfer encoding, header fields encoded words. All else stays octet by octet, so that what was ASCII already is not
 * changed, signatures included.
 */
#ifndef DELIVER_MIME_ASCII_H
#define DELIVER_MIME_ASCII_H

#include "lib/base/buf.h"

struct mime_ascii {
	/* Given: header fields must not have it ("{{"): it is encoded too; "": nothing else. */
	struct str hidden;
	/* Made: */
	struct buf out;
	struct buf changed; /* what was, for people: "Subject, text/plain" */
	char trouble[160];  /* why it cannot be; then mime_ascii() is false */
	bool is_address;    /* ... it is an address that is not ASCII */
};

/* `header` is the header section, `body` the rest from the empty line on. mime_ascii_clear() in both cases. */
bool mime_ascii(struct mime_ascii *m, struct str header, struct str body);
void mime_ascii_clear(struct mime_ascii *m);

#endif
