/* SPDX-License-Identifier: Apache-2.0
 *
 * Binding what the settings name, unless the socket is there already. A port that is still held by the children of a master that was killed a
 * moment ago is waited for.
 */
#include "master/master_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/settings/settings_certificate.h"
#include "master/master_inherit.h"
#include "master/master_notify.h"

enum { BACKLOG = 4096 };

/* The kernel ends a killed master's children at once; this is ample. */
static const int64_t busy_wait = 3 * CLOCK_SECOND;
static const struct timespec busy_step = {0, 20 * 1000 * 1000};

union any_address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static bool parse_address(const char *text, uint16_t port, union any_address *a, socklen_t *n)
{
	memset(a, 0, sizeof(*a));
	if (inet_pton(AF_INET, text, &a->v4.sin_addr) == 1) {
		a->v4.sin_family = AF_INET;
		a->v4.sin_port = htons(port);
		*n = sizeof(a->v4);
		return true;
	}
	if (inet_pton(AF_INET6, text, &a->v6.sin6_addr) == 1) {
		a->v6.sin6_family = AF_INET6;
		a->v6.sin6_port = htons(port);
		*n = sizeof(a->v6);
		return true;
	}
	return false;
}

static bool bind_patiently(int fd, const union any_address *a, socklen_t n, int64_t patience)
{
	int64_t until = clock_mono() + patience;

	while (bind(fd, &a->any, n) < 0 || listen(fd, BACKLOG) < 0) {
		if (errno != EADDRINUSE || clock_mono() >= until)
			return false;
		nanosleep(&busy_step, NULL);
	}
	return true;
}

static bool note_real_address(struct master_socket *s, struct err *err)
{
	union any_address a;
	socklen_t n = sizeof(a);
	const void *bytes;

	if (getsockname(s->fd, &a.any, &n) < 0)
		return err_set(err, "getsockname: %s", strerror(errno));
	bytes = a.any.sa_family == AF_INET ? (const void *)&a.v4.sin_addr : &a.v6.sin6_addr;
	inet_ntop(a.any.sa_family, bytes, s->address, sizeof(s->address));
	s->port = ntohs(a.any.sa_family == AF_INET ? a.v4.sin_port : a.v6.sin6_port);
	return true;
}

/* A machine without IPv6: everything there is. */
static int new_socket(const char *address, uint16_t port, union any_address *a, socklen_t *n)
{
	int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 && errno == EAFNOSUPPORT && strcmp(address, "::") == 0) {
		parse_address("0.0.0.0", port, a, n);
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	}
	return fd;
}

