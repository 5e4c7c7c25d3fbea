/* SPDX-License-Identifier: Apache-2.0
 *
 * The control socket from the operator's side. What master passes on from its children is checked here like
 * anything from outside: a child may have been taken over by whoever talks to it.
 */
#include "ctl/ctl_control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "lib/base/buf.h"
#include "lib/base/fd.h"

/* master itself waits up to 5 seconds for its children. */
enum { LINE_MOST = 1000, ANSWER_MOST = 32 << 20, PATIENCE_SECONDS = 15 };

/* -1: errno says why not; *address is where. */
static int connect_master(struct ctl *ctl, struct sockaddr_un *address)
{
	const struct timeval patience = {PATIENCE_SECONDS, 0};
	const char *run_dir = ctl_settings(ctl)->instance.run_dir;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (fd < 0)
		ctl_fail(EX_OSERR, "socket: %s", strerror(errno));
	if (snprintf(address->sun_path, sizeof(address->sun_path), "%s/control", run_dir) >=
	    (int)sizeof(address->sun_path))
		ctl_fail(EX_CONFIG, "instance.run_dir is too long for a socket in it");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
		ctl_fail(EX_OSERR, "setsockopt: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *)address, sizeof(*address)) < 0)
		fd_close(&fd);
	return fd;
}

static bool send_line(int fd, const char *line)
{
	size_t n = strlen(line);

	if (n > LINE_MOST || strchr(line, '\n') != NULL)
		ctl_fail(EX_USAGE, "the arguments are too long, or have a line feed in them");
	return send(fd, line, n, MSG_NOSIGNAL) == (ssize_t)n && send(fd, "\n", 1, MSG_NOSIGNAL) == 1;
}

static void receive(int fd, struct buf *text)
{
	ssize_t got;

	do {
		char *room = buf_room(text, 65536);

		if (room == NULL)
			ctl_fail(EX_PROTOCOL, "smtp-proxy's answer is too long");
		got = recv(fd, room, 65536, 0);
		if (got > 0)
			buf_added(text, (size_t)got);
	} while (got > 0);
	buf_put_char(text, '\0');
}

/* Over the connection, which is ended. NULL: nothing that is understood came back. */
static struct json_object *ask(int fd, const char *line)
{
	struct buf text = BUF_MAX(ANSWER_MOST);
	struct json_object *answer = NULL;

	if (send_line(fd, line)) {
		receive(fd, &text);
		answer = json_tokener_parse(text.p);
	}
	fd_close(&fd);
	buf_clear(&text);
	if (json_object_is_type(answer, json_type_object))
		return answer;
	json_object_put(answer);
	return NULL;
}

struct json_object *ctl_control_try(struct ctl *ctl, const char *line)
{
	struct sockaddr_un address;
	int fd = connect_master(ctl, &address);

	return fd < 0 ? NULL : ask(fd, line);
}

struct json_object *ctl_control_ask(struct ctl *ctl, const char *line)
{
	struct sockaddr_un a;
	struct json_object *answer;
	int fd = connect_master(ctl, &a);

	if (fd < 0 && (errno == EACCES || errno == EPERM))
		ctl_fail(EX_NOPERM, "%s: only root, or whoever started smtp-proxy, may ask it", a.sun_path);
	if (fd < 0)
		ctl_fail(EX_UNAVAILABLE, "smtp-proxy is not running (%s: %s)", a.sun_path, strerror(errno));
	answer = ask(fd, line);
	if (answer == NULL)
		ctl_fail(EX_UNAVAILABLE, "smtp-proxy gave no answer");
	if (ctl_control_text(answer, "error")[0] != '\0')
		ctl_fail(EX_UNAVAILABLE, "%s", ctl_control_text(answer, "error"));
	return answer;
}

/* The answer comes as a text, so that no child's words can pass for master's or another child's. */
static void unwrap(struct json_object *one)
{
	struct json_object *answer = json_tokener_parse(ctl_control_text(one, "answer"));

	if (!json_object_is_type(answer, json_type_object)) {
		json_object_put(answer);
		answer = NULL;
	}
	json_object_object_add(one, "answer", answer);
}

struct json_object *ctl_control_ask_children(struct ctl *ctl, const char *line)
{
	struct json_object *answer = ctl_control_ask(ctl, line), *answers = ctl_control_part(answer, "answers");

	if (!json_object_is_type(answers, json_type_array))
		ctl_fail(EX_PROTOCOL, "smtp-proxy did not understand \"%s\": is it another version?", line);
	json_object_get(answers);
	json_object_put(answer);
	for (size_t i = 0; i < json_object_array_length(answers); i++)
		unwrap(json_object_array_get_idx(answers, i));
	return answers;
}

void ctl_control_tell(struct ctl *ctl, const char *line)
{
	struct json_object *answer;

	answer = ctl_control_ask(ctl, line);
	if (strcmp(ctl_control_text(answer, "done"), line) != 0)
		ctl_fail(EX_PROTOCOL, "smtp-proxy did not understand \"%s\": is it another version?", line);
	json_object_put(answer);
}

const char *ctl_control_text(struct json_object *o, const char *name)
{
	struct json_object *value = ctl_control_part(o, name);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
}

int64_t ctl_control_int(struct json_object *o, const char *name)
{
	return json_object_get_int64(ctl_control_part(o, name));
}

bool ctl_control_bool(struct json_object *o, const char *name)
{
	return json_object_get_boolean(ctl_control_part(o, name));
}

struct json_object *ctl_control_part(struct json_object *o, const char *name)
{
	struct json_object *value = NULL;

	if (json_object_is_type(o, json_type_object))
		json_object_object_get_ex(o, name, &value);
	return value;
}
