/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp-proxyctl explain: the way that a message would go. The requests are made by the delivery agent's own program
 * (deliver --explain), which sends nothing and hides what is secret.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl/ctl_message.h"
#include "ctl/ctl_out.h"
#include "ctl/ctl_route_table.h"
#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/mem.h"
#include "lib/ipc/ipc.h"
#include "lib/ipc/ipc_body.h"
#include "lib/settings/settings_wire.h"
#include "lib/smtp/smtp_mailbox.h"

#define COLUMNS(array) array, sizeof(array) / sizeof((array)[0])

enum {
	MESSAGE_MAX = 512 << 20,
	ADDRESSES_MAX = 65536,
	ANSWER_MAX = 600 << 20,
	SHOWN = 4096, /* of a request, unless it is wanted whole */
};

/* All that is told of a message. */
struct explained {
	struct ctl *ctl;
	struct ctl_pg *db;
	struct ctl_out *json; /* NULL: for people */
	struct uuid tenant;
	struct str content;
	struct buf sender, recipients; /* what the strs below borrow from */
	struct str from;
	struct str to[IPC_RECIPIENTS_MAX];
	unsigned n_to;
	bool is_whole;
};

/* The values of a header's fields of this name, on one line each with a comma between. */
static void read_field(struct str content, struct str name, struct buf *out)
{
	struct str line = STR("");
	bool is_in = false;

	while (str_next(&content, '\n', &line)) {
		size_t colon = str_find(line, ':');

		if (str_ends(line, STR("\r")))
			line.n--;
		if (line.n == 0)
			return;
		if (line.p[0] != ' ' && line.p[0] != '\t') {
			is_in = str_ieq(str_trim(str_first(line, colon)), name);
			line = str_from(line, colon + 1);
			if (is_in && out->n > 0)
				buf_put_char(out, ',');
		}
		if (is_in)
			buf_put_str(out, line);
	}
}

/* The addresses of a field, blanks between. */
static void read_addresses(struct str content, const char *name, struct buf *out)
{
	struct buf value = BUF_MAX(ADDRESSES_MAX), found = BUF_MAX(ADDRESSES_MAX);

	read_field(content, str_of(name), &value);
	if (value.n > 0 && !smtp_mailbox_list(buf_str(&value), &found))
		ctl_warn("the field %s is not quite a list of addresses", name);
	if (found.n > 0 && out->n > 0)
		buf_put_char(out, ' ');
	buf_put_str(out, buf_str(&found));
	buf_clear(&value);
	buf_clear(&found);
}

static void add_recipient(struct explained *e, struct str address)
{
	for (unsigned i = 0; i < e->n_to; i++)
		if (str_eq(e->to[i], address))
			return;
	if (e->n_to == IPC_RECIPIENTS_MAX)
		ctl_fail(EX_DATAERR, "more than %d recipients", IPC_RECIPIENTS_MAX);
	e->to[e->n_to++] = address;
}

/* From the command line, or else from the message. */
static void take_envelope(struct explained *e, const char *sender)
{
	struct str rest, one = STR("");
	const char *text;

	e->sender = e->recipients = BUF_MAX(ADDRESSES_MAX);
	while ((text = ctl_optional(e->ctl)) != NULL)
		add_recipient(e, str_of(text));
	ctl_end(e->ctl);
	if (sender == NULL)
		read_addresses(e->content, "From", &e->sender);
	else
		buf_put_text(&e->sender, sender);
	e->from = str_first(buf_str(&e->sender), str_find(buf_str(&e->sender), ' '));
	if (e->n_to > 0)
		return;
	read_addresses(e->content, "To", &e->recipients);
	read_addresses(e->content, "Cc", &e->recipients);
	read_addresses(e->content, "Bcc", &e->recipients);
	rest = buf_str(&e->recipients);
	while (rest.n > 0 && str_next(&rest, ' ', &one))
		if (one.n > 0)
			add_recipient(e, one);
	if (e->n_to == 0)
		ctl_fail(EX_DATAERR, "the message names no recipient in To, Cc or Bcc; name them behind the file");
}

static void find_program(const struct settings *settings, char path[PATH_MAX])
{
	const char *dir = settings->instance.program_dir[0] != '\0' ? settings->instance.program_dir : SMTP_PROXY_LIBEXECDIR;
	struct stat st;

	snprintf(path, PATH_MAX, "%s/deliver", dir);
	/* A build tree has a folder of this name, and the program in it. */
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		snprintf(path, PATH_MAX, "%s/deliver/deliver", dir);
	if (access(path, X_OK) < 0)
		ctl_fail(EX_UNAVAILABLE, "cannot run %s", path);
}

