/* SPDX-License-Identifier: Apache-2.0
 *
 * The directory is done with at once, S3 answers when it does; the owner is told when all places have answered.
 */
#include "cert-renewer/cert_backup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cert-renewer/cert_file.h"
#include "cert-renewer/s3.h"
#include "lib/aws/aws_client.h"
#include "lib/base/fd.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"

enum { WHY_MAX = 1536, URL_MAX = 4096 };

#define IN_DIRECTORY "acme.backup_directory"
#define IN_S3 "acme.backup_s3"

struct op {
	struct cert_backup *backup;
	struct op *next;
	struct loop_timer *timer;
	char name[CERT_FILE_NAME], file[CERT_FILE_NAME];
	struct buf found; /* in the directory */
	struct buf why;	  /* what went wrong so far */
	cert_backup_put_fn *put; /* one of these is NULL */
	cert_backup_get_fn *get;
	void *ctx;
};

struct cert_backup {
	struct cert_backup_config config;
	struct aws_client *aws;
	struct op *ops;
	bool is_ending;
};

/* ---- an operation ---- */

static void note(struct op *op, const char *where, const char *why)
{
	if (op->why.n > 0)
		buf_put_text(&op->why, "; ");
	buf_printf(&op->why, "%s: %s", where, why);
}

static void free_op(void *ctx)
{
	struct op *op = ctx;

	loop_timer_free(&op->timer);
	buf_clear_secret(&op->found);
	buf_clear(&op->why);
	free(op);
}

static void finish(struct op *op, struct str in_s3)
{
	struct op **at = &op->backup->ops;
	bool ok = op->why.n == 0;
	char *why;

	while (*at != op)
		at = &(*at)->next;
	*at = op->next;
	loop_later(op->backup->config.loop, free_op, op); /* its timer may be the one that rings */
	why = str_dup(buf_str(&op->why));
	if (op->put != NULL) {
		op->put(op->ctx, ok, why);
	} else {
		if (op->found.n > 0)
			op->get(op->ctx, buf_str(&op->found), IN_DIRECTORY, "");
		if (in_s3.n > 0)
			op->get(op->ctx, in_s3, IN_S3, "");
		op->get(op->ctx, STR(""), "", why);
	}
	free(why);
}

static void on_timer(void *ctx)
{
	finish(ctx, STR(""));
}

static struct op *new_op(struct cert_backup *backup, struct str name, struct str file, void *ctx)
{
	struct op *op = mem_zero(sizeof(*op));

	*op = (struct op){.backup = backup, .next = backup->ops, .ctx = ctx, .found = BUF_MAX(S3_FILE_MAX), .why = BUF_MAX(WHY_MAX)};
	must(cert_file_is_name(name) && cert_file_is_name(file) && str_copy(name, op->name, sizeof(op->name)) &&
	     str_copy(file, op->file, sizeof(op->file)));
	op->timer = loop_timer_new(backup->config.loop, on_timer, op);
	backup->ops = op;
	return op;
}

/* ---- the directory ---- */

static void note_errno(struct op *op, const char *what)
{
	struct err err;

	err_set(&err, "%s/%s cannot be %s: %s", op->name, op->file, what, strerror(errno));
	note(op, IN_DIRECTORY, err.text);
}

/* -1: there is nothing to be done there, or that has been noted. */
static int directory_of(struct op *op, const char *what, int open_named(int parent, struct str name))
{
	const struct cert_backup_config *config = &op->backup->config;
	int directory;

	if (config->settings->acme.backup_directory[0] == '\0')
		return -1;
	if (config->directory < 0) {
		note(op, IN_DIRECTORY, "it could not be opened at the start");
		return -1;
	}
	directory = open_named(config->directory, str_of(op->name));
	if (directory < 0 && (op->put != NULL || errno != ENOENT))
		note_errno(op, what);
	return directory;
}

static void write_file(struct op *op, struct str bytes)
{
	int directory = directory_of(op, "written", cert_file_make_directory);

	if (directory >= 0 && !cert_file_write(directory, op->file, bytes))
		note_errno(op, "written");
	fd_close(&directory);
}

static void read_file(struct op *op)
{
	int directory = directory_of(op, "read", cert_file_directory);

	if (directory >= 0 && !cert_file_read(directory, op->file, &op->found) && errno != ENOENT)
		note_errno(op, "read");
	fd_close(&directory);
}

/* ---- S3 ---- */

static void on_s3(void *ctx, const struct s3_answer *answer)
{
	struct op *op = ctx;

	if (op->backup->is_ending)
		return;
	if (!answer->ok)
		note(op, IN_S3, answer->why);
	finish(op, answer->is_there && op->get != NULL ? answer->bytes : STR(""));
}

/* False: there is nobody to ask. */
static bool wants_s3(const struct op *op, struct buf *url)
{
	const struct settings *settings = op->backup->config.settings;

	if (settings->acme.backup_s3[0] == '\0')
		return false;
	s3_url(settings, str_of(op->name), str_of(op->file), url);
	return true;
}

/* ---- for others ---- */

bool cert_backup_is_wanted(const struct cert_backup *backup)
{
	const struct settings *settings = backup->config.settings;

	return settings->acme.backup_directory[0] != '\0' || settings->acme.backup_s3[0] != '\0';
}

void cert_backup_put(struct cert_backup *backup, struct str name, struct str file, struct str bytes, cert_backup_put_fn *fn,
		     void *ctx)
{
	struct op *op = new_op(backup, name, file, ctx);
	struct buf url = BUF_MAX(URL_MAX);

	op->put = fn;
	if (bytes.n == 0 || bytes.n > S3_FILE_MAX) {
		note(op, op->file, "it is too large to be copied, or empty");
		loop_timer_set(op->timer, 0);
		return;
	}
	write_file(op, bytes);
	if (wants_s3(op, &url))
		s3_put(backup->aws, backup->config.settings, buf_str(&url), bytes, on_s3, op);
	else
		loop_timer_set(op->timer, 0);
	buf_clear(&url);
}

void cert_backup_get(struct cert_backup *backup, struct str name, struct str file, cert_backup_get_fn *fn, void *ctx)
{
	struct op *op = new_op(backup, name, file, ctx);
	struct buf url = BUF_MAX(URL_MAX);

	op->get = fn;
	read_file(op);
	if (wants_s3(op, &url))
		s3_get(backup->aws, backup->config.settings, buf_str(&url), on_s3, op);
	else
		loop_timer_set(op->timer, 0);
	buf_clear(&url);
}

struct cert_backup *cert_backup_new(const struct cert_backup_config *config)
{
	struct cert_backup *backup = mem_zero(sizeof(*backup));

	backup->config = *config;
	backup->aws = aws_client_new(config->loop, config->http, config->aws, config->settings);
	return backup;
}

void cert_backup_use_settings(struct cert_backup *backup, const struct settings *settings)
{
	backup->config.settings = settings;
	aws_client_use_settings(backup->aws, settings);
}

void cert_backup_free(struct cert_backup **backup)
{
	struct cert_backup *b = *backup;

	if (b == NULL)
		return;
	b->is_ending = true;
	aws_client_free(&b->aws);
	while (b->ops != NULL) {
		struct op *op = b->ops;

		b->ops = op->next;
		free_op(op);
	}
	mem_free(backup);
}
