/* SPDX-License-Identifier: Apache-2.0
 *
 * The fields stand at the head of the message, before Received: nobody on its way has seen them there.
 */
#include "qmgr/qmgr_redirect.h"

#include "lib/base/fd.h"
#include "lib/base/trouble.h"

/* Of all the fields; the rest is only counted. */
enum { FIELDS_MAX = 32768 };

static void put_fields(struct buf *out, const struct ipc_message *m)
{
	for (unsigned i = 0; i < m->n_recipients; i++) {
		if (out->n > FIELDS_MAX) {
			buf_printf(out, "X-Original-To: and %u more\r\n", m->n_recipients - i);
			return;
		}
		buf_put_text(out, "X-Original-To: ");
		/* A row of the table is not trusted to be free of line ends. */
		for (size_t at = 0; at < m->recipients[i].n; at++) {
			unsigned char c = (unsigned char)m->recipients[i].p[at];

			buf_put_char(out, c < ' ' || c == 0x7f ? '?' : (char)c);
		}
		buf_put_text(out, "\r\n");
	}
}

static int file_of(struct str fields, struct str content)
{
	int fd = fd_memfile("message");

	if (!fd_write_all(fd, fields.p, fields.n) || !fd_write_all(fd, content.p, content.n))
		die("memfd: no room for a message of %zu bytes", fields.n + content.n);
	fd_seal(fd);
	return fd;
}

int qmgr_redirect(const char *to, struct ipc_message *m, int fd, struct buf *content)
{
	static struct str recipient;
	struct str old = m->content;
	int out = -1;

	put_fields(content, m);
	if (fd >= 0) {
		old = str_bytes(fd_map(fd, m->size), m->size);
		if (old.p == NULL)
			die("mmap: a message of %u bytes", m->size);
	}
	m->size += (uint32_t)content->n;
	if (m->size > IPC_INLINE_MAX) {
		out = file_of(buf_str(content), old);
		m->content = STR("");
	} else {
		buf_put_str(content, old);
		m->content = buf_str(content);
	}
	if (fd >= 0)
		fd_unmap(old.p, old.n);
	recipient = str_of(to);
	m->recipients = &recipient;
	m->n_recipients = 1;
	m->is_utf8 = m->is_utf8 || !str_is_ascii(recipient);
	m->dsn = STR(""); /* it counts the recipients that it had */
	return out;
}