/* Runs deliver --explain on these bytes; what it writes. */
static void ask_deliver(const char *path, struct str input, struct buf *answer)
{
	int in[2], out[2], status;
	char part[65536];
	ssize_t n;
	pid_t pid;

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		ctl_fail(EX_OSERR, "cannot start %s", path);
	if (pid == 0) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		execl(path, path, "--explain", (char *)NULL);
		_exit(EX_UNAVAILABLE);
	}
	fd_close(&in[0]);
	fd_close(&out[1]);
	/* It reads all before it says a word. */
	if (!fd_write_all(in[1], input.p, input.n))
		ctl_fail(EX_UNAVAILABLE, "%s does not read what it is asked", path);
	fd_close(&in[1]);
	while ((n = read(out[0], part, sizeof(part))) > 0)
		buf_put(answer, part, (size_t)n);
	fd_close(&out[0]);
	if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		ctl_fail(EX_SOFTWARE, "%s ended without an answer", path);
}

static void read_credential(struct explained *e, const char *provider, struct buf *out)
{
	struct pg_params *p = pg_params_new();
	const struct pg_result *r;

	pg_put_uuid(p, &e->tenant);
	pg_put_text(p, str_of(provider));
	r = ctl_pg_run(e->db, "SELECT sealed FROM provider_credential WHERE tenant_id = $1::uuid AND provider = $2::text", p);
	if (pg_rows(r) == 1)
		buf_put_str(out, pg_text(r, 0, 0));
	pg_params_free(&p);
}

/* What this provider would be sent, for these recipients. */
static void explain_request(struct explained *e, const char *provider, const struct str *to, unsigned n_to, struct buf *answer)
{
	struct buf settings = BUF_MAX(SETTINGS_WIRE_MAX), job = BUF_MAX(IPC_BODY_MAX), all = BUF_MAX(MESSAGE_MAX + (1 << 20));
	struct buf credential = BUF_MAX(IPC_CREDENTIAL_MAX);
	bool is_large = e->content.n > IPC_INLINE_MAX;
	struct ipc_job asked = {.attempt = 1, .provider = str_of(provider)};
	char path[PATH_MAX];

	read_credential(e, provider, &credential);
	asked.credential = buf_str(&credential);
	asked.message = (struct ipc_message){
		.id = uuid_new(clock_wall()),
		.tenant = e->tenant,
		.session = STR("explain"),
		.client = STR("127.0.0.1"),
		.helo = STR("localhost"),
		.mail_from = e->from,
		.recipients = to,
		.n_recipients = n_to,
		.is_8bit = true,
		.is_utf8 = true,
		.mail_at = clock_wall(),
		.received_at = clock_wall(),
		.size = (uint32_t)e->content.n,
		.content = is_large ? STR("") : e->content,
	};
	find_program(ctl_settings(e->ctl), path);
	settings_wire_put(ctl_settings(e->ctl), ROLE_DELIVER, &settings);
	ipc_put_job(&job, &asked);
	buf_put_blob(&all, buf_str(&settings));
	buf_put_blob(&all, buf_str(&job));
	buf_put_blob(&all, is_large ? e->content : STR(""));
	if (settings.is_full || job.is_full || all.is_full)
		ctl_fail(EX_DATAERR, "the message is too large");
	ask_deliver(path, buf_str(&all), answer);
	buf_clear_secret(&settings);
	buf_clear_secret(&all);
	buf_clear(&job);
	buf_clear(&credential);
}

/* Without the control characters that a message may bring to a terminal. */
static void print_text(struct str text)
{
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		putchar((c < ' ' && c != '\n') || c == 0x7f ? '?' : c);
	}
}

static void put_list(struct buf *out, const struct str *to, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		buf_printf(out, "%s%.*s", i > 0 ? " " : "", STR_ARG(to[i]));
}

static void tell(struct explained *e, const struct str *to, unsigned n_to, int32_t position, const struct route_target *target,
		 enum route_word word, struct str answer)
{
	struct buf list = BUF_MAX(ADDRESSES_MAX * 8);
	size_t shown = e->is_whole || answer.n < SHOWN ? answer.n : SHOWN;

	put_list(&list, to, n_to);
	if (e->json != NULL) {
		ctl_out_str(e->json, buf_str(&list));
		if (position != 0)
			ctl_out_int(e->json, position);
		else
			ctl_out_null(e->json);
		ctl_out_int(e->json, target->tier + 1);
		ctl_out_text(e->json, target->provider);
		ctl_out_int(e->json, target->weight);
		ctl_out_text(e->json, route_word_text(word));
		ctl_out_str(e->json, answer);
	} else {
		printf("\n%s (tier %u, weight %u): %s\n", target->provider, target->tier + 1U, target->weight, route_word_text(word));
		print_text(str_first(answer, shown));
		if (shown < answer.n)
			printf("... %zu octets more (--whole shows them)\n", answer.n - shown);
	}
	buf_clear(&list);
}

/* Up or down is qmgr's to know: see smtp-proxyctl provider list. */
static bool is_up(void *ctx, unsigned provider)
{
	(void)ctx, (void)provider;
	return true;
}

