/* SPDX-License-Identifier: Apache-2.0
 *
 * What a provider is to us: one file (provider_NAME.c) with one `const struct provider`, and its row in
 * provider.c. build() makes a request from a message, classify() says what an answer means; both are pure
 * (values and the clock in, no I/O), so tests and fuzzers drive them as they are. deliver_job.c does the rest.
 */
#ifndef DELIVER_PROVIDER_H
#define DELIVER_PROVIDER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/ipc/ipc_body.h"
#include "lib/settings/settings.h"

struct smtp_pool;
struct aws_sources;

enum { PROVIDER_REQUEST_MAX = 64 << 20, PROVIDER_HEADERS_MAX = 16 };

/* One call: what a request is made from. All borrowed. */
struct provider_call {
	const struct settings_provider *settings;
	const struct ipc_message *message; /* its content is complete (mapped when it was large) */
	uint16_t part; /* see struct ipc_attempt */
	int64_t now; /* wall clock, microseconds */
	struct str token; /* what the provider gave us for our credentials, where it wants such; secret */
	bool wants_notes; /* request->notes is read (smtp-proxyctl explain) */
	bool is_tenants_server; /* a tenant's own credential says which */
};

/* An HTTP request. provider_request_clear() frees (and wipes: there are keys in it). */
struct provider_request {
	const char *method;
	char *url;
	char *headers[PROVIDER_HEADERS_MAX]; /* "Name: value" */
	unsigned n_headers;
	struct buf body; /* born with PROVIDER_REQUEST_MAX */
	struct buf kept; /* what classify() has to know of this call, in the provider's own terms; no secret */
	int64_t timeout; /* microseconds; 0: deliver.call_timeout */
	struct buf notes; /* a line for each thing of the message that the provider does not carry as it is */
};

/* The provider's answer, all of it borrowed. */
struct provider_answer {
	unsigned status; /* of HTTP */
	struct str body;
	/* A header's value by its name (any case), or the empty string. */
	struct str (*header)(const void *ctx, const char *name);
	const void *header_ctx;
	int64_t now; /* wall clock, microseconds: when it came */
	struct str kept; /* provider_request.kept */
};

/* What it means: an outcome without the parts that deliver_job.c knows itself. */
struct provider_verdict {
	enum ipc_outcome_class class;
	uint32_t code;
	uint32_t retry_after;
	char status[12];	/* RFC 3463: "5.1.1", or "" */
	char provider_id[256];
	char reason[512];	/* printable; never a key or content */
	enum ipc_about about;
	struct ipc_rate rate;
	struct buf refusals;	/* of ipc_put_refusal(); provider_verdict_clear() frees it */
	/* The token was not (or is no longer) good and nothing was sent: with a newer one the call is made once anew. */
	bool is_token_stale;
	bool is_dsn_passed; /* as in struct ipc_outcome */
};

enum provider_step {
	PROVIDER_STEP_ASK,    /* the request is to be made */
	PROVIDER_STEP_READ,   /* the file `source` is to be read */
	PROVIDER_STEP_DONE,   /* token and expires_at are there */
	PROVIDER_STEP_FAILED, /* the verdict says why: nothing can be sent with these settings now */
};

/* What a provider wants fetched before a request can be built: a token for a password, temporary keys. It is asked for in
 * steps, each told by the provider's fetch(); deliver_token.c takes them and keeps what comes of it. */
struct provider_fetch {
	const struct settings_provider *settings;
	const struct aws_sources *aws; /* what the environment and files said at start; NULL: nothing */
	int64_t now;		       /* wall clock, microseconds */
	unsigned step, tries;	       /* the provider's own, 0 at first; so are these two: */
	unsigned source;
	struct buf work; /* secret */
	struct buf token; /* secret */
	int64_t expires_at; /* wall clock, microseconds; INT64_MAX: never */
	struct provider_verdict verdict;
};

/* What a provider makes its calls with that does it by itself. */
struct provider_means {
	struct smtp_pool *smtp;
	int64_t timeout;      /* deliver.call_timeout */
	int64_t begin_before; /* as in struct ipc_job */
};

/* The verdict is the callee's to clear. */
typedef void provider_done_fn(void *ctx, struct provider_verdict *verdict);

