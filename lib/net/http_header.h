/* SPDX-License-Identifier: Apache-2.0
 *
 * What stands in the headers of an answer (RFC 9110). Pure.
 */
#ifndef LIB_NET_HTTP_HEADER_H
#define LIB_NET_HTTP_HEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/str.h"

/* The type of a Content-Type, without its parameters: "application/json". */
bool http_header_is_media(struct str value, struct str type);
/* How many seconds from `now` (since 1970) Retry-After asks to wait (10.2.3: seconds or a date), at most `max`. False: there
 * is nothing, or something else, in it. */
bool http_header_retry_after(struct str value, int64_t now, int64_t max, int64_t *seconds);
/* One that names a date: 1 when it is past, at most `max`. */
bool http_header_until(struct str date, int64_t now, int64_t max, int64_t *seconds);
/* Takes the next link of a Link field (RFC 8288) off the front of *rest: its target as it stands between < and >. *fits: this
 * relation is (one of) its own. False: there is no other one, or no more that can be read. */
bool http_header_link(struct str *rest, struct str relation, struct str *target, bool *fits);

#endif
