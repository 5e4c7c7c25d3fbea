/* SPDX-License-Identifier: Apache-2.0
 *
 * The provider for development: writes each message into a directory as ID.eml, whole or not at all. The
 * envelope stands in front of the message as X-Envelope-From and X-Envelope-To. Writing the same message
 * again replaces the file, so a repeated attempt does no harm.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "deliver/provider.h"
#include "lib/base/fd.h"

static void put_envelope(struct buf *out, const struct ipc_message *message)
{
	buf_printf(out, "X-Envelope-From: <%.*s>\r\n", STR_ARG(message->mail_from));
	for (unsigned i = 0; i < message->n_recipients; i++)
		buf_printf(out, "%s<%.*s>", i == 0 ? "X-Envelope-To: " : ",\r\n ", STR_ARG(message->recipients[i]));
	buf_put_text(out, "\r\n");
}

/* Writes it under a name of its own, makes it durable, and gives it its real name. */
static bool write_file(int directory, const char *fresh, const char *name, struct str envelope, struct str content)
{
	int fd, error = 0;

	/* What an attempt that was cut short left: nothing that is there is ever written to. */
	if (unlinkat(directory, fresh, 0) < 0 && errno != ENOENT)
		return false;
	fd = openat(directory, fresh, FD_ONCE_NAMED, 0640);
	if (fd < 0)
		return false;
	if (!fd_write_all(fd, envelope.p, envelope.n) || !fd_write_all(fd, content.p, content.n) ||
	    fsync(fd) < 0 || renameat(directory, fresh, directory, name) < 0) {
		error = errno;
		unlinkat(directory, fresh, 0);
	}
	fd_close(&fd);
	errno = error;
	return error == 0;
}

static void deliver(const struct settings_provider *settings, int directory, const struct ipc_message *message,
		    struct provider_verdict *verdict)
{
	char id[UUID_TEXT], name[UUID_TEXT + 8], fresh[UUID_TEXT + 8];
	struct buf envelope = BUF_MAX(1 << 20);
	int error;

	uuid_format(&message->id, id);
	snprintf(name, sizeof(name), "%s.eml", id);
	snprintf(fresh, sizeof(fresh), ".%s.tmp", id);
	put_envelope(&envelope, message);
	if (directory >= 0 && write_file(directory, fresh, name, buf_str(&envelope), message->content)) {
		provider_verdict_set(verdict, IPC_OUTCOME_SENT, 0, "2.0.0", "written");
		str_copy(str_of(name), verdict->provider_id, sizeof(verdict->provider_id));
	} else {
		error = directory >= 0 ? errno : ENOENT;
		/* A full disk passes; a directory that cannot be written to waits for a person. */
		provider_verdict_set(verdict,
				     error == ENOSPC || error == EDQUOT || error == EIO || error == EMFILE ||
						     error == ENFILE
					     ? IPC_OUTCOME_TRANSIENT
					     : IPC_OUTCOME_PROVIDER_FAULT,
				     0, "4.3.1", "cannot write into %s: %s", settings->directory, strerror(error));
	}
	buf_clear(&envelope);
}

const struct provider provider_file = {.type = "file", .deliver = deliver};