struct provider {
	const char *type; /* as in settings.def */
	/* True: *request is filled in. False: the message cannot go this way (UNFIT: but perhaps another), *verdict says why. */
	bool (*build)(const struct provider_call *call, struct provider_request *request, struct provider_verdict *verdict);
	void (*classify)(const struct provider_answer *answer, struct provider_verdict *verdict);
	/* Must something be fetched before build()? Both NULL: never. */
	bool (*wants_token)(const struct settings_provider *settings);
	/* The next step. `answer` is that of the step before, NULL at first. A file that was read comes as status 200. Status
	 * 0: none came (or the file cannot be read), the body says why. Pure too. */
	enum provider_step (*fetch)(struct provider_fetch *fetch, const struct provider_answer *answer,
				    struct provider_request *request);
	/* Instead of build() and classify(), for a provider that is not spoken to by HTTP: takes a copy of what it needs of the call, and
	 * calls `done` once, perhaps before it returns. */
	void (*send)(const struct provider_means *means, const struct provider_call *call, provider_done_fn *done, void *ctx);
	/* Where there is no build(): what it changes of the message, as notes of the request. NULL: nothing. */
	void (*note)(const struct provider_call *call, struct provider_request *request);
	/* For smtp-proxyctl provider test: a call that sends no mail, and shows that the provider is there and takes the
	 * credentials. `call` has no message. As build(), with an answer of 2xx for a good one and classify() for the others;
	 * where that is not so, classify_check() sets the verdict (SENT: good) and returns true. NULL: there is none. */
	bool (*build_check)(const struct provider_call *call, struct provider_request *request, struct provider_verdict *verdict);
	bool (*classify_check)(const struct provider_answer *answer, struct provider_verdict *verdict);
	/* ... as send(). */
	void (*send_check)(const struct provider_means *means, const struct provider_call *call, provider_done_fn *done, void *ctx);
	/* As `send`, for one that answers at once. `directory`
	 * is what prepare opened for it. */
	void (*deliver)(const struct settings_provider *settings, int directory, const struct ipc_message *message,
			struct provider_verdict *verdict);
};

/* Each in its provider_NAME.c. */
extern const struct provider provider_cakemail;
extern const struct provider provider_file;
extern const struct provider provider_mailgun;
extern const struct provider provider_postmark;
extern const struct provider provider_resend;
extern const struct provider provider_sandbox;
extern const struct provider provider_sendgrid;
extern const struct provider provider_ses;
extern const struct provider provider_smtp;
extern const struct provider provider_sparkpost;

/* The provider of a settings row's type (PROVIDER_FILE, ...). Never NULL. */
const struct provider *provider_of(int type);

struct str provider_answer_header(const struct provider_answer *answer, const char *name);
/* What Retry-After asks for (RFC 9110, 10.2.3: seconds or a date), in seconds, or 0. */
uint32_t provider_answer_retry_after(const struct provider_answer *answer);
/* "Mon, 20 Dec 2021 20:33:21 GMT" (RFC 9110, 5.6.7; also UTC and +0000) as seconds from the answer on: at least 1, at
 * most a day. 0: it is no such date. */
uint32_t provider_answer_until(const struct provider_answer *answer, struct str date);
/* The provider's own limit, from the headers that tell it; `is_epoch`: the last is a time since 1970, else seconds. */
struct ipc_rate provider_answer_rate(const struct provider_answer *answer, const char *limit, const char *left,
				     const char *reset, bool is_epoch);

/* The base URL (the row's endpoint, or `fallback`) and `path` as a text that the caller frees. */
char *provider_url(const struct settings_provider *settings, const char *fallback, const char *path);

void provider_request_clear(struct provider_request *request);
void provider_request_header(struct provider_request *request, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* For a build with wants_notes; else it does nothing. One line, for people. */
void provider_request_note(const struct provider_call *call, struct provider_request *request, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Fills a verdict; the reason is made printable and cut to fit. What it says of the provider follows from class and code
 * (429: throttled; 401, 403 with PROVIDER_FAULT: the credential; other faults, TRANSIENT and UNKNOWN: it fails; the rest:
 * nothing); where that is not so, set `about` after it. Refusals come after it too. */
void provider_verdict_set(struct provider_verdict *verdict, enum ipc_outcome_class class, uint32_t code,
			  const char *status, const char *format, ...) __attribute__((format(printf, 5, 6)));
/* This recipient (its index in the call's message) fared otherwise. In the order of the recipients. */
void provider_verdict_refuse(struct provider_verdict *verdict, unsigned recipient, enum ipc_outcome_class class, uint32_t code,
			     const char *status, const char *format, ...) __attribute__((format(printf, 6, 7)));
/* The table of what providers take (settings_provider.def): true when the message has no more recipients and octets and
 * no other recipients' addresses than this one takes; else *verdict (UNFIT) says so. `name`: the provider's, for people. */
bool provider_fits(const struct provider_call *call, const char *name, struct provider_verdict *verdict);
/* Sets UNFIT, with `not sent to NAME: ` before the reason; always false. Status 5.5.3: it could carry the message for one
 * recipient at a time; then qmgr gives each a call of its own. */
bool provider_unfit(struct provider_verdict *verdict, const char *name, const char *status, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void provider_verdict_clear(struct provider_verdict *verdict);

#endif
