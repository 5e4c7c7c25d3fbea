/* SPDX-License-Identifier: Apache-2.0
 *
 * A certificate for each challenge, made when it is put, or when the answer of another host is
 * fetched; the handshake waits for that.
 */
#include "cert-renewer/challenge_alpn.h"

#include <ctype.h>
#include <stdlib.h>

#include "cert-renewer/cert_share.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/log_limit.h"
#include "lib/base/mem.h"
#include "lib/net/acceptor.h"
#include "lib/net/addr.h"
#include "lib/net/conn.h"
#include "lib/net/digest.h"
#include "lib/net/tls_acme.h"
#include "lib/net/tls_key.h"
#include "lib/net/tls_server.h"

#define VISIT_TIME (10 * CLOCK_SECOND)
#define SHARE_TIME (3 * CLOCK_SECOND)

enum {
	VISITORS_MAX = 64,
	INPUT_MAX = 512, /* nobody has anything to say */
	NAME_SIZE = 254,
	PEM_MAX = 16384,
	HOUR = 3600,
	LINES_A_SECOND = 10,
};

struct answer {
	struct answer *next;
	char *name, *token;
	struct tls_server *server;
};

struct visitor {
	struct visitor *older, *younger;
	struct challenge_alpn *alpn;
	struct conn *conn;
	char address[ADDR_TEXT];
	char name[NAME_SIZE]; /* that it wants; "" before it said */
	uint64_t asking;      /* the question to all hosts; 0: none */
};

struct challenge_alpn {
	struct loop *loop;
	struct cert_share *share;
	struct acceptor *acceptor;
	struct tls_server *server;
	struct answer *answers;
	struct visitor *oldest, *youngest;
	unsigned n_visitors;
	struct log_limit lines;
};

/* ---- answers ---- */

/* RFC 8737, 3: for the name alone, with the hash of the key authorization. NULL: it is no name. */
static struct tls_server *make_server(struct str name, struct str key_authorization,
				      struct err *err)
{
	unsigned char identifier[DIGEST_SHA256_SIZE];
	struct tls_key *key = tls_key_new(TLS_KEY_ECDSA);
	struct tls_server *server = tls_server_new(TLS_1_2);
	int64_t now = clock_wall() / CLOCK_SECOND;
	struct tls_key_self_signed wish = {&name, 1, now - HOUR, now + 24L * HOUR, identifier};
	struct buf pem = BUF_MAX(PEM_MAX);
	struct tls_certificate seen;

	digest_sha256(key_authorization, identifier);
	if (!tls_key_put_self_signed(key, &wish, &pem, err) ||
	    !tls_server_add(server, buf_str(&pem), STR(""), 0, &seen, err))
		tls_server_free(&server);
	tls_key_free(&key);
	buf_clear_secret(&pem);
	return server;
}

static const struct answer *find_answer(const struct challenge_alpn *alpn, struct str name)
{
	const struct answer *a = alpn->answers;

	while (a != NULL && !str_ieq(str_of(a->name), name))
		a = a->next;
	return a;
}

static void free_answer(struct answer *a)
{
	tls_server_free(&a->server);
	free(a->name);
	free(a->token);
	free(a);
}

bool challenge_alpn_put(struct challenge_alpn *alpn, const struct challenge *challenge,
			struct err *err)
{
	struct tls_server *server = make_server(challenge->name, challenge->key_authorization, err);
	struct answer *a;

	if (server == NULL)
		return false;
	a = mem_zero(sizeof(*a));
	*a = (struct answer){alpn->answers, str_dup(challenge->name), str_dup(challenge->token),
			     server};
	alpn->answers = a;
	return true;
}

void challenge_alpn_remove(struct challenge_alpn *alpn, const struct challenge *challenge)
{
	struct answer **at = &alpn->answers, *a;

	while (*at != NULL && !(str_eq(str_of((*at)->name), challenge->name) &&
				str_eq(str_of((*at)->token), challenge->token)))
		at = &(*at)->next;
	a = *at;
	if (a == NULL)
		return;
	*at = a->next;
	free_answer(a);
}

void challenge_alpn_share_name(struct str name, struct buf *out)
{
	buf_put_text(out, "challenge-alpn/");
	for (size_t i = 0; i < name.n; i++)
		buf_put_char(out, (char)tolower((unsigned char)name.p[i]));
}

/* ---- visitors ---- */

static void end_visitor(struct visitor *v)
{
	struct challenge_alpn *alpn = v->alpn;

	if (v->asking != 0)
		cert_share_forget(alpn->share, v->asking);
	*(v->older != NULL ? &v->older->younger : &alpn->oldest) = v->younger;
	*(v->younger != NULL ? &v->younger->older : &alpn->youngest) = v->older;
	alpn->n_visitors--;
	conn_free(&v->conn);
	free(v);
}

