/* SPDX-License-Identifier: Apache-2.0
 *
 * libcurl's multi interface on our loop; the only file that knows libcurl.
 *
 * May a request have reached the other side? libcurl counts the octets that the socket (or TLS) took from
 * the request. None taken: NOT_SENT. A status and all headers back: ANSWERED. Everything else: UNKNOWN.
 *
 * One trap lies in kept connections: when one ends before a single octet of an answer, libcurl sends the
 * request again by itself on a new one, POST or not, though the server may have acted on the first. The
 * pre-request hook sees the second start and forbids it when octets had left before; that call is UNKNOWN.
 * So that this stays rare, connections that were idle for KEEP_IDLE_SECONDS are not used again (servers
 * keep theirs for a minute or more), and libcurl looks for a waiting end-of-file before it reuses one. What
 * remains: a server that closes in the very moment in which we send, and an HTTP/2 server that refuses a
 * stream with GOAWAY; both are told as UNKNOWN though the request probably had no effect.
 */
#include "lib/net/http_client.h"

#include <curl/curl.h>
#include <stdlib.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"

enum {
	KEEP_IDLE_SECONDS = 20,
	KEEP_LIFE_SECONDS = 600, /* so that a changed DNS name is noticed */
	HEADERS_BYTES_MAX = 32768,
	BODY_BYTES_READ_MAX = 1 << 20, /* past HTTP_CLIENT_BODY_MAX it is read and dropped, for so long */
	POOL_MAX = 256,
};

struct http_call {
	struct http_client *client;
	struct http_call *next, *prev; /* under way, or in the pool (next only) */
	CURL *easy;
	struct curl_slist *headers;
	http_client_fn *fn;
	void *ctx;
	struct buf head;      /* the answer's header lines, NUL after each */
	unsigned n_head;
	struct buf body;
	size_t body_seen;
	bool is_started;      /* the pre-request hook has run */
	bool has_head;	      /* all headers of the final answer are there */
	bool was_resent;      /* libcurl wanted to send it a second time */
	bool is_late;	      /* there was a connection only after begin_before */
	int64_t begin_before;
	char error[CURL_ERROR_SIZE];
};

struct http_client {
	struct loop *loop;
	CURLM *multi;
	struct loop_timer *timer;
	struct http_client_config config;
	struct http_call *running, *pool;
	unsigned n_running, n_pool;
};

/* A socket of libcurl's that we watch. */
struct watch {
	struct http_client *client;
	struct loop_fd *fd;
	curl_socket_t socket;
};

void http_client_prepare(void)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		die("cannot start libcurl");
}

static void wipe_headers(struct http_call *call)
{
	for (struct curl_slist *h = call->headers; h != NULL; h = h->next)
		mem_wipe(h->data, strlen(h->data));
	curl_slist_free_all(call->headers);
	call->headers = NULL;
}

/* ---- what libcurl calls ---- */

/* A header line of the answer, CRLF and all; the empty line ends them. */
static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
	struct http_call *call = arg;
	struct str s = {line, size * n};

	while (s.n > 0 && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r'))
		s.n--;
	if (str_istarts(s, STR("HTTP/"))) {
		/* Of another answer: what came before was 1xx. */
		buf_reset(&call->head);
		call->n_head = 0;
		call->has_head = false;
	} else if (s.n == 0) {
		long status = 0;

		curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
		call->has_head = status >= 200;
	} else if (call->n_head < HTTP_CLIENT_HEADERS_MAX && memchr(s.p, '\0', s.n) == NULL &&
		   call->head.n + s.n < call->head.max) {
		buf_put_str(&call->head, s);
		buf_put_char(&call->head, '\0');
		call->n_head++;
	}
	return size * n;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
	struct http_call *call = arg;
	size_t got = size * n;

	call->body_seen += got;
	if (call->body_seen > BODY_BYTES_READ_MAX)
		return 0;
	buf_put_str(&call->body, str_first(str_bytes(bytes, got), HTTP_CLIENT_BODY_MAX - call->body.n));
	return got;
}

