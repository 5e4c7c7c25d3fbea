/* SPDX-License-Identifier: Apache-2.0
 *
 * A message without some of its header fields, all else as it is: Bcc, and those by which a client of ours could
 * give orders to a provider. For the providers that take MIME.
 */
#ifndef DELIVER_MIME_STRIP_H
#define DELIVER_MIME_STRIP_H

#include "lib/base/buf.h"

struct mime_strip {
	struct str header; /* what goes out of the header section, without the empty line behind it */
	struct str body;   /* the rest, from that line on; borrowed from the content */
	struct buf names;  /* which were taken out: "Bcc, X-SES-TAG"; empty: none, and `header` is borrowed too */
	struct buf kept;
};

/* `names`: in lower case, up to a NULL; "x-ses-*" stands for all that begin so, "subject!" for all
 * subjects but the first. At most 64. */
void mime_strip(struct mime_strip *strip, struct str content, const char *const *names);
void mime_strip_clear(struct mime_strip *strip);

#endif
