/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line of test-client: one table of options, from which the parser and --help are made.
 * Called by client_main.c.
 */
#include "client/client_options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/mem.h"

enum { FILE_MAX = 128 << 20, TIMEOUT_MAX = 3600 };

struct option_state {
	struct client_options *o;
	char *secret_argument; /* the value in argv, to be overwritten */
	bool has_port, has_timeout;
};

typedef bool set_fn(struct option_state *state, const char *value, struct err *err);

struct option {
	const char *name;
	const char *value; /* what it takes, for --help; NULL: nothing */
	bool is_for_batch;
	set_fn *set;
	const char *prose;
};

static void add_text(struct client_texts *list, const char *text)
{
	list->text = mem_grow(list->text, (list->n + 1) * sizeof(*list->text));
	list->text[list->n++] = mem_text(text);
}

/* A comma inside quotes or <> belongs to the name or address. */
static bool add_addresses(struct client_texts *list, const char *value, struct err *err)
{
	struct str s = str_of(value), address;
	bool is_quoted = false;
	size_t from = 0;

	for (size_t i = 0; i <= s.n; i++) {
		if (i < s.n && s.p[i] == '"')
			is_quoted = !is_quoted;
		if (i < s.n && (s.p[i] != ',' || is_quoted))
			continue;
		struct str part = str_trim(str_first(str_from(s, from), i - from));
		char *text;

		from = i + 1;
		if (!client_message_address(part, &address))
			return err_set(err, "\"%.*s\" is not an address", STR_ARG(part));
		text = str_dup(part);
		add_text(list, text);
		free(text);
	}
	return true;
}

/* "-" is standard input. */
static bool read_file(const char *path, struct str *bytes, struct err *err)
{
	struct buf b = BUF_MAX(FILE_MAX);

	if (!fd_read_file(str_eq(str_of(path), STR("-")) ? "/dev/stdin" : path, &b, err)) {
		buf_clear_secret(&b);
		return false;
	}
	bytes->n = b.n;
	bytes->p = buf_take_text(&b);
	return true;
}

static bool set_host(struct option_state *st, const char *v, struct err *err)
{
	if (v[0] == '\0')
		return err_set(err, "a host is needed");
	st->o->server.host = v;
	return true;
}

static bool set_port(struct option_state *st, const char *v, struct err *err)
{
	uint64_t n;

	if (!str_u64(str_of(v), 1, 65535, &n))
		return err_set(err, "\"%s\" is not a port: 1..65535", v);
	st->o->server.port = (uint16_t)n;
	st->has_port = true;
	return true;
}

static bool set_tls(struct option_state *st, const char *v, struct err *err)
{
	if (str_eq(str_of(v), STR("starttls")))
		st->o->server.mode = CLIENT_SESSION_STARTTLS;
	else if (str_eq(str_of(v), STR("implicit")))
		st->o->server.mode = CLIENT_SESSION_IMPLICIT;
	else if (str_eq(str_of(v), STR("none")))
		st->o->server.mode = CLIENT_SESSION_CLEAR;
	else
		return err_set(err, "\"%s\" is none of starttls, implicit, none", v);
	return true;
}

static bool set_insecure(struct option_state *st, const char *v, struct err *err)
{
	(void)v;
	(void)err;
	st->o->is_insecure = true;
	return true;
}

static bool set_ca(struct option_state *st, const char *v, struct err *err)
{
	free((char *)st->o->ca.p);
	st->o->ca.p = NULL;
	return read_file(v, &st->o->ca, err);
}

static bool set_auth(struct option_state *st, const char *v, struct err *err)
{
	if (str_ieq(str_of(v), STR("plain")))
		st->o->server.auth = CLIENT_SESSION_AUTH_PLAIN;
	else if (str_ieq(str_of(v), STR("login")))
		st->o->server.auth = CLIENT_SESSION_AUTH_LOGIN;
	else if (str_ieq(str_of(v), STR("any")))
		st->o->server.auth = CLIENT_SESSION_AUTH_ANY;
	else
		return err_set(err, "\"%s\" is none of any, plain, login", v);
	return true;
}

static bool set_user(struct option_state *st, const char *v, struct err *err)
{
	if (v[0] == '\0' || strlen(v) > 512)
		return err_set(err, "a user name has 1 to 512 characters");
	st->o->server.user = v;
	return true;
}

static bool keep_password(struct option_state *st, const char *v, struct err *err)
{
	if (strlen(v) > 1024)
		return err_set(err, "a password has at most 1024 characters");
	mem_free_secret((char **)&st->o->server.password);
	st->o->server.password = mem_text(v);
	return true;
}