/* How many octets of the request the connection took. */
static curl_off_t octets_sent(const struct http_call *call)
{
	curl_off_t body = 0;
	long head = 0;

	curl_easy_getinfo(call->easy, CURLINFO_REQUEST_SIZE, &head);
	curl_easy_getinfo(call->easy, CURLINFO_SIZE_UPLOAD_T, &body);
	return head + body;
}

/* There is a connection and the request is about to be sent: for the second time, or too late? */
static int on_prerequest(void *arg, char *peer, char *own, int peer_port, int own_port)
{
	struct http_call *call = arg;

	(void)peer;
	(void)own;
	(void)peer_port;
	(void)own_port;
	if (call->is_started && octets_sent(call) > 0) {
		call->was_resent = true;
		return CURL_PREREQFUNC_ABORT;
	}
	if (call->begin_before != 0 && clock_mono() >= call->begin_before) {
		call->is_late = true;
		return CURL_PREREQFUNC_ABORT;
	}
	call->is_started = true;
	return CURL_PREREQFUNC_OK;
}

/* A connection gets its TLS context: it is lent the authorities, which would cost a parse each time. */
static CURLcode on_tls(CURL *easy, void *context, void *arg)
{
	const struct http_client *client = arg;

	(void)easy;
	if (client->config.trust != NULL)
		tls_client_lend(client->config.trust, context);
	return CURLE_OK;
}

static void run(struct http_client *client, curl_socket_t socket, int events);

static void on_socket_ready(void *arg, unsigned events)
{
	struct watch *watch = arg;
	int mask = (events & LOOP_READ ? CURL_CSELECT_IN : 0) | (events & LOOP_WRITE ? CURL_CSELECT_OUT : 0);

	run(watch->client, watch->socket, mask);
}

static void free_watch(void *arg)
{
	struct watch *watch = arg;

	loop_fd_free(&watch->fd);
	free(watch);
}

/* libcurl says what it waits for on a socket. */
static int on_socket(CURL *easy, curl_socket_t socket, int what, void *arg, void *socket_arg)
{
	struct http_client *client = arg;
	struct watch *watch = socket_arg;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (watch != NULL) {
			/* The descriptor is closed next: stop watching now, free when nobody runs in it. */
			loop_fd_want(watch->fd, 0);
			curl_multi_assign(client->multi, socket, NULL);
			loop_later(client->loop, free_watch, watch);
		}
		return 0;
	}
	if (watch == NULL) {
		watch = mem_zero(sizeof(*watch));
		watch->client = client;
		watch->socket = socket;
		watch->fd = loop_fd_new(client->loop, socket, on_socket_ready, watch);
		curl_multi_assign(client->multi, socket, watch);
	}
	loop_fd_want(watch->fd, (what & CURL_POLL_IN ? LOOP_READ : 0u) | (what & CURL_POLL_OUT ? LOOP_WRITE : 0u));
	return 0;
}

static int on_timer_wanted(CURLM *multi, long milliseconds, void *arg)
{
	struct http_client *client = arg;

	(void)multi;
	if (milliseconds < 0)
		loop_timer_stop(client->timer);
	else
		loop_timer_set(client->timer, (int64_t)milliseconds * 1000);
	return 0;
}

static void on_timer(void *arg)
{
	run(arg, CURL_SOCKET_TIMEOUT, 0);
}

/* ---- calls ---- */

#define SET(call, option, value) must(curl_easy_setopt((call)->easy, option, value) == CURLE_OK)

