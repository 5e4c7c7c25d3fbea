/* SPDX-License-Identifier: Apache-2.0
 *
 * The AUTH exchange. Pure. What was decoded is wiped as soon as it was handed on.
 */
#include "smtpd/smtpd_auth.h"

#include <stdlib.h>

#include "lib/base/encode.h"
#include "lib/base/mem.h"

enum step { PLAIN, LOGIN_USER, LOGIN_PASSWORD, EXTERNAL };

struct smtpd_login {
	enum step step;
	char *user; /* LOGIN: its first answer; the others: while gate is asked */
};

static const struct str user_prompt = STR("VXNlcm5hbWU6"), password_prompt = STR("UGFzc3dvcmQ6");

void smtpd_auth_forget(struct smtpd_proto *p)
{
	if (p->login == NULL)
		return;
	free(p->login->user);
	mem_free(&p->login);
}

static void give_up(struct smtpd_proto *p, enum smtp_reply reply)
{
	smtpd_auth_forget(p);
	smtpd_proto_enter(p, SMTPD_READY);
	smtpd_proto_say(p, reply);
}

static bool is_user(struct str user)
{
	for (size_t i = 0; i < user.n; i++)
		if ((unsigned char)user.p[i] < ' ' || user.p[i] == 0x7f)
			return false;
	return user.n > 0 && user.n <= SMTPD_AUTH_USER_MAX && str_is_utf8(user);
}

static void ask(struct smtpd_proto *p, struct str user, struct str password)
{
	/* Nobody has such a name or password; a NUL would be cut off somewhere. */
	if (!is_user(user) || password.n == 0 || password.n > SMTPD_AUTH_PASSWORD_MAX ||
	    str_find(password, '\0') < password.n) {
		give_up(p, SMTP_REPLY_AUTH_FAILED);
		return;
	}
	if (p->login->user == NULL)
		p->login->user = str_dup(user);
	smtpd_proto_enter(p, SMTPD_READY);
	p->is_waiting = true;
	p->calls->authenticate(p->ctx, user, password);
}

/* authzid NUL user NUL password; the first is empty or the user again (mutt, Net::SMTP). */
static void take_plain(struct smtpd_proto *p, struct str message)
{
	struct str as, user;

	if (!str_next(&message, '\0', &as) || !str_next(&message, '\0', &user) || message.p == NULL)
		give_up(p, SMTP_REPLY_AUTH_MALFORMED);
	else if (as.n > 0 && !str_eq(as, user))
		give_up(p, SMTP_REPLY_AUTH_FAILED);
	else
		ask(p, user, message);
}

static void take_login_user(struct smtpd_proto *p, struct str user)
{
	free(p->login->user);
	p->login->user = is_user(user) ? str_dup(user) : NULL;
	p->login->step = LOGIN_PASSWORD;
	smtpd_proto_reply(p, SMTP_REPLY_AUTH_PROMPT, password_prompt);
}

/* RFC 4422, A: whom the client wants to be; empty: whom its certificate says. */
static void take_external(struct smtpd_proto *p, struct str user)
{
	if (user.n > 0 && !is_user(user)) {
		give_up(p, SMTP_REPLY_AUTH_FAILED);
		return;
	}
	p->login->user = str_dup(user);
	smtpd_proto_enter(p, SMTPD_READY);
	p->is_waiting = true;
	p->calls->authenticate_external(p->ctx, user);
}

static void take_message(struct smtpd_proto *p, struct str message)
{
	switch (p->login->step) {
	case PLAIN:
		take_plain(p, message);
		break;
	case LOGIN_USER:
		take_login_user(p, message);
		break;
	case LOGIN_PASSWORD:
		ask(p, str_of(p->login->user), message);
		break;
	case EXTERNAL:
		take_external(p, message);
		break;
	}
}

static void take_encoded(struct smtpd_proto *p, struct str text)
{
	struct buf message = BUF_MAX(SMTP_LINE_AUTH_MAX);

	/* A place of its own from the start: growing would leave copies behind. */
	if (buf_room(&message, SMTP_LINE_AUTH_MAX) != NULL && encode_from_base64(&message, text))
		take_message(p, buf_str(&message));
	else
		give_up(p, SMTP_REPLY_AUTH_MALFORMED);
	buf_clear_secret(&message);
}

void smtpd_auth_line(struct smtpd_proto *p, struct str line)
{
	line = str_trim(line);
	if (str_eq(line, STR("*")))
		give_up(p, SMTP_REPLY_AUTH_CANCELLED);
	else
		take_encoded(p, line);
}

/* False: there is no such mechanism for this client. */
static bool find_mechanism(const struct smtpd_proto *p, struct str name, enum step *step)
{
	if (str_ieq(name, STR("PLAIN")))
		*step = PLAIN;
	else if (str_ieq(name, STR("LOGIN")))
		*step = LOGIN_USER;
	else if (str_ieq(name, STR("EXTERNAL")) && p->certificate != NULL)
		*step = EXTERNAL;
	else
		return false;
	return true;
}

void smtpd_auth_command(struct smtpd_proto *p, struct str argument)
{
	size_t end = str_find(argument, ' ');
	struct str mechanism = str_first(argument, end), initial = str_trim(str_from(argument, end));
	enum step step;

	if (p->user != NULL) {
		smtpd_proto_say(p, SMTP_REPLY_ALREADY_AUTHENTICATED);
		return;
	}
	if (mechanism.n == 0) {
		smtpd_proto_reply(p, SMTP_REPLY_BAD_ARGUMENT, STR("AUTH mechanism"));
		return;
	}
	if (!find_mechanism(p, mechanism, &step)) {
		smtpd_proto_say(p, SMTP_REPLY_UNKNOWN_MECHANISM);
		return;
	}
	p->login = mem_zero(sizeof(*p->login));
	p->login->step = step;
	smtpd_proto_enter(p, SMTPD_AUTH);
	if (str_eq(initial, STR("="))) /* RFC 4954, 4: an empty initial response */
		take_message(p, STR(""));
	else if (initial.n > 0)
		smtpd_auth_line(p, initial);
	else
		smtpd_proto_reply(p, SMTP_REPLY_AUTH_PROMPT, step == LOGIN_USER ? user_prompt : STR(""));
}

static void enter(struct smtpd_proto *p, const struct ipc_auth_result *result)
{
	p->user = result->user_name.n > 0 ? str_dup(result->user_name) : p->login->user;
	if (p->user == p->login->user)
		p->login->user = NULL;
	p->user_id = result->user;
	p->tenant_id = result->tenant;
	p->tenant_name = str_dup(result->tenant_name);
	p->tenant_mode = result->mode;
	p->is_test = result->is_test;
	p->asks_recipients = result->asks_recipients;
	p->senders = str_dup(result->senders);
	smtpd_proto_say(p, SMTP_REPLY_AUTH_OK);
}

void smtpd_auth_result(struct smtpd_proto *p, const struct ipc_auth_result *result)
{
	switch (result->verdict) {
	case IPC_AUTH_OK:
		enter(p, result);
		break;
	case IPC_AUTH_BAD:
		smtpd_proto_say(p, SMTP_REPLY_AUTH_FAILED);
		break;
	case IPC_AUTH_BANNED: /* it was the last try: the answer to it, then the end */
		smtpd_proto_say(p, SMTP_REPLY_AUTH_FAILED);
		smtpd_proto_refuse(p, SMTP_REPLY_BANNED);
		break;
	default:
		smtpd_proto_say(p, SMTP_REPLY_AUTH_UNAVAILABLE);
		break;
	}
	smtpd_auth_forget(p);
}