static bool set_password(struct option_state *st, const char *v, struct err *err)
{
	st->secret_argument = (char *)v; /* lies in argv */
	return keep_password(st, v, err);
}

static bool set_password_file(struct option_state *st, const char *v, struct err *err)
{
	struct str bytes;
	char *text;
	bool ok;

	if (!read_file(v, &bytes, err))
		return false;
	text = (char *)bytes.p;
	text[strcspn(text, "\r\n")] = '\0'; /* the first line */
	ok = keep_password(st, text, err);
	mem_wipe(text, bytes.n);
	free(text);
	return ok;
}

static bool set_from(struct option_state *st, const char *v, struct err *err)
{
	struct str address;

	if (!client_message_address(str_of(v), &address))
		return err_set(err, "\"%s\" is not an address", v);
	st->o->message.from = v;
	return true;
}

static bool set_to(struct option_state *st, const char *v, struct err *err)
{
	return add_addresses(&st->o->message.to, v, err);
}

static bool set_cc(struct option_state *st, const char *v, struct err *err)
{
	return add_addresses(&st->o->message.cc, v, err);
}

static bool set_subject(struct option_state *st, const char *v, struct err *err)
{
	(void)err;
	st->o->message.subject = v;
	return true;
}

static bool set_body(struct option_state *st, const char *v, struct err *err)
{
	(void)err;
	st->o->message.text = v;
	return true;
}

static bool set_html(struct option_state *st, const char *v, struct err *err)
{
	(void)err;
	st->o->message.html = v;
	return true;
}

static bool set_header(struct option_state *st, const char *v, struct err *err)
{
	if (strchr(v, ':') == NULL)
		return err_set(err, "\"%s\" is not a header field: write 'Name: value'", v);
	add_text(&st->o->message.header, v);
	return true;
}

static bool set_attach(struct option_state *st, const char *v, struct err *err)
{
	struct client_message *m = &st->o->message;
	struct client_attachment *list = (struct client_attachment *)m->attachments;
	const char *name = strrchr(v, '/');
	struct str bytes;

	if (!read_file(v, &bytes, err))
		return false;
	name = name != NULL ? name + 1 : v;
	list = mem_grow(list, (m->n_attachments + 1) * sizeof(*list));
	list[m->n_attachments++] = (struct client_attachment){
		.name = name, .type = client_message_type(name), .bytes = bytes};
	m->attachments = list;
	return true;
}

static bool set_eml(struct option_state *st, const char *v, struct err *err)
{
	free((char *)st->o->eml.p);
	st->o->eml.p = NULL;
	return read_file(v, &st->o->eml, err);
}

static bool set_timeout(struct option_state *st, const char *v, struct err *err)
{
	uint64_t n;
	struct str s = str_of(v);

	if (str_ends(s, STR("s")))
		s.n--;
	if (!str_u64(s, 1, TIMEOUT_MAX, &n))
		return err_set(err, "\"%s\" is not a number of seconds: 1..%d", v, TIMEOUT_MAX);
	st->o->server.timeout = (int64_t)n * CLOCK_SECOND;
	return true;
}

static bool set_hello(struct option_state *st, const char *v, struct err *err)
{
	if (v[0] == '\0' || strlen(v) > 255 || strpbrk(v, " \r\n") != NULL)
		return err_set(err, "\"%s\" is not a host name", v);
	st->o->server.hello = v;
	return true;
}

static bool set_verbose(struct option_state *st, const char *v, struct err *err)
{
	(void)v;
	(void)err;
	st->o->is_verbose = true;
	return true;
}

static bool set_json(struct option_state *st, const char *v, struct err *err)
{
	(void)v;
	(void)err;
	st->o->is_json = true;
	return true;
}

static bool set_count(struct option_state *st, const char *v, struct err *err)
{
	return str_u64(str_of(v), 1, 100000000, &st->o->count) ||
	       err_set(err, "\"%s\" is not a number of messages: 1..100000000", v);
}

static bool set_rate(struct option_state *st, const char *v, struct err *err)
{
	char *stop;

	errno = 0;
	st->o->rate = strtod(v, &stop);
	if (*v == '\0' || *stop != '\0' || errno != 0 || !(st->o->rate >= 0 && st->o->rate <= 1e6))
		return err_set(
			err,
			"\"%s\" is not a number of messages a second: 0..1000000, 0 for no limit",
			v);
	return true;
}

static bool set_connections(struct option_state *st, const char *v, struct err *err)
{
	return str_u64(str_of(v), 1, 10000, &st->o->connections) ||
	       err_set(err, "\"%s\" is not a number of connections: 1..10000", v);
}