static bool bind_socket(struct master_socket *s, const char *address, uint16_t port, int64_t patience, struct err *err)
{
	union any_address a;
	socklen_t n;
	int on = 1, off = 0;

	parse_address(address, port, &a, &n);
	s->fd = new_socket(address, port, &a, &n);
	if (s->fd < 0)
		return err_set(err, "%s: socket: %s", s->name, strerror(errno));
	if (setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    (a.any.sa_family == AF_INET6 &&
	     setsockopt(s->fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0))
		return err_set(err, "%s: setsockopt: %s", s->name, strerror(errno));
	if (!bind_patiently(s->fd, &a, n, patience))
		return err_set(err, "%s: cannot listen on %s port %u: %s", s->name, address, (unsigned)port,
			       strerror(errno));
	return true;
}

/* Only what is called so is ours to keep: a socket that a .socket unit gave us is systemd's already. */
static bool is_own_name(const char *fd_name)
{
	return strcmp(fd_name, "api") == 0 || strncmp(fd_name, "listener.", 9) == 0 || strncmp(fd_name, "acme.", 5) == 0;
}

static bool open_socket(struct master_socket *s, const char *address, uint16_t port, int64_t patience,
			struct master_inherited *inherited, struct err *err)
{
	union any_address a;
	socklen_t n;
	bool is_inherited;

	if (!parse_address(address, port, &a, &n))
		return err_set(err, "%s: \"%s\" is not an IP address", s->name, address);
	s->fd = inherited != NULL ? master_inherit_find(inherited, &a.any, s->fd_name) : -1;
	is_inherited = s->fd >= 0;
	if (is_inherited)
		listen(s->fd, BACKLOG); /* whoever bound it may have thought of fewer clients */
	else if (!bind_socket(s, address, port, patience, err))
		return false;
	if (!note_real_address(s, err))
		return false;
	log_info(NULL, "master.listening", log_text("listener", s->name), log_text("address", s->address),
		 log_uint("port", s->port), log_bool("is_inherited", is_inherited));
	return true;
}

static bool open_all(struct master_listen *l, const struct settings *settings, struct master_inherited *inherited,
		     struct err *err)
{
	for (size_t i = 0; i < settings->n_listener; i++) {
		const struct settings_listener *s = &settings->listener[i];

		l->n = i + 1;
		snprintf(l->listener[i].name, sizeof(l->listener[i].name), "%s", s->key);
		snprintf(l->listener[i].fd_name, sizeof(l->listener[i].fd_name), "listener.%s", s->key);
		if (!open_socket(&l->listener[i], s->address, (uint16_t)s->port, busy_wait, inherited, err))
			return false;
	}
	snprintf(l->api.name, sizeof(l->api.name), "api");
	snprintf(l->api.fd_name, sizeof(l->api.fd_name), "api");
	return open_socket(&l->api, settings->api.address, (uint16_t)settings->api.port, busy_wait, inherited, err);
}

static void store(const struct master_socket *s)
{
	if (is_own_name(s->fd_name))
		master_notify_store(s->fd, s->fd_name);
}

static void forget(struct master_socket *s)
{
	if (s->fd >= 0 && is_own_name(s->fd_name))
		master_notify_unstore(s->fd_name);
	fd_close(&s->fd);
}

/* One try: nothing waits for it. */
static bool open_acme(struct master_socket *s, const char *name, const char *address, uint16_t port,
		      struct master_inherited *inherited, struct err *err)
{
	snprintf(s->name, sizeof(s->name), "%s", name);
	snprintf(s->fd_name, sizeof(s->fd_name), "%s", name);
	if (!open_socket(s, address, port, 0, inherited, err)) {
		fd_close(&s->fd);
		return false;
	}
	if (inherited == NULL)
		store(s);
	return true;
}

bool master_listen_acme(struct master_listen *l, const struct settings *settings, struct master_inherited *inherited,
			struct err *err)
{
	const struct {
		const char *name, *address;
		int64_t port;
		int challenge;
	} wanted[MASTER_LISTEN_ACME] = {
		[MASTER_LISTEN_HTTP_01] = {"acme.http", settings->acme.http_address, settings->acme.http_port, CHALLENGE_HTTP_01},
		[MASTER_LISTEN_TLS_ALPN_01] = {"acme.alpn", settings->acme.alpn_address, settings->acme.alpn_port,
					       CHALLENGE_TLS_ALPN_01},
	};
	bool ok = true;

	for (unsigned i = 0; i < MASTER_LISTEN_ACME; i++) {
		if (!settings_certificate_wants_port(settings, wanted[i].challenge))
			forget(&l->acme[i]);
		else if (l->acme[i].fd < 0)
			ok = open_acme(&l->acme[i], wanted[i].name, wanted[i].address, (uint16_t)wanted[i].port, inherited,
				       ok ? err : NULL) && ok;
	}
	return ok;
}

bool master_listen_open(struct master_listen *l, const struct settings *settings,
			struct master_inherited *inherited, struct err *err)
{
	memset(l, 0, sizeof(*l));
	l->api.fd = -1;
	for (size_t i = 0; i < MASTER_LISTEN_MOST; i++)
		l->listener[i].fd = -1;
	for (size_t i = 0; i < MASTER_LISTEN_ACME; i++)
		l->acme[i].fd = -1;
	if (!open_all(l, settings, inherited, err)) {
		master_listen_close(l);
		return false;
	}
	/* It is tried again later (master_challenge.c). */
	master_listen_acme(l, settings, inherited, NULL);
	/* First, since a name may be in use again. */
	master_inherit_close(inherited);
	for (size_t i = 0; i < l->n; i++)
		store(&l->listener[i]);
	store(&l->api);
	for (size_t i = 0; i < MASTER_LISTEN_ACME; i++)
		if (l->acme[i].fd >= 0)
			store(&l->acme[i]);
	return true;
}

void master_listen_close_front(struct master_listen *l)
{
	for (size_t i = 0; i < l->n; i++)
		forget(&l->listener[i]);
}

void master_listen_close(struct master_listen *l)
{
	for (size_t i = 0; i < l->n; i++)
		fd_close(&l->listener[i].fd);
	fd_close(&l->api.fd);
	for (size_t i = 0; i < MASTER_LISTEN_ACME; i++)
		fd_close(&l->acme[i].fd);
}
