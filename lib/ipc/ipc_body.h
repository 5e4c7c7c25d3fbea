/* SPDX-License-Identifier: Apache-2.0
 *
 * What the frames between smtpd, gate, qmgr and deliver say, as structs, and their bytes. Both sides
 * of each conversation use these, so that a field is added in one place. The texts of a struct that
 * was read are borrowed from the frame.
 */
#ifndef LIB_IPC_IPC_BODY_H
#define LIB_IPC_IPC_BODY_H

#include "lib/base/buf.h"
#include "lib/base/uuid.h"

enum {
	IPC_INLINE_MAX = 65536, /* a larger message goes as a sealed memfd beside the frame */
	IPC_RECIPIENTS_MAX = 1000,
	IPC_DSN_MAX = 65536, /* of ipc_message.dsn */
	IPC_KEY_MAX = 256, /* of ipc_message.idempotency_key */
	IPC_CREDENTIAL_MAX = 16384,
	IPC_SESSION_TEXT = 24,
	/* In the number of an attempt: the provider's answer is the client's (a direct mode), and the message was not
	 * in the queue when the call began. */
	IPC_ATTEMPT_DIRECT = 1 << 30,
};

/* IDENTITY: a certificate with its key and chain. */
struct ipc_identity {
	uint8_t number, count; /* number 0 is for clients that name no known host; count - 1 is the last */
	struct str pem;	       /* chain and key; secret */
	struct str ocsp;       /* DER, empty when there is none */
};

/* TICKET_KEYS: of TLS_SERVER_TICKET_KEY octets each (lib/net/tls_server.h), the one in use first. */
struct ipc_ticket_keys {
	int64_t made_at;  /* the one in use; wall clock, microseconds */
	int64_t lifetime; /* of a ticket, microseconds */
	struct str keys;  /* secret */
};

/* RUN: a program that the settings name, with these arguments. */
enum ipc_program { IPC_PROGRAM_DNS_HOOK, IPC_PROGRAM_ALERT, IPC_PROGRAMS };
enum { IPC_RUN_ARGUMENTS = 8, IPC_RUN_OUTPUT = 4096 };

struct ipc_run {
	enum ipc_program program;
	unsigned n;
	struct str argument[IPC_RUN_ARGUMENTS];
};

/* RUN_RESULT. */
struct ipc_run_result {
	bool is_done;	   /* it ended with 0 */
	struct str output; /* what it said, its end when it said much, or why it could not be run */
};

/* SHARE: what all hosts share has a name, a value, and an end. */
enum ipc_share_act {
	IPC_SHARE_LOCK,	  /* takes the name, or keeps it: YES; or another host has it: NO, and the value is that host's */
	IPC_SHARE_UNLOCK, /* gives it back */
	IPC_SHARE_PUT,
	IPC_SHARE_GET, /* YES and the value; NO: there is none */
	IPC_SHARE_DELETE,
	IPC_SHARE_ACTS
};

enum { IPC_SHARE_NAME = 512, IPC_SHARE_VALUE = 4096 };

struct ipc_share {
	enum ipc_share_act act;
	struct str name;  /* "lock/example.com", "challenge/TOKEN"; at most IPC_SHARE_NAME octets */
	struct str value; /* of LOCK: who we are, for people; at most IPC_SHARE_VALUE octets, text */
	int64_t lifetime; /* microseconds: LOCK, PUT */
};

enum ipc_share_verdict {
	IPC_SHARE_YES,
	IPC_SHARE_NO,
	IPC_SHARE_ALONE,       /* nothing is shared: there is neither a database nor Redis */
	IPC_SHARE_UNAVAILABLE, /* cannot be asked now */
	IPC_SHARE_VERDICTS
};

/* SHARE_RESULT; the frame's id is that of the SHARE. */
struct ipc_share_result {
	enum ipc_share_verdict verdict;
	struct str value;
};

/* CONNECT: may a client with this address come in? Also tells a new gate of those that are in. DISCONNECT. */
struct ipc_connect {
	struct str session; /* for the log */
	struct str client;  /* the address as text: the real one behind a load balancer */
	bool is_inside;	    /* it was let in by an earlier gate: counted, no answer */
};

enum ipc_connect_verdict {
	IPC_CONNECT_OK,
	IPC_CONNECT_FULL,    /* the host's connections: 421 4.3.2 */
	IPC_CONNECT_TOO_MANY, /* from this address: 421 4.7.0 */
	IPC_CONNECT_BANNED,  /* 421 4.7.0 */
	IPC_CONNECT_VERDICTS
};