static bool set_per_connection(struct option_state *st, const char *v, struct err *err)
{
	(void)v;
	(void)err;
	st->o->is_per_connection = true;
	return true;
}

/* clang-format off */
static const struct option options[] = {
	{"--host", "NAME", false, set_host, "The server; localhost when not given."},
	{"--port", "N", false, set_port, "Its port; else 587, 465 with --tls implicit, 25 with --tls none."},
	{"--tls", "MODE", false, set_tls, "starttls (the default), implicit: from the first octet, or none."},
	{"--insecure", NULL, false, set_insecure, "Take any certificate. For tests only."},
	{"--ca", "FILE", false, set_ca, "Authorities to trust, as PEM, instead of the system's."},
	{"--user", "NAME", false, set_user, "Log in as this user."},
	{"--password", "TEXT", false, set_password, "Its password (see also the next, and TEST_CLIENT_PASSWORD)."},
	{"--password-file", "FILE", false, set_password_file, "Read the password from the first line of FILE, - for standard input."},
	{"--auth", "MECHANISM", false, set_auth, "any (the default: PLAIN where offered, else LOGIN), plain or login."},
	{"--from", "ADDRESS", false, set_from, "The sender; else the user, or sender@example.com."},
	{"--to", "ADDRESS", false, set_to, "A recipient; may be given again, or several with commas."},
	{"--cc", "ADDRESS", false, set_cc, "A recipient named in Cc, likewise."},
	{"--subject", "TEXT", false, set_subject, "The subject."},
	{"--body", "TEXT", false, set_body, "The text."},
	{"--html", "TEXT", false, set_html, "The text as HTML, beside or instead of --body."},
	{"--attach", "FILE", false, set_attach, "Attach a file; may be given again."},
	{"--header", "'NAME: VALUE'", false, set_header, "A further header field; may be given again."},
	{"--eml", "FILE", false, set_eml, "Send this whole message as it is, - for standard input."},
	{"--count", "N", true, set_count, "How many messages; 10 when not given."},
	{"--rate", "N", true, set_rate, "Messages a second, also less than 1; as fast as it goes when not given."},
	{"--connections", "N", true, set_connections, "Sessions at the same time; 1 when not given."},
	{"--per-connection", NULL, true, set_per_connection, "A new connection for every message."},
	{"--hello", "NAME", false, set_hello, "The name given in EHLO; the host's own when not given."},
	{"--timeout", "SECONDS", false, set_timeout, "How long to wait for each answer; 30 when not given."},
	{"--verbose", NULL, false, set_verbose, "Show the dialogue, without secrets and content, on standard error."},
	{"--json", NULL, false, set_json, "Write the result as one JSON object."},
};
/* clang-format on */

enum { N_OPTIONS = sizeof(options) / sizeof(options[0]) };

static void print_usage(FILE *to)
{
	fputs("usage: test-client send [options]    one message\n"
	      "       test-client batch [options]   many, with timings; {n} {count} {time} "
	      "{random} in subject,\n"
	      "                                     text and header are replaced\n\n",
	      to);
	for (unsigned i = 0; i < N_OPTIONS; i++)
		fprintf(to, "  %s %-*s %s%s\n", options[i].name,
			(int)(29 - strlen(options[i].name)),
			options[i].value ? options[i].value : "",
			options[i].is_for_batch ? "(batch) " : "", options[i].prose);
	fputs("\nExit status: 0 sent, 64 usage, 65 refused (5xx), 66 no such file, 69 cannot "
	      "connect, 75 try again\n"
	      "later (4xx, timeout), 76 TLS or protocol failure, 77 SMTP AUTH failed.\n",
	      to);
}

