/* SPDX-License-Identifier: Apache-2.0
 *
 * The same build() as for a call, and its request with all that is secret left out: of the header fields only those are
 * shown that are known to hold nothing.
 */
#include "deliver/deliver_explain.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "deliver/deliver_credential.h"
#include "deliver/mime_message.h"
#include "deliver/provider.h"
#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/ipc/ipc.h"
#include "lib/service/service_rights.h"
#include "lib/settings/settings_wire.h"

enum { INPUT_MAX = 600 << 20, SECRET_MIN = 6 };

static bool read_input(struct buf *in)
{
	char part[65536];
	ssize_t n;

	while ((n = read(STDIN_FILENO, part, sizeof(part))) > 0)
		if (!buf_put(in, part, (size_t)n))
			return false;
	return n == 0;
}

static const struct settings_provider *find(const struct settings *settings, struct str key)
{
	for (size_t i = 0; i < settings->n_provider; i++)
		if (str_eq(str_of(settings->provider[i].key), key))
			return &settings->provider[i];
	return NULL;
}

static bool is_shown(const char *line)
{
	static const char *const shown[] = {"Content-Type:", "Accept:", "X-Amz-Date:", "Idempotency-Key:", "User-Agent:"};

	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
		if (str_istarts(str_of(line), str_of(shown[i])))
			return true;
	return false;
}

/* How much of `text` is one of the provider's secrets; 0: none begins here. */
static size_t secret_length(const struct settings_provider *p, struct str text)
{
	const char *const secrets[] = {p->api_key, p->password, p->secret_access_key, p->session_token};

	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
		if (strlen(secrets[i]) >= SECRET_MIN && str_starts(text, str_of(secrets[i])))
			return strlen(secrets[i]);
	return 0;
}

static void put_without_secrets(const struct settings_provider *p, struct str text)
{
	size_t n;

	for (size_t i = 0; i < text.n; i += n > 0 ? n : 1) {
		n = secret_length(p, str_from(text, i));
		if (n > 0)
			fputs("(hidden)", stdout);
		else
			putchar(text.p[i]);
	}
	putchar('\n');
}

static void show_notes(const struct provider_request *request)
{
	struct str notes = buf_str(&request->notes), line = STR("");

	while (notes.n > 0 && str_next(&notes, '\n', &line))
		if (line.n > 0)
			printf("note: %.*s\n", STR_ARG(line));
}

static void show(const struct settings_provider *p, const struct provider_request *request)
{
	show_notes(request);
	printf("\n%s ", request->method);
	put_without_secrets(p, str_of(request->url));
	for (unsigned i = 0; i < request->n_headers; i++) {
		const char *header = request->headers[i];

		if (is_shown(header))
			put_without_secrets(p, str_of(header));
		else
			printf("%.*s: (hidden)\n", (int)strcspn(header, ":"), header);
	}
	putchar('\n');
	put_without_secrets(p, buf_str(&request->body));
}

static int explain_job(const struct settings *settings, const struct ipc_job *job)
{
	const struct settings_provider *row = find(settings, job->provider);
	struct settings_credential credential = {0};
	struct provider_request request = {.body = BUF_MAX(PROVIDER_REQUEST_MAX)};
	struct provider_verdict verdict;
	struct provider_call call;
	const struct provider *provider;
	struct err err;

	if (row == NULL)
		return EX_DATAERR;
	if (job->credential.n > 0 && !deliver_credential_open(settings, row, job, &credential, &err)) {
		printf("cannot be sent: %s\n", err.text);
		settings_credential_clear(&credential);
		return EX_OK;
	}
	call = (struct provider_call){
		.settings = job->credential.n > 0 ? &credential.provider : row,
		.message = &job->message,
		.part = job->part,
		.now = clock_wall(),
		.token = STR("(hidden)"),
		.wants_notes = true,
	};
	provider = provider_of(row->type);
	if (provider->build == NULL) {
		if (provider->note != NULL)
			provider->note(&call, &request);
		show_notes(&request);
		printf("takes the message as it is%s, for the %u recipients of the envelope\n", request.notes.n > 0 ? " else" : "",
		       job->message.n_recipients);
	} else if (provider->build(&call, &request, &verdict)) {
		show(call.settings, &request);
	} else {
		printf("cannot be sent: %s %s\n", verdict.status, verdict.reason);
		provider_verdict_clear(&verdict);
	}
	provider_request_clear(&request);
	settings_credential_clear(&credential);
	return EX_OK;
}

int deliver_explain(void)
{
	static struct str recipients[IPC_RECIPIENTS_MAX];
	struct buf in = BUF_MAX(INPUT_MAX);
	const char *host, *ca_file;
	struct settings *settings = NULL;
	struct str content;
	struct ipc_job job;
	struct reader outer, inner;
	struct err err;
	int status = EX_DATAERR;

	if (read_input(&in)) {
		outer = reader_of(buf_str(&in));
		settings = settings_wire_get(reader_blob(&outer), &err);
		inner = reader_of(reader_blob(&outer));
		content = reader_blob(&outer);
		if (settings != NULL && ipc_get_job(&inner, &job, recipients) && reader_is_done(&outer)) {
			/* A large message does not stand in the job; here there is no file beside it. */
			if (job.message.content.n == 0)
				job.message.content = content;
			mime_message_prepare();
			/* The message may be anybody's, and whoever asks is root. */
			service_rights_drop(ROLE_DELIVER, settings, &host, &ca_file);
			status = explain_job(settings, &job);
		}
	}
	settings_free(&settings);
	buf_clear_secret(&in);
	return fflush(stdout) == 0 ? status : EX_IOERR;
}