enum ipc_auth_mechanism { IPC_AUTH_PASSWORD, IPC_AUTH_EXTERNAL, IPC_AUTH_MECHANISMS };

/* AUTH: are these credentials good? */
struct ipc_auth {
	enum ipc_auth_mechanism mechanism;
	struct str session; /* for the log */
	struct str client;  /* the client's address, as text */
	struct str user;    /* EXTERNAL: the authzid, may be empty */
	struct str password; /* EXTERNAL: empty */
	struct str certificate; /* EXTERNAL: what the client's certificate says: "sha256:HEX dns:NAME email:ADDRESS", blanks between */
};

enum ipc_auth_verdict {
	IPC_AUTH_OK,
	IPC_AUTH_BAD,	      /* 535 */
	IPC_AUTH_UNAVAILABLE, /* 454: the database cannot be asked now */
	IPC_AUTH_BANNED,      /* 421: one failure too many from this address */
	IPC_AUTH_VERDICTS
};

/* How a message is taken: MODE_... of settings.h. */
enum ipc_mode { IPC_QUEUED, IPC_DIRECT, IPC_DIRECT_THEN_QUEUE, IPC_MODE_OF_LISTENER, IPC_MODES };

struct ipc_auth_result {
	enum ipc_auth_verdict verdict;
	struct uuid tenant, user; /* when OK */
	struct str tenant_name, user_name;
	struct str senders; /* the only ones it may use, blanks between; empty: any */
	enum ipc_mode mode; /* of the tenant */
	bool is_test;	    /* the user is in test mode: nothing of it leaves */
	bool asks_recipients; /* as in ipc_may_send_result, until there is one */
};

/* MAY_SEND: one mail more from this client, user and tenant. NOT_SENT: gives it back to user and tenant. */
struct ipc_may_send {
	struct str session, client;
	struct uuid tenant, user;
};

enum ipc_may_send_verdict {
	IPC_MAY_SEND_OK,
	IPC_MAY_SEND_ADDRESS, /* too many from this address: 450 4.7.1 */
	IPC_MAY_SEND_USER,    /* the user's limit is reached: 450 4.7.1 */
	IPC_MAY_SEND_TENANT,  /* the tenant's: 450 4.7.1 */
	IPC_MAY_SEND_VERDICTS
};

/* MAY_SEND_RESULT. */
struct ipc_may_send_result {
	enum ipc_may_send_verdict verdict;
	bool asks_recipients; /* the tenant suppresses addresses: each recipient is to be asked for (MAY_RECEIVE) */
};

/* MAY_RECEIVE: does the tenant suppress this recipient? */
struct ipc_may_receive {
	struct str session;
	struct uuid tenant;
	struct str recipient;
};

enum ipc_may_receive_verdict {
	IPC_MAY_RECEIVE_OK,
	IPC_MAY_RECEIVE_SUPPRESSED, /* 550 5.7.1 */
	IPC_MAY_RECEIVE_UNAVAILABLE, /* cannot be asked now; 451 */
	IPC_MAY_RECEIVE_VERDICTS
};

/* An accepted message on its way to the queue (SUBMIT) and to a provider (JOB). */
struct ipc_message {
	struct uuid id; /* version 7, made by smtpd; it stands in the Received field and in the 250 */
	struct uuid tenant, user;
	struct str session;
	struct str client;    /* address */
	struct str helo;
	struct str mail_from; /* without < >; empty for the null reverse-path */
	const struct str *recipients; /* without < >; an array that whoever fills the struct owns */
	unsigned n_recipients;
	bool is_8bit, is_utf8;	/* declared by BODY=8BITMIME, SMTPUTF8 */
	int64_t mail_at;	/* wall clock, microseconds: when MAIL was given */
	int64_t received_at;	/* when the last octet was read */
	enum ipc_mode mode;	/* not IPC_MODE_OF_LISTENER; in a JOB it says nothing */
	/* RFC 3461: MAIL's RET and ENVID, then a line for each recipient that has some: its index, its NOTIFY and ORCPT:
	 * "RET=HDRS ENVID=QQ314159\n0 NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@b.example\n". Empty when there are none. */
	struct str dsn;
	struct str idempotency_key; /* printable; empty: it has none */
	bool is_test;		/* its user is in test mode */
	uint32_t size;		/* of the message in octets */
	struct str content;	/* the message, CRLF lines; when it is over IPC_INLINE_MAX, empty: see the fd */
};

