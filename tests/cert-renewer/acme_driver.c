/* SPDX-License-Identifier: Apache-2.0
 *
 * One account at one authority, told what to do by lines on standard input; what becomes of it are lines of JSON on standard output.
 * tests/e2e/test_acme_protocol.py is at the other end: it also puts up the challenges.
 *
 *	acme_driver DIRECTORY CA_FILE KEY_FILE AGREES CONTACT EAB_KEY_ID EAB_KEY ACCOUNT
 *
 *	order KIND NAMES PROFILE REPLACES CHAIN		"-": none; NAMES with commas between, CHAIN with _ for blanks
 *	up N | not N					the N-th challenge that was to be presented is, or could not be
 *	cancel | revoke REASON | window | rollover | end
 *	take FILE			a certificate that another account ordered, and its key
 *
 * revoke and window are about the certificate of the last order, or the one that was taken since.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cert-renewer/acme.h"
#include "lib/base/fd.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/net/tls_certificate.h"

enum { LINE_MAX = 65536, CHALLENGES_MAX = 512, WORDS = 8 };

struct presented {
	challenge_fn *fn;
	void *ctx;
	char token[512];
};

/* An order under way. */
struct wished {
	struct tls_key *key;
	struct acme_order *order;
	struct wished *next;
};

struct challenges {
	struct presented all[CHALLENGES_MAX];
	unsigned n;
};

static struct driver {
	struct loop *loop;
	struct loop_fd *input;
	struct buf line;
	struct http_client *http;
	struct acme *acme;
	struct wished *wished; /* the last one first */
	struct tls_key *key, *next_key;
	const char *key_file;
	struct challenges challenges;
	struct buf chain;
	struct buf taken; /* with its key */
} d;

/* ---- what it says ---- */

static void say(struct buf *out)
{
	buf_put_text(out, "}\n");
	must(fd_write_all(STDOUT_FILENO, out->p, out->n));
	buf_clear(out);
}

static struct buf begin(const char *event)
{
	struct buf out = BUF_MAX(1 << 20);

	json_begin(&out, NULL, '{');
	json_put_text(&out, "event", str_of(event));
	return out;
}

static void put_failure(struct buf *out, const struct acme_failure *failure)
{
	if (failure == NULL)
		return;
	json_put_text(out, "why", str_of(failure->why));
	json_put_text(out, "problem", str_of(failure->problem));
	json_put_int(out, "not_before", failure->not_before);
	json_put_bool(out, "is_ours", failure->is_ours);
}

static void put_challenge(struct buf *out, const struct challenge *challenge)
{
	json_put_int(out, "kind", challenge->kind);
	json_put_text(out, "name", challenge->name);
	json_put_text(out, "token", challenge->token);
	json_put_text(out, "authorization", challenge->key_authorization);
}

/* ---- the challenges: the other end puts them up ---- */

void challenge_present(struct challenges *challenges, const struct challenge *challenge, challenge_fn *fn, void *ctx)
{
	struct presented *one = &challenges->all[challenges->n];
	struct buf out = begin("present");

	must(challenges->n < CHALLENGES_MAX);
	one->fn = fn;
	one->ctx = ctx;
	str_copy(challenge->token, one->token, sizeof(one->token));
	json_put_int(&out, "n", challenges->n++);
	put_challenge(&out, challenge);
	say(&out);
}

void challenge_withdraw(struct challenges *challenges, const struct challenge *challenge)
{
	struct buf out = begin("withdraw");

	for (unsigned i = 0; i < challenges->n; i++)
		if (str_eq(challenge->token, str_of(challenges->all[i].token)))
			challenges->all[i].fn = NULL;
	put_challenge(&out, challenge);
	say(&out);
}

static void on_up(unsigned n, bool ok)
{
	struct presented *one = &d.challenges.all[n];
	challenge_fn *fn = one->fn;

	one->fn = NULL;
	if (n < d.challenges.n && fn != NULL)
		fn(one->ctx, ok, ok ? "" : "the test does not want to");
}

/* ---- what becomes of it ---- */

static void on_account(void *ctx, struct str url)
{
	struct buf out = begin("account");

	(void)ctx;
	json_put_text(&out, "url", url);
	say(&out);
}