/* What is the same for every request of a handle. */
static void set_common(struct http_call *call)
{
	const struct http_client_config *config = &call->client->config;

	SET(call, CURLOPT_PRIVATE, call);
	SET(call, CURLOPT_ERRORBUFFER, call->error);
	SET(call, CURLOPT_NOSIGNAL, 1L);
	SET(call, CURLOPT_PROTOCOLS_STR, "http,https");
	SET(call, CURLOPT_FOLLOWLOCATION, 0L);
	SET(call, CURLOPT_PROXY, ""); /* not even from the environment */
	SET(call, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	SET(call, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(call, CURLOPT_SSL_VERIFYPEER, 1L);
	SET(call, CURLOPT_SSL_VERIFYHOST, 2L);
	SET(call, CURLOPT_CAINFO, NULL);
	SET(call, CURLOPT_CAPATH, NULL);
	SET(call, CURLOPT_SSL_CTX_FUNCTION, on_tls);
	SET(call, CURLOPT_SSL_CTX_DATA, call->client);
	SET(call, CURLOPT_PIPEWAIT, 1L); /* rather a stream of an HTTP/2 connection than one more of them */
	SET(call, CURLOPT_TCP_NODELAY, 1L);
	SET(call, CURLOPT_CONNECTTIMEOUT_MS, (long)(config->connect_timeout / 1000));
	SET(call, CURLOPT_MAXAGE_CONN, (long)KEEP_IDLE_SECONDS);
	SET(call, CURLOPT_MAXLIFETIME_CONN, (long)KEEP_LIFE_SECONDS);
	SET(call, CURLOPT_HEADERFUNCTION, on_header);
	SET(call, CURLOPT_HEADERDATA, call);
	SET(call, CURLOPT_WRITEFUNCTION, on_body);
	SET(call, CURLOPT_WRITEDATA, call);
	SET(call, CURLOPT_PREREQFUNCTION, on_prerequest);
	SET(call, CURLOPT_PREREQDATA, call);
}

static struct http_call *take_call(struct http_client *client)
{
	struct http_call *call = client->pool;

	if (call != NULL) {
		client->pool = call->next;
		client->n_pool--;
		return call;
	}
	call = mem_zero(sizeof(*call));
	call->client = client;
	call->head = BUF_MAX(HEADERS_BYTES_MAX);
	call->body = BUF_MAX(HTTP_CLIENT_BODY_MAX);
	call->easy = curl_easy_init();
	if (call->easy == NULL)
		die("libcurl has no memory");
	set_common(call);
	return call;
}

static void free_call(struct http_call *call)
{
	curl_easy_cleanup(call->easy);
	wipe_headers(call);
	buf_clear(&call->head);
	buf_clear(&call->body);
	free(call);
}

/* Ready for the next request; a large body's memory is given back. */
static void give_back(struct http_call *call)
{
	struct http_client *client = call->client;

	wipe_headers(call);
	SET(call, CURLOPT_HTTPHEADER, NULL);
	SET(call, CURLOPT_POSTFIELDS, NULL);
	if (client->n_pool >= POOL_MAX) {
		free_call(call);
		return;
	}
	buf_reset(&call->head);
	buf_clear(&call->body);
	call->n_head = 0;
	call->body_seen = 0;
	call->is_started = call->has_head = call->was_resent = call->is_late = false;
	call->error[0] = '\0';
	call->next = client->pool;
	client->pool = call;
	client->n_pool++;
}

static void unlink_running(struct http_call *call)
{
	struct http_client *client = call->client;

	if (call->prev != NULL)
		call->prev->next = call->next;
	else
		client->running = call->next;
	if (call->next != NULL)
		call->next->prev = call->prev;
	call->next = call->prev = NULL;
	client->n_running--;
}

static void finish(struct http_call *call, CURLcode code)
{
	struct http_answer answer = {.call = call, .is_late = call->is_late, .error = ""};
	long status = 0;

	curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
	if (call->has_head && !call->was_resent)
		answer.result = HTTP_ANSWERED;
	else
		answer.result = call->was_resent || octets_sent(call) > 0 ? HTTP_UNKNOWN : HTTP_NOT_SENT;
	if (answer.result == HTTP_ANSWERED) {
		answer.status = (unsigned)status;
		answer.body = buf_str(&call->body);
		answer.is_cut = call->body_seen > call->body.n;
		answer.is_complete = code == CURLE_OK || call->body_seen > BODY_BYTES_READ_MAX;
	}
	if (call->was_resent)
		answer.error = "the connection was closed before an answer came";
	else if (call->is_late)
		answer.error = "there was no connection in time";
	else if (code != CURLE_OK)
		answer.error = call->error[0] != '\0' ? call->error : curl_easy_strerror(code);
	curl_multi_remove_handle(call->client->multi, call->easy);
	unlink_running(call);
	call->fn(call->ctx, &answer);
	give_back(call);
}

static void run(struct http_client *client, curl_socket_t socket, int events)
{
	CURLMsg *message;
	int n;

	must(curl_multi_socket_action(client->multi, socket, events, &n) == CURLM_OK);
	while ((message = curl_multi_info_read(client->multi, &n)) != NULL) {
		struct http_call *call;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
		finish(call, message->data.result);
	}
}

static void set_method(struct http_call *call, const struct http_request *request)
{
	bool is_get = strcmp(request->method, "GET") == 0;

	if (is_get) {
		SET(call, CURLOPT_HTTPGET, 1L);
		SET(call, CURLOPT_CUSTOMREQUEST, NULL);
		return;
	}
	SET(call, CURLOPT_POST, 1L);
	SET(call, CURLOPT_CUSTOMREQUEST, strcmp(request->method, "POST") == 0 ? NULL : request->method);
	SET(call, CURLOPT_POSTFIELDS, request->body.n > 0 ? request->body.p : "");
	SET(call, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.n);
}

static void add_header(struct http_call *call, const char *line)
{
	struct curl_slist *more = curl_slist_append(call->headers, line);

	if (more == NULL)
		die("libcurl has no memory");
	call->headers = more;
}

struct http_call *http_client_start(struct http_client *client, const struct http_request *request, http_client_fn *fn,
				    void *ctx)
{
	struct http_call *call = take_call(client);

	call->fn = fn;
	call->ctx = ctx;
	call->begin_before = request->begin_before;
	for (unsigned i = 0; i < request->n_headers; i++)
		add_header(call, request->headers[i]);
	/* Waiting for "100 Continue" would cost a round trip and helps nobody here. */
	add_header(call, "Expect:");
	SET(call, CURLOPT_URL, request->url);
	SET(call, CURLOPT_HTTPHEADER, call->headers);
	SET(call, CURLOPT_TIMEOUT_MS, (long)(request->timeout / 1000));
	set_method(call, request);
	call->next = client->running;
	if (call->next != NULL)
		call->next->prev = call;
	client->running = call;
	client->n_running++;
	must(curl_multi_add_handle(client->multi, call->easy) == CURLM_OK);
	return call;
}

void http_client_cancel(struct http_call **call)
{
	struct http_call *c = *call;

	*call = NULL;
	if (c == NULL)
		return;
	curl_multi_remove_handle(c->client->multi, c->easy);
	unlink_running(c);
	give_back(c);
}

unsigned http_client_count(const struct http_client *client)
{
	return client->n_running;
}

bool http_client_header_at(const struct http_answer *answer, const char *name, unsigned n, struct str *value)
{
	struct str wanted = str_of(name);
	struct str rest = buf_str(&answer->call->head), line;

	while (rest.n > 0) {
		line = str_first(rest, str_find(rest, '\0'));
		rest = str_from(rest, line.n + 1);
		if (line.n > wanted.n && line.p[wanted.n] == ':' && str_istarts(line, wanted) && n-- == 0) {
			*value = str_trim(str_from(line, wanted.n + 1));
			return true;
		}
	}
	return false;
}

struct str http_client_header(const struct http_answer *answer, const char *name)
{
	struct str value = {NULL, 0};

	http_client_header_at(answer, name, 0, &value);
	return value;
}

struct http_client *http_client_new(struct loop *loop, const struct http_client_config *config)
{
	struct http_client *client = mem_zero(sizeof(*client));

	client->loop = loop;
	client->config = *config;
	client->timer = loop_timer_new(loop, on_timer, client);
	client->multi = curl_multi_init();
	if (client->multi == NULL)
		die("cannot start libcurl");
	curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
	curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_timer_wanted);
	curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
	curl_multi_setopt(client->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
	curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)config->max_connections);
	return client;
}

void http_client_free(struct http_client **client)
{
	struct http_client *c = *client;

	if (c == NULL)
		return;
	while (c->running != NULL) {
		struct http_call *call = c->running;

		curl_multi_remove_handle(c->multi, call->easy);
		unlink_running(call);
		free_call(call);
	}
	while (c->pool != NULL) {
		struct http_call *call = c->pool;

		c->pool = call->next;
		free_call(call);
	}
	curl_multi_cleanup(c->multi);
	loop_timer_free(&c->timer);
	mem_free(client);
}
