/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP on the loop: the routes, the limits on what a client may send, answers. With lib/net/loop.c the only
 * file that knows libevent (evhttp).
 */
#ifndef API_API_HTTP_H
#define API_API_HTTP_H

#include "lib/net/loop.h"
#include "lib/settings/settings.h"

struct api_http;

struct api_http *api_http_new(struct loop *loop, const struct settings *settings);
void api_http_use_settings(struct api_http *http, const struct settings *settings);
void api_http_free(struct api_http **http);
/* Takes over a listening socket. */
void api_http_serve(struct api_http *http, int fd);
/* Takes no new connections. */
void api_http_stop(struct api_http *http);

#endif
