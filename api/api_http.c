/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP service of api: one table of routes. GET and HEAD only; nothing is read from a request but its
 * method and path.
 */
#include "api/api_http.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <stdlib.h>
#include <string.h>

#include "api/api_health.h"
#include "lib/base/buf.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/service/metrics.h"

enum {
	HEADERS_MAX = 16384,
	BODY_MAX = 4096, /* no route takes one */
	IDLE_SECONDS = 30,
	ANSWER_MAX = 8 << 20,
};

struct api_http {
	struct evhttp *server;
	struct evhttp_bound_socket *socket;
	const struct settings *settings;
};

static const char type_json[] = "application/json";
static const char type_metrics[] = "text/plain; version=0.0.4; charset=utf-8";

/* Each puts the answer's body and returns its status. */
static int get_live(const struct api_http *http, struct buf *body)
{
	(void)http;
	buf_put_text(body, "{\"status\":\"live\"}\n");
	return 200;
}

static int get_ready(const struct api_http *http, struct buf *body)
{
	return api_health_ready(http->settings, body) ? 200 : 503;
}

static int get_metrics(const struct api_http *http, struct buf *body)
{
	(void)http;
	metrics_render(body);
	return body->is_full ? 500 : 200;
}

static const struct {
	const char *path;
	const char *type;
	int (*get)(const struct api_http *http, struct buf *body);
} routes[] = {
	{"/health/live", type_json, get_live},
	{"/health/ready", type_json, get_ready},
	{"/metrics", type_metrics, get_metrics},
};

static const char *reason_of(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 503:
		return "Service Unavailable";
	default:
		return "Internal Server Error";
	}
}

static void put_header(struct evhttp_request *request, const char *name, const char *value)
{
	evhttp_add_header(evhttp_request_get_output_headers(request), name, value);
}

static void answer(struct evhttp_request *request, int status, const char *type, const struct buf *body)
{
	struct evbuffer *out = evhttp_request_get_output_buffer(request);

	put_header(request, "Content-Type", type);
	put_header(request, "Cache-Control", "no-store");
	put_header(request, "X-Content-Type-Options", "nosniff");
	/* For HEAD libevent writes the length and leaves the body out itself. */
	if (body->n > 0 && evbuffer_add(out, body->p, body->n) < 0)
		die("no memory for an answer");
	evhttp_send_reply(request, status, reason_of(status), NULL);
	log_debug(NULL, "api.answer", log_text("path", evhttp_request_get_uri(request)),
		  log_int("status", status));
}

static int refuse(struct buf *body, int status, const char *why)
{
	buf_printf(body, "{\"error\":\"%s\"}\n", why);
	return status;
}

static void on_request(struct evhttp_request *request, void *ctx)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
	const char *path = uri == NULL ? NULL : evhttp_uri_get_path(uri), *type = type_json;
	enum evhttp_cmd_type method = evhttp_request_get_command(request);
	struct buf body = BUF_MAX(ANSWER_MAX);
	int status = 0;

	for (size_t i = 0; path != NULL && i < sizeof(routes) / sizeof(routes[0]); i++) {
		if (strcmp(path, routes[i].path) != 0)
			continue;
		if (method == EVHTTP_REQ_GET || method == EVHTTP_REQ_HEAD) {
			type = routes[i].type;
			status = routes[i].get(ctx, &body);
		} else {
			put_header(request, "Allow", "GET, HEAD");
			status = refuse(&body, 405, "only GET and HEAD are understood here");
		}
	}
	if (status == 0)
		status = refuse(&body, 404, "there is nothing at this path");
	answer(request, status, type, &body);
	buf_clear(&body);
}

struct api_http *api_http_new(struct loop *loop, const struct settings *settings)
{
	struct api_http *http = mem_zero(sizeof(*http));

	http->settings = settings;
	http->server = evhttp_new(loop_event_base(loop));
	if (http->server == NULL)
		die("cannot make an HTTP server");
	evhttp_set_max_headers_size(http->server, HEADERS_MAX);
	evhttp_set_max_body_size(http->server, BODY_MAX);
	evhttp_set_timeout(http->server, IDLE_SECONDS);
	/* All methods that there are come to on_request(), which says 405 as JSON. */
	evhttp_set_allowed_methods(http->server,
				   EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST | EVHTTP_REQ_PUT |
					   EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS | EVHTTP_REQ_TRACE |
					   EVHTTP_REQ_CONNECT | EVHTTP_REQ_PATCH);
	evhttp_set_gencb(http->server, on_request, http);
	return http;
}

void api_http_use_settings(struct api_http *http, const struct settings *settings)
{
	http->settings = settings;
}

void api_http_free(struct api_http **http)
{
	if (*http == NULL)
		return;
	evhttp_free((*http)->server);
	mem_free(http);
}

void api_http_serve(struct api_http *http, int fd)
{
	http->socket = evhttp_accept_socket_with_handle(http->server, fd);
	if (http->socket == NULL)
		die("cannot serve HTTP");
}

void api_http_stop(struct api_http *http)
{
	if (http->socket != NULL)
		evhttp_del_accept_socket(http->server, http->socket);
	http->socket = NULL;
}
