/* SPDX-License-Identifier: Apache-2.0
 *
 * A message told in pieces: what the providers that take no MIME have in common. Each of them names and arranges the
 * pieces in its own way.
 */
#ifndef DELIVER_PROVIDER_PIECES_H
#define DELIVER_PROVIDER_PIECES_H

#include "deliver/mime_message.h"
#include "deliver/provider.h"

/* A message taken apart; clear it in every case. */
struct provider_pieces {
	struct mime_message mime;
	struct mime_address from; /* the author, without one the envelope's sender */
	struct str subject;	  /* never empty */
};

/* False: no provider of this kind (`name`, for people) can carry it, *verdict (UNFIT) says why: it is signed or
 * encrypted, has addresses that are not ASCII, too many parts, no sender. What will be lost whichever provider it is,
 * is noted. */
bool provider_pieces_take(struct provider_pieces *pieces, const struct provider_call *call, const char *name,
			  struct provider_request *request, struct provider_verdict *verdict);
void provider_pieces_clear(struct provider_pieces *pieces);

/* Is the field none of those that may be passed on: told otherwise (To, Subject, Content-...), written by the
 * provider itself, or orders to one? Providers may drop more. */
bool provider_pieces_is_dropped(struct str name);

/* A place in the header section; {0} is its beginning. */
struct provider_pieces_field {
	struct str name;
	struct buf value; /* those of all fields of the name, commas between (one where there is to be one, RFC 5322, 3.6) */
	unsigned next;
};
/* The next field to be passed on: each name once, without those that is_dropped() takes. False at the end, when
 * there is nothing to be cleared. */
bool provider_pieces_next_field(const struct mime_message *mime, bool (*is_dropped)(struct str name),
				struct provider_pieces_field *field);

/* All of them as a JSON object, its comma before it: ,"headers":{"X-A":"1"}; nothing when there are none. */
void provider_pieces_put_headers(struct buf *out, const struct mime_message *mime, bool (*is_dropped)(struct str name));

/* Is it told as an attachment? */
bool provider_pieces_is_file(const struct mime_part *part);
/* What is in it: never nothing, which the providers refuse; an empty file has one line end. */
struct str provider_pieces_bytes(const struct mime_part *part);
/* The name of the number-th attachment (from 1): the part's, or one made from its type. */
void provider_pieces_file_name(const struct mime_part *part, unsigned number, struct buf *out);
/* The extension that files of the type have ("pdf"), or NULL when it is not known. */
const char *provider_pieces_extension(struct str type);
/* The type of files with the name's extension, or NULL when it is not known. */
const char *provider_pieces_type(struct str file_name);

#endif
