/* SPDX-License-Identifier: Apache-2.0
 *
 * The header that a load balancer puts before a connection's own bytes, to say whose connection it is: HAProxy's
 * PROXY protocol, version 1 (a line) and version 2 (binary).
 */
#ifndef LIB_NET_PROXY_HEADER_H
#define LIB_NET_PROXY_HEADER_H

#include <stdbool.h>
#include <sys/socket.h>

#include "lib/base/str.h"

enum {
	PROXY_HEADER_V1_MAX = 107, /* with its CRLF */
	PROXY_HEADER_MAX = 536,	   /* the least that every network carries in one piece: the specification's own bound */
};

enum proxy_header_result {
	PROXY_HEADER_OK,
	PROXY_HEADER_MORE, /* all bytes given belong to a header that is not complete */
	PROXY_HEADER_BAD,
};

struct proxy_header {
	size_t length; /* of the header; what follows is the client's */
	/* Nobody's connection but the balancer's own (LOCAL: its health check), or it does not say whose (UNKNOWN,
	 * other families): the connection's own address stands. */
	bool is_local, is_unknown;
	struct sockaddr_storage from; /* else the client */
	const char *why;	      /* BAD: for the log */
};

/* Looks at the bytes from the first one on. Pure. */
enum proxy_header_result proxy_header_parse(struct str bytes, struct proxy_header *out);

#endif