/* Some words for the log, few of them: strangers cause them. */
static void note(struct visitor *v, const char *result)
{
	uint64_t unsaid;

	if (log_limit_take(&v->alpn->lines, clock_mono(), LINES_A_SECOND, &unsaid))
		log_info(NULL, "challenge.alpn.visit", log_text("client", v->address),
			 log_text("name", v->name), log_text("result", result),
			 log_uint("unsaid", unsaid));
}

static void refuse(struct visitor *v)
{
	note(v, "no challenge for this name");
	conn_show(v->conn, NULL);
}

/* Another host's answer. */
static void on_shared(void *ctx, enum ipc_share_verdict verdict, struct str value)
{
	struct visitor *v = ctx;
	struct tls_server *server = NULL;

	v->asking = 0;
	if (verdict == IPC_SHARE_YES)
		server = make_server(str_of(v->name), value, NULL);
	if (server == NULL) {
		refuse(v);
		return;
	}
	conn_show(v->conn, server);
	tls_server_free(&server);
}

static void look_elsewhere(struct visitor *v)
{
	struct challenge_alpn *alpn = v->alpn;
	struct buf name = BUF_MAX(IPC_SHARE_NAME);

	challenge_alpn_share_name(str_of(v->name), &name);
	conn_set_deadline(v->conn, SHARE_TIME);
	v->asking =
		cert_share_ask(alpn->share,
			       &(struct ipc_share){.act = IPC_SHARE_GET, .name = buf_str(&name)},
			       on_shared, v);
	buf_clear(&name);
}

static void on_wanted(void *ctx, const char *host)
{
	struct visitor *v = ctx;
	const struct answer *a = find_answer(v->alpn, str_of(host));
	bool is_name = str_copy(str_of(host), v->name, sizeof(v->name));

	if (a != NULL)
		conn_show(v->conn, a->server);
	else if (is_name && str_is_printable(str_of(host)) && v->alpn->share != NULL)
		look_elsewhere(v);
	else
		refuse(v);
}

static void on_secure(void *ctx)
{
	struct visitor *v = ctx;

	note(v, "answered");
	conn_finish(v->conn); /* RFC 8737, 3: no application data */
}

static void on_input(void *ctx)
{
	struct visitor *v = ctx;

	conn_finish(v->conn);
}

static void on_deadline(void *ctx)
{
	struct visitor *v = ctx;

	if (v->asking == 0) {
		conn_finish(v->conn);
		return;
	}
	cert_share_forget(v->alpn->share, v->asking);
	v->asking = 0;
	conn_set_deadline(v->conn, VISIT_TIME);
	refuse(v);
}

static void on_end(void *ctx, const char *why)
{
	(void)why;
	end_visitor(ctx);
}

static void on_connection(void *ctx, int fd, const struct sockaddr_storage *from)
{
	static const struct conn_events events = {.on_input = on_input,
						  .on_secure = on_secure,
						  .on_deadline = on_deadline,
						  .on_end = on_end,
						  .on_wanted = on_wanted};
	struct challenge_alpn *alpn = ctx;
	struct visitor *v;

	/* Whoever holds connections without a word does not keep the authority out. */
	if (alpn->n_visitors == VISITORS_MAX)
		end_visitor(alpn->oldest);
	v = mem_zero(sizeof(*v));
	v->alpn = alpn;
	addr_text(from, v->address);
	v->older = alpn->youngest;
	*(v->older != NULL ? &v->older->younger : &alpn->oldest) = v;
	alpn->youngest = v;
	alpn->n_visitors++;
	v->conn = conn_new(alpn->loop, fd, INPUT_MAX, &events, v);
	conn_set_deadline(v->conn, VISIT_TIME);
	conn_start_tls_server(v->conn, alpn->server, TLS_ASK_NOTHING);
}

/* ---- making and ending ---- */

struct challenge_alpn *challenge_alpn_new(struct loop *loop, struct cert_share *share)
{
	struct challenge_alpn *alpn = mem_zero(sizeof(*alpn));

	alpn->loop = loop;
	alpn->share = share;
	alpn->server = tls_acme_server();
	return alpn;
}

void challenge_alpn_listen(struct challenge_alpn *alpn, int fd)
{
	acceptor_free(&alpn->acceptor);
	if (fd < 0)
		return;
	alpn->acceptor = acceptor_new(alpn->loop, fd, on_connection, alpn);
	acceptor_resume(alpn->acceptor);
}

bool challenge_alpn_is_listening(const struct challenge_alpn *alpn)
{
	return alpn->acceptor != NULL;
}

void challenge_alpn_free(struct challenge_alpn **alpn)
{
	struct challenge_alpn *a = *alpn;

	if (a == NULL)
		return;
	acceptor_free(&a->acceptor);
	while (a->oldest != NULL)
		end_visitor(a->oldest);
	while (a->answers != NULL) {
		struct answer *answer = a->answers;

		a->answers = answer->next;
		free_answer(answer);
	}
	tls_server_free(&a->server);
	mem_free(alpn);
}