enum ipc_submit_verdict {
	IPC_SUBMIT_STORED,	/* committed: 250 */
	IPC_SUBMIT_UNAVAILABLE, /* 451: not stored */
	/* What a provider said in a direct mode: */
	IPC_SUBMIT_SENT,	 /* 250 with its id */
	IPC_SUBMIT_REFUSED,	 /* 550: for good */
	IPC_SUBMIT_RATE_LIMITED, /* 451: too much for it now */
	IPC_SUBMIT_FAILING,	 /* 451: it failed, or its account or key is not good */
	IPC_SUBMIT_UNREACHABLE,	 /* 451: no answer; it may have the message */
	IPC_SUBMIT_VERDICTS
};

/* SUBMIT_RESULT; the frame's id is that of the SUBMIT. */
struct ipc_submit_result {
	enum ipc_submit_verdict verdict;
	struct str reason;	/* for the log; REFUSED: the provider's, printable, for the client too */
	struct str provider_id; /* when SENT */
	/* That of an earlier message with the same idempotency key: this one is known under it. Zeroes: under its own. */
	struct uuid id;
};

/* JOB: one call to a provider. The frame's id is the job's number, unique in the life of a qmgr. */
struct ipc_job {
	uint32_t attempt; /* from 1 */
	uint16_t part;	  /* see struct ipc_attempt; the message's recipients are the part's only */
	struct str whom;  /* their indices in the message, of ipc_put_index(), ascending; empty: these are all of the message's.
			   * Others than the message has recipients: it goes to one address instead of to these. */
	struct str provider;
	struct str credential; /* the tenant's own for this provider, sealed; empty: those of the settings */
	bool is_test;	       /* the provider is not spoken to: the sandbox answers for it */
	int64_t begin_before;  /* monotonic: another host may have the message then, so nothing of it may leave; 0: no such time */
	struct ipc_message message;
};

/* RUNNING, JOB_LATE, OUTCOME_STORED and the journal name an attempt so. A message whose recipients do not all go by one call is sent
 * in parts, each with attempts of its own; a part's number is that of the first of its recipients. */
struct ipc_attempt {
	struct uuid message;
	uint32_t attempt;
	uint16_t part;
};

/* What became of a call (architecture, "The life of a message", 6). */
enum ipc_outcome_class {
	IPC_OUTCOME_SENT,
	IPC_OUTCOME_TRANSIENT,	    /* try again later */
	IPC_OUTCOME_PERMANENT,	    /* this message or recipient: never again */
	IPC_OUTCOME_PROVIDER_FAULT, /* key, account, configuration: not the message's fault */
	IPC_OUTCOME_UNKNOWN,	    /* the request was sent, no answer came */
	IPC_OUTCOME_UNFIT,	    /* this provider cannot carry the message (nothing was sent); another may */
	IPC_OUTCOME_CLASSES
};

/* What the outcome says of the provider's health, apart from the message. */
enum ipc_about {
	IPC_ABOUT_NOTHING,    /* it works, or was not spoken to */
	IPC_ABOUT_SENDER,     /* it refuses this sender or its domain; others may be fine */
	IPC_ABOUT_THROTTLE,   /* it works and wants less */
	IPC_ABOUT_CREDENTIAL, /* it does not take the key or the account */
	IPC_ABOUT_PROVIDER,   /* it fails */
	IPC_ABOUTS
};

/* What a provider says of its own limit with an answer; limit 0: nothing. */
struct ipc_rate {
	uint32_t limit, left; /* calls in its window; in what is left of it */
	uint32_t reset;	      /* seconds until the window ends */
};

/* A recipient that fared other than the call as a whole. */
struct ipc_refusal {
	uint16_t recipient; /* its index in the message; in a provider's verdict: among those of the call */
	/* TRANSIENT or PERMANENT. SENT: it was taken, and comes back after some seconds with these words (the sandbox's). */
	enum ipc_outcome_class class;
	uint32_t code;
	struct str status, reason;
};

