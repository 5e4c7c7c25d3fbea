/* SPDX-License-Identifier: Apache-2.0
 *
 * A copy is not believed because it is ours: what lies elsewhere may be old, broken or somebody else's.
 */
#include "cert-renewer/cert_restore.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"

enum { LIFE_MAX = 400 * 86400 };

struct cert_restore {
	struct cert_restore_wish wish; /* its texts are ours */
	struct str *names;
	cert_restore_fn *fn; /* NULL: forgotten */
	void *ctx;
	struct buf best;
	struct tls_certificate seen;
};

static bool has_key_type(struct str pem, enum tls_key_type type, struct err *err)
{
	struct tls_key *key = tls_key_read(pem, err);
	bool ok = key != NULL && (tls_key_is(key, type) || err_set(err, "its key is of another type"));

	tls_key_free(&key);
	return ok;
}

bool cert_restore_is_good(const struct cert_restore_wish *wish, struct str pem, int64_t now, struct tls_certificate *seen, struct err *err)
{
	if (!tls_certificate_read(pem, now, seen, err) || !tls_certificate_is_for(pem, wish->names, wish->n_names, err) ||
	    !has_key_type(pem, wish->key_type, err))
		return false;
	/* Whoever can write to the backup could have clients refused for years, for what is good is not renewed. */
	if (tls_certificate_is_self_signed(pem))
		return err_set(err, "it is signed by itself, not by an authority");
	if (seen->not_after - seen->not_before > LIFE_MAX)
		return err_set(err, "it is good for longer than 400 days, which no public authority gives");
	if (seen->not_before <= wish->newer_than)
		return err_set(err, "it is not newer");
	if (strcmp(seen->fingerprint, wish->but_not) == 0)
		return err_set(err, "it was revoked");
	return true;
}

static void end(struct cert_restore *restore)
{
	for (unsigned i = 0; i < restore->wish.n_names; i++)
		free((char *)(uintptr_t)restore->names[i].p);
	free(restore->names);
	free((char *)(uintptr_t)restore->wish.key.p);
	free((char *)(uintptr_t)restore->wish.but_not);
	buf_clear_secret(&restore->best);
	free(restore);
}

static void take(struct cert_restore *restore, struct str bytes, const char *where)
{
	struct tls_certificate seen;
	struct err err;

	if (!cert_restore_is_good(&restore->wish, bytes, clock_wall() / CLOCK_SECOND, &seen, &err)) {
		log_debug(NULL, "cert.restore.passed_over", log_str("certificate", restore->wish.key), log_text("where", where),
			  log_text("reason", err.text));
		return;
	}
	restore->wish.newer_than = seen.not_before;
	restore->seen = seen;
	buf_clear_secret(&restore->best);
	restore->best = BUF_MAX(TLS_CERTIFICATE_PEM_MAX);
	buf_put_str(&restore->best, bytes);
}

static void on_got(void *ctx, struct str bytes, const char *where, const char *why)
{
	struct cert_restore *restore = ctx;

	if (bytes.n > 0) {
		take(restore, bytes, where);
		return;
	}
	if (restore->fn != NULL)
		restore->fn(restore->ctx, buf_str(&restore->best), &restore->seen, why);
	end(restore);
}

struct cert_restore *cert_restore_start(struct cert_backup *backup, const struct cert_restore_wish *wish, cert_restore_fn *fn, void *ctx)
{
	struct cert_restore *restore = mem_zero(sizeof(*restore));

	*restore = (struct cert_restore){.wish = *wish, .fn = fn, .ctx = ctx, .best = BUF_MAX(TLS_CERTIFICATE_PEM_MAX)};
	restore->names = mem_array(wish->n_names + 1, sizeof(*restore->names));
	for (unsigned i = 0; i < wish->n_names; i++)
		restore->names[i] = str_of(str_dup(wish->names[i]));
	restore->wish.names = restore->names;
	restore->wish.key = str_of(str_dup(wish->key));
	restore->wish.but_not = mem_text(wish->but_not);
	cert_backup_get(backup, restore->wish.key, STR("tls.pem"), on_got, restore);
	return restore;
}

void cert_restore_forget(struct cert_restore **restore)
{
	if (*restore != NULL)
		(*restore)->fn = NULL;
	*restore = NULL;
}
