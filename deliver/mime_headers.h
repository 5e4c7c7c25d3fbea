/* SPDX-License-Identifier: Apache-2.0
 *
 * The header section of a message, field by field, as it stands on the wire.
 */
#ifndef DELIVER_MIME_HEADERS_H
#define DELIVER_MIME_HEADERS_H

#include <stdbool.h>

#include "lib/base/str.h"

struct mime_field {
	struct str name;
	struct str value; /* raw: folded, with what stands after the colon; without the last line end */
};

/* Takes the next field off the front of *rest. Lines that are no field are passed over. False at the end
 * of the section: *rest is then the body (without the empty line). */
bool mime_headers_next(struct str *rest, struct mime_field *field);

#endif