struct ipc_outcome {
	struct ipc_attempt attempt;
	struct str whom; /* as in struct ipc_job: when this is heard, the row may have fewer recipients than the call had */
	enum ipc_outcome_class class;
	struct str provider;
	struct str provider_id;	  /* the provider's id of the message, when SENT */
	uint32_t code;		  /* HTTP status or SMTP reply; 0 when there was none */
	struct str status;	  /* enhanced status code (RFC 3463), "" when there is none */
	struct str reason;	  /* for people: the provider's words or the network's, printable */
	uint32_t retry_after;	  /* seconds the provider asked for; 0: it did not */
	int64_t started_at, answered_at; /* wall clock, microseconds */
	enum ipc_about about;
	struct ipc_rate rate;
	struct str refusals; /* those who fared otherwise, of ipc_put_refusal(), in the order of the recipients */
	bool is_dsn_passed;  /* when SENT: whoever has it now was asked for the delivery reports, and makes them */
};

const char *ipc_outcome_class_name(enum ipc_outcome_class class);

void ipc_put_identity(struct buf *out, const struct ipc_identity *i);
bool ipc_get_identity(struct reader *r, struct ipc_identity *i);
void ipc_put_run(struct buf *out, const struct ipc_run *run);
bool ipc_get_run(struct reader *r, struct ipc_run *run);
void ipc_put_run_result(struct buf *out, const struct ipc_run_result *result);
bool ipc_get_run_result(struct reader *r, struct ipc_run_result *result);
void ipc_put_share(struct buf *out, const struct ipc_share *share);
bool ipc_get_share(struct reader *r, struct ipc_share *share);
void ipc_put_share_result(struct buf *out, const struct ipc_share_result *result);
bool ipc_get_share_result(struct reader *r, struct ipc_share_result *result);
void ipc_put_ticket_keys(struct buf *out, const struct ipc_ticket_keys *t);
bool ipc_get_ticket_keys(struct reader *r, struct ipc_ticket_keys *t);
void ipc_put_connect(struct buf *out, const struct ipc_connect *c);
bool ipc_get_connect(struct reader *r, struct ipc_connect *c);
/* CONNECT_RESULT and MAY_RECEIVE_RESULT are one octet, below `count`. */
void ipc_put_verdict(struct buf *out, unsigned verdict);
bool ipc_get_verdict(struct reader *r, unsigned count, unsigned *verdict);
void ipc_put_may_send(struct buf *out, const struct ipc_may_send *m);
bool ipc_get_may_send(struct reader *r, struct ipc_may_send *m);
void ipc_put_may_send_result(struct buf *out, const struct ipc_may_send_result *m);
bool ipc_get_may_send_result(struct reader *r, struct ipc_may_send_result *m);
void ipc_put_may_receive(struct buf *out, const struct ipc_may_receive *m);
bool ipc_get_may_receive(struct reader *r, struct ipc_may_receive *m);
void ipc_put_auth(struct buf *out, const struct ipc_auth *a);
bool ipc_get_auth(struct reader *r, struct ipc_auth *a);
void ipc_put_auth_result(struct buf *out, const struct ipc_auth_result *a);
bool ipc_get_auth_result(struct reader *r, struct ipc_auth_result *a);

/* Reading a message stores its recipients in recipients[IPC_RECIPIENTS_MAX], which the caller gives and
 * m->recipients then points to. False: malformed, no recipient, or too many. */
void ipc_put_message(struct buf *out, const struct ipc_message *m);
bool ipc_get_message(struct reader *r, struct ipc_message *m, struct str *recipients);
void ipc_put_submit_result(struct buf *out, const struct ipc_submit_result *s);
bool ipc_get_submit_result(struct reader *r, struct ipc_submit_result *s);
void ipc_put_job(struct buf *out, const struct ipc_job *j);
bool ipc_get_job(struct reader *r, struct ipc_job *j, struct str *recipients);
/* One more of ipc_job.whom; how many there are; the i-th. */
void ipc_put_index(struct buf *out, uint16_t index);
unsigned ipc_whom_count(struct str whom);
uint16_t ipc_whom_at(struct str whom, unsigned i);
/* Ascending, each below IPC_RECIPIENTS_MAX. */
bool ipc_whom_is_good(struct str whom);
void ipc_put_attempt(struct buf *out, const struct ipc_attempt *a);
bool ipc_get_attempt(struct reader *r, struct ipc_attempt *a);
void ipc_put_outcome(struct buf *out, const struct ipc_outcome *o);
/* The refusals are checked too. */
bool ipc_get_outcome(struct reader *r, struct ipc_outcome *o);
void ipc_put_refusal(struct buf *out, const struct ipc_refusal *f);
/* The next one of ipc_outcome.refusals; false at the end (or, is_bad, when it is malformed). */
bool ipc_get_refusal(struct reader *r, struct ipc_refusal *f);

#endif