static void on_order(void *ctx, struct str chain, const struct acme_failure *failure)
{
	struct buf out = begin("order"), pem = BUF_MAX(65536);
	struct wished *wished = ctx;

	wished->order = NULL;
	json_put_text(&out, "chain", chain);
	put_failure(&out, failure);
	tls_key_put(wished->key, &pem);
	json_put_text(&out, "key", buf_str(&pem));
	buf_clear_secret(&pem);
	if (failure == NULL) {
		buf_reset(&d.chain);
		buf_put_str(&d.chain, chain);
	}
	say(&out);
}

static void say_done(const char *event, const struct acme_failure *failure)
{
	struct buf out = begin(event);

	put_failure(&out, failure);
	say(&out);
}

static void on_revoked(void *ctx, const struct acme_failure *failure)
{
	(void)ctx;
	say_done("revoke", failure);
}

static void on_rolled(void *ctx, const struct acme_failure *failure)
{
	(void)ctx;
	if (failure == NULL) {
		tls_key_free(&d.key);
		d.key = d.next_key;
	} else {
		tls_key_free(&d.next_key);
	}
	d.next_key = NULL;
	say_done("rollover", failure);
}

static void on_window(void *ctx, const struct acme_window *window, const struct acme_failure *failure)
{
	struct buf out = begin("window");

	(void)ctx;
	put_failure(&out, failure);
	if (window != NULL) {
		json_put_bool(&out, "is_offered", window->is_offered);
		json_put_int(&out, "start", window->start);
		json_put_int(&out, "end", window->end);
		json_put_int(&out, "ask_again_at", window->ask_again_at);
		json_put_text(&out, "explanation", str_of(window->explanation));
	}
	say(&out);
}

/* ---- what it is told ---- */

static struct str word_or_none(struct str word)
{
	return str_eq(word, STR("-")) ? STR("") : word;
}

static void order(const struct str word[WORDS])
{
	static const char *const kinds[] = {"http-01", "tls-alpn-01", "dns-01"};
	struct str names[ACME_NAMES_MAX], rest = word[2];
	struct acme_wish wish = {.names = names,
				 .profile = word_or_none(word[3]),
				 .replaces = word_or_none(word[4]),
				 .preferred_chain = word_or_none(word[5])};
	struct buf id = BUF_MAX(1024);
	char *chain = str_dup(wish.preferred_chain);
	struct wished *wished = mem_zero(sizeof(*wished));

	for (char *c = chain; *c != '\0'; c++)
		*c = *c == '_' ? ' ' : *c;
	wish.preferred_chain = str_of(chain);
	while (wish.n_names < ACME_NAMES_MAX && str_next(&rest, ',', &names[wish.n_names]))
		wish.n_names++;
	while (wish.challenge < 2 && !str_eq(word[1], str_of(kinds[wish.challenge])))
		wish.challenge++;
	if (str_eq(wish.replaces, STR("last")) && tls_certificate_put_renewal_id(buf_str(&d.chain), &id, NULL))
		wish.replaces = buf_str(&id);
	wish.key = wished->key = tls_key_new(TLS_KEY_ECDSA);
	wished->next = d.wished;
	d.wished = wished;
	wished->order = acme_order_start(d.acme, &wish, &d.challenges, on_order, wished);
	free(chain);
	buf_clear(&id);
}

static void revoke_last(struct str reason)
{
	struct buf der = BUF_MAX(65536);
	struct tls_key *key = d.taken.n > 0 ? tls_key_read(buf_str(&d.taken), NULL) : NULL;
	uint64_t number = 0;

	must(tls_certificate_put_der(buf_str(&d.chain), &der, NULL));
	str_u64(reason, 0, 99, &number);
	acme_revoke(d.acme, buf_str(&der), key, (unsigned)number, on_revoked, NULL);
	buf_clear(&der);
}

static void take(struct str file)
{
	char *path = str_dup(file);

	buf_clear_secret(&d.taken);
	d.taken = BUF_MAX(1 << 20);
	must(fd_read_file(path, &d.taken, NULL));
	buf_reset(&d.chain);
	buf_put_str(&d.chain, buf_str(&d.taken));
	free(path);
	say_done("take", NULL);
}

static void ask_for_window(void)
{
	struct buf id = BUF_MAX(1024);

	must(tls_certificate_put_renewal_id(buf_str(&d.chain), &id, NULL));
	acme_renewal_window(d.acme, buf_str(&id), on_window, NULL);
	buf_clear(&id);
}