static void explain_route(struct explained *e, const struct ctl_route_table *table, unsigned number, const struct str *to, unsigned n_to,
			  const struct route_load *load)
{
	bool is_plain = number >= table->n;
	const struct route *route = &table->route[is_plain ? table->n : number];
	int32_t position = is_plain ? 0 : table->position[number];
	struct route_choice choice = route_choose(route, ctl_settings(e->ctl), load, is_up, NULL, 0);
	struct buf list = BUF_MAX(ADDRESSES_MAX * 8);

	put_list(&list, to, n_to);
	if (e->json == NULL && is_plain)
		printf("By the tenant's provider, to %.*s\n", STR_ARG(buf_str(&list)));
	else if (e->json == NULL)
		printf("By route %d, to %.*s\n", position, STR_ARG(buf_str(&list)));
	if (route->n_targets == 0)
		ctl_fail(EX_CONFIG, "neither the tenant nor queue.default_provider names a provider");
	for (unsigned i = 0; i < route->n_targets; i++) {
		struct buf answer = BUF_MAX(ANSWER_MAX);

		if (route->target[i].index >= 0)
			explain_request(e, route->target[i].provider, to, n_to, &answer);
		tell(e, to, n_to, position, &route->target[i], choice.word[i], buf_str(&answer));
		buf_clear(&answer);
	}
	buf_clear(&list);
}

/* Each group of recipients that goes one way. */
static void explain_all(struct explained *e, const struct ctl_route_table *table, const struct uuid *user)
{
	static uint16_t number[IPC_RECIPIENTS_MAX];
	static struct str group[IPC_RECIPIENTS_MAX];
	struct route_message m = {
		.mail_from = e->from, .recipients = e->to, .n_recipients = e->n_to, .user = *user, .content = e->content};
	struct route_load load = {.size = (int64_t)e->content.n, .has_utf8 = route_is_beyond_ascii(&m)};

	route_group(table->route, table->n, &m, number);
	for (unsigned i = 0; i < e->n_to; i++) {
		unsigned n = 0;
		bool is_told = false;

		for (unsigned k = 0; k < e->n_to; k++) {
			is_told |= number[k] == number[i] && k < i;
			if (number[k] == number[i])
				group[n++] = e->to[k];
		}
		if (!is_told)
			explain_route(e, table, number[i], group, n, &load);
	}
}

/* What holds for all of the tenant's mail. */
static void warn_of_tenant(struct explained *e)
{
	struct pg_params *p = pg_params_new();
	const struct pg_result *r;

	pg_put_uuid(p, &e->tenant);
	r = ctl_pg_run(e->db, "SELECT is_test, redirect_to FROM tenant WHERE tenant_id = $1::uuid", p);
	if (pg_bool(r, 0, 0))
		ctl_warn("the tenant is in test mode: nothing leaves, whatever is shown here");
	if (pg_text(r, 0, 1).n > 0)
		ctl_warn("all of the tenant's mail goes to %.*s instead", STR_ARG(pg_text(r, 0, 1)));
	pg_params_free(&p);
}

static struct uuid find_user(struct explained *e, const char *name)
{
	struct pg_params *p = pg_params_new();
	struct uuid user = {{0}};
	const struct pg_result *r;

	pg_put_uuid(p, &e->tenant);
	pg_put_text(p, str_of(name));
	if (name != NULL) {
		r = ctl_pg_run(e->db, "SELECT user_id FROM smtp_user WHERE tenant_id = $1::uuid AND name = $2::text", p);
		if (pg_rows(r) == 0)
			ctl_fail(EX_DATAERR, "%s: the tenant has no such user (smtp-proxyctl user list shows them)", name);
		user = pg_uuid(r, 0, 0);
	}
	pg_params_free(&p);
	return user;
}

int ctl_explain_message(struct ctl *ctl)
{
	static const struct ctl_out_column columns[] = {{"recipients", "RECIPIENTS"}, {"route", "ROUTE"},   {"tier", "TIER"},
							{"provider", "PROVIDER"},     {"weight", "WEIGHT"}, {"verdict", "VERDICT"},
							{"explanation", "EXPLANATION"}};
	static struct explained e;
	const char *tenant = ctl_option(ctl, "--tenant"), *user_name = ctl_option(ctl, "--user");
	const char *sender = ctl_option(ctl, "--sender");
	struct buf content = BUF_MAX(MESSAGE_MAX);
	struct ctl_route_table *table;
	struct uuid user;
	const char *file;
	struct err err;

	e = (struct explained){.ctl = ctl, .is_whole = ctl_flag(ctl, "--whole")};
	file = ctl_argument(ctl, "the message's file");
	if (tenant == NULL)
		ctl_usage(ctl, "--tenant is needed");
	if (!fd_read_file(file, &content, &err))
		ctl_fail(EX_NOINPUT, "%s", err.text);
	e.content = buf_str(&content);
	take_envelope(&e, sender);
	e.db = ctl_pg_open(ctl);
	e.tenant = ctl_message_tenant_named(e.db, tenant);
	user = find_user(&e, user_name);
	warn_of_tenant(&e);
	table = ctl_route_table_new(ctl, e.db, &e.tenant);
	if (ctl->is_json)
		e.json = ctl_out_new(ctl, COLUMNS(columns));
	explain_all(&e, table, &user);
	if (e.json != NULL)
		ctl_out_free(&e.json);
	ctl_route_table_free(&table);
	buf_clear(&e.sender);
	buf_clear(&e.recipients);
	buf_clear(&content);
	ctl_pg_close(&e.db);
	return EX_OK;
}
