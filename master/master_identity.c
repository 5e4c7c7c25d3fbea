/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the identity. The files are the operator's, so OpenSSL may parse them in master.
 */
#include "master/master_identity.h"

#include <sys/stat.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"

/* A key that others on this host can read is no secret any more. */
static void warn_if_open(const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0 && (st.st_mode & 077) != 0)
		log_warn(NULL, "master.certificate.key_is_open", log_text("file", path),
			 log_text("advice", "chmod 600"));
}

bool master_identity_read(const struct settings *settings, struct buf *pem,
			  struct tls_certificate *certificate, struct err *err)
{
	const char *file = settings->tls.certificate_file, *key_file = settings->tls.key_file;

	if (!fd_read_file(file, pem, err))
		return false;
	if (key_file[0] != '\0') {
		buf_put_char(pem, '\n');
		if (!fd_read_file(key_file, pem, err))
			return false;
	}
	if (!tls_certificate_read(buf_str(pem), true, clock_wall() / CLOCK_SECOND, certificate, err))
		return err_wrap(err, "%s: ", file);
	warn_if_open(key_file[0] != '\0' ? key_file : file);
	return true;
}