static void obey(struct str line)
{
	struct str word[WORDS] = {{"", 0}};
	uint64_t number = 0;

	for (unsigned n = 0; n < WORDS && str_next(&line, ' ', &word[n]);)
		n++;
	if (str_eq(word[0], STR("order"))) {
		order(word);
	} else if (str_eq(word[0], STR("up")) || str_eq(word[0], STR("not"))) {
		must(str_u64(word[1], 0, CHALLENGES_MAX - 1, &number));
		on_up((unsigned)number, word[0].p[0] == 'u');
	} else if (str_eq(word[0], STR("cancel"))) {
		acme_order_cancel(&d.wished->order);
	} else if (str_eq(word[0], STR("revoke"))) {
		revoke_last(word[1]);
	} else if (str_eq(word[0], STR("take"))) {
		take(word[1]);
	} else if (str_eq(word[0], STR("window"))) {
		ask_for_window();
	} else if (str_eq(word[0], STR("rollover"))) {
		d.next_key = tls_key_new(TLS_KEY_ECDSA);
		acme_change_key(d.acme, d.next_key, on_rolled, NULL);
	} else {
		loop_stop(d.loop);
	}
}

static void on_input(void *ctx, unsigned events)
{
	char bytes[4096];
	ssize_t got = read(STDIN_FILENO, bytes, sizeof(bytes));
	size_t end;

	(void)ctx;
	(void)events;
	if (got <= 0) {
		loop_stop(d.loop);
		return;
	}
	buf_put(&d.line, bytes, (size_t)got);
	while ((end = str_find(buf_str(&d.line), '\n')) < d.line.n) {
		char *line = str_dup(str_first(buf_str(&d.line), end));

		buf_consume(&d.line, end + 1);
		obey(str_of(line));
		free(line);
	}
}

/* ---- the frame ---- */

static void read_key(void)
{
	struct buf pem = BUF_MAX(65536);

	if (fd_read_file(d.key_file, &pem, NULL)) {
		d.key = tls_key_read(buf_str(&pem), NULL);
		must(d.key != NULL);
	} else {
		d.key = tls_key_new(TLS_KEY_ECDSA);
	}
	buf_clear_secret(&pem);
}

static void write_key(void)
{
	int fd = open(d.key_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct buf pem = BUF_MAX(65536);

	tls_key_put(d.key, &pem);
	must(fd >= 0 && fd_write_all(fd, pem.p, pem.n));
	buf_clear_secret(&pem);
	fd_close(&fd);
}

int main(int argc, char **argv)
{
	struct buf ca = BUF_MAX(1 << 20);
	struct tls_client *trust;
	struct acme_config config = {.on_account = on_account};

	must(argc == 9);
	log_open("acme_driver", -1);
	log_set(LOG_FORMAT_PLAIN, LOG_LEVEL_ERROR);
	http_client_prepare();
	must(fd_read_file(argv[2], &ca, NULL));
	trust = tls_client_new(buf_str(&ca), false, TLS_1_2, NULL);
	d.key_file = argv[3];
	d.line = BUF_MAX(LINE_MAX);
	d.chain = BUF_MAX(1 << 20);
	d.loop = loop_new();
	d.http = http_client_new(d.loop,
				 &(struct http_client_config){.trust = trust, .connect_timeout = 5000000, .max_connections = 4});
	read_key();
	write_key();
	config.loop = d.loop;
	config.http = d.http;
	config.directory = argv[1];
	config.agrees = strcmp(argv[4], "yes") == 0;
	config.contact = str_of(argv[5]);
	config.eab_key_id = str_of(argv[6]);
	config.eab_key = str_of(argv[7]);
	config.account = str_of(argv[8]);
	config.key = d.key;
	d.acme = acme_new(&config);
	fd_set_nonblocking(STDIN_FILENO);
	d.input = loop_fd_new(d.loop, STDIN_FILENO, on_input, NULL);
	loop_fd_want(d.input, LOOP_READ);
	loop_run(d.loop);
	acme_free(&d.acme);
	loop_turn(d.loop, 0);
	write_key();
	http_client_free(&d.http);
	loop_fd_free(&d.input);
	loop_turn(d.loop, 0);
	loop_free(&d.loop);
	tls_client_free(&trust);
	tls_key_free(&d.key);
	tls_key_free(&d.next_key);
	while (d.wished != NULL) {
		struct wished *wished = d.wished;

		d.wished = wished->next;
		tls_key_free(&wished->key);
		free(wished);
	}
	buf_clear_secret(&d.taken);
	buf_clear(&d.chain);
	buf_clear(&d.line);
	buf_clear(&ca);
	return 0;
}