static bool __attribute__((format(printf, 2, 3))) usage(int *status, const char *format, ...)
{
	va_list args;

	fputs("test-client: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputs("; test-client --help lists the options\n", stderr);
	*status = EX_USAGE;
	return false;
}

static const struct option *find_option(struct str name)
{
	for (unsigned i = 0; i < N_OPTIONS; i++)
		if (str_eq(name, str_of(options[i].name)))
			return &options[i];
	return NULL;
}

static bool is_file_option(const struct option *option)
{
	return option->set == set_attach || option->set == set_eml || option->set == set_ca ||
	       option->set == set_password_file;
}

/* Takes argv[*at], and its value when that is the next argument. */
static bool take_option(struct option_state *st, int argc, char **argv, int *at, int *status)
{
	struct str arg = str_of(argv[*at]), name = str_first(arg, str_find(arg, '='));
	const struct option *option = find_option(name);
	const char *value = name.n < arg.n ? arg.p + name.n + 1 : NULL;
	struct err err;

	if (option == NULL)
		return usage(status, "%.*s: no such option", STR_ARG(name));
	if (option->is_for_batch && !st->o->is_batch)
		return usage(status, "%s is for batch", option->name);
	if (option->value == NULL && value != NULL)
		return usage(status, "%s takes no value", option->name);
	if (option->value != NULL && value == NULL) {
		if (*at + 1 >= argc)
			return usage(status, "%s needs a value: %s", option->name, option->value);
		value = argv[++*at];
	}
	if (option->set(st, value, &err))
		return true;
	usage(status, "%s: %s", option->name, err.text);
	if (is_file_option(option))
		*status = EX_NOINPUT;
	return false;
}

static void set_defaults(struct client_options *o, bool has_port)
{
	static const uint16_t ports[] = {587, 465, 25};
	static char host[256];
	struct client_message *m = &o->message;
	struct str address;

	if (!has_port)
		o->server.port = ports[o->server.mode];
	if (m->from == NULL)
		m->from = o->server.user != NULL &&
					  client_message_address(str_of(o->server.user), &address)
				  ? o->server.user
				  : "sender@example.com"; /* RFC 2606: nobody's */
	if (m->to.n == 0 && m->cc.n == 0)
		add_text(&m->to, "recipient@example.com");
	if (m->subject == NULL)
		m->subject = o->is_batch ? "Batch Test Email {n}" : "Test Email";
	if (m->text == NULL && m->html == NULL)
		m->text = o->is_batch ? "This is batch test email number {n}"
				      : "This is a test email";
	if (o->server.hello == NULL) {
		o->server.hello =
			gethostname(host, sizeof(host) - 1) == 0 && host[0] ? host : "localhost";
	}
}

static bool check(struct option_state *st, int *status)
{
	struct client_options *o = st->o;
	const char *from_environment = getenv("TEST_CLIENT_PASSWORD");
	struct err err;

	if (o->server.user != NULL && o->server.password == NULL && from_environment != NULL &&
	    !keep_password(st, from_environment, &err))
		return usage(status, "TEST_CLIENT_PASSWORD: %s", err.text);
	if (o->server.user != NULL && o->server.password == NULL)
		return usage(status,
			     "--user needs --password, --password-file or TEST_CLIENT_PASSWORD");
	if (o->server.user == NULL && o->server.password != NULL)
		return usage(status, "--password needs --user");
	if (o->is_insecure && o->ca.p != NULL)
		return usage(status, "--insecure and --ca contradict each other");
	return true;
}

bool client_options_parse(int argc, char **argv, struct client_options *o, int *status)
{
	struct option_state st = {.o = o};

	*o = (struct client_options){.count = 10, .connections = 1};
	o->server.host = "localhost";
	o->server.timeout = 30 * CLOCK_SECOND;
	for (int i = 1; i < argc; i++) {
		struct str arg = str_of(argv[i]);

		if (str_eq(arg, STR("--help")) || str_eq(arg, STR("-h"))) {
			print_usage(stdout);
			*status = EX_OK;
			return false;
		}
		if (str_eq(arg, STR("--version"))) {
			printf("test-client %s\n", PACKAGE_VERSION);
			*status = EX_OK;
			return false;
		}
	}
	if (argc < 2 ||
	    (!str_eq(str_of(argv[1]), STR("send")) && !str_eq(str_of(argv[1]), STR("batch"))))
		return usage(status,
			     argc < 2 ? "say what to do: send or batch"
				      : "%s: neither send nor batch",
			     argc < 2 ? "" : argv[1]);
	o->is_batch = argv[1][0] == 'b';
	for (int i = 2; i < argc; i++) {
		bool ok = take_option(&st, argc, argv, &i, status);

		/* So that a look at the process list does not show it for as long as we run. */
		if (st.secret_argument != NULL)
			mem_wipe(st.secret_argument, strlen(st.secret_argument));
		st.secret_argument = NULL;
		if (!ok)
			return false;
	}
	if (!check(&st, status))
		return false;
	set_defaults(o, st.has_port);
	return true;
}

static void clear_texts(struct client_texts *list)
{
	for (size_t i = 0; i < list->n; i++)
		free((char *)list->text[i]);
	free(list->text);
	*list = (struct client_texts){0};
}

void client_options_clear(struct client_options *o)
{
	clear_texts(&o->message.to);
	clear_texts(&o->message.cc);
	clear_texts(&o->message.header);
	for (size_t i = 0; i < o->message.n_attachments; i++)
		free((char *)o->message.attachments[i].bytes.p);
	free((void *)o->message.attachments);
	free((char *)o->eml.p);
	free((char *)o->ca.p);
	mem_free_secret((char **)&o->server.password);
}
