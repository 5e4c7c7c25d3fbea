/* SPDX-License-Identifier: Apache-2.0
 *
 * The requests, and what the answers mean (Amazon S3 API Reference: PutObject, GetObject, "Error responses").
 */
#include "cert-renewer/s3.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/encode.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/settings/settings_provider_check.h"

enum { BUCKET_MAX = 63, REGION_MAX = 63, URL_MAX = 4096, HEADER_MAX = 2200, TRIES = 4 };

#define UNRESERVED "-._~" /* beside letters and digits */

struct s3_call {
	char *region; /* that was asked */
	s3_fn *fn;
	void *ctx;
};

/* ---- where ---- */

/* Also fit for a host's name. */
static bool is_bucket(struct str bucket)
{
	for (size_t i = 0; i < bucket.n; i++) {
		char c = bucket.p[i];
		bool is_inner = i > 0 && i + 1 < bucket.n;

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && !(is_inner && (c == '-' || c == '.')))
			return false;
	}
	return bucket.n >= 3 && bucket.n <= BUCKET_MAX;
}

/* "" or "a/b": no step of it may be one that is lost on the way. */
static bool is_prefix(struct str prefix)
{
	struct str part;

	while (prefix.n > 0 && str_next(&prefix, '/', &part))
		if (part.n == 0 || str_eq(part, STR(".")) || str_eq(part, STR("..")))
			return false;
	return true;
}

static bool take_apart(const char *setting, struct str *bucket, struct str *prefix)
{
	struct str text = str_of(setting);

	if (!str_starts(text, STR("s3://")))
		return false;
	text = str_from(text, strlen("s3://"));
	*bucket = str_first(text, str_find(text, '/'));
	*prefix = str_from(text, bucket->n + 1);
	while (str_ends(*prefix, STR("/")))
		prefix->n--;
	return is_bucket(*bucket) && is_prefix(*prefix);
}

/* Fit for a host's name. */
static bool is_region(struct str region)
{
	for (size_t i = 0; i < region.n; i++)
		if (!(region.p[i] >= 'a' && region.p[i] <= 'z') && !(region.p[i] >= '0' && region.p[i] <= '9') && region.p[i] != '-')
			return false;
	return region.n > 0 && region.n <= REGION_MAX;
}

bool s3_url(const struct settings *settings, struct str name, struct str file, struct buf *url, struct err *err)
{
	const char *endpoint = settings->aws.s3_endpoint, *region = settings->aws.region, *wrong;
	struct str bucket, prefix, base = str_of(endpoint);

	if (!take_apart(settings->acme.backup_s3, &bucket, &prefix))
		return err_set(err, "it is not s3://BUCKET or s3://BUCKET/PREFIX");
	if (!is_region(str_of(region)))
		return err_set(err, "aws.region is no region");
	while (str_ends(base, STR("/")))
		base.n--;
	if (base.n > 0 && (wrong = settings_provider_check_url(base)) != NULL)
		return err_set(err, "aws.s3_endpoint: %s", wrong);
	if (base.n > 0)
		buf_printf(url, "%.*s/%.*s/", STR_ARG(base), STR_ARG(bucket));
	else if (str_find(bucket, '.') < bucket.n)
		buf_printf(url, "https://s3.%s%s/%.*s/", region, aws_client_domain(region), STR_ARG(bucket));
	else
		buf_printf(url, "https://%.*s.s3.%s%s/", STR_ARG(bucket), region, aws_client_domain(region));
	encode_percent(url, prefix, UNRESERVED "/");
	if (prefix.n > 0)
		buf_put_char(url, '/');
	encode_percent(url, name, UNRESERVED);
	buf_put_char(url, '/');
	encode_percent(url, file, UNRESERVED);
	return !url->is_full || err_set(err, "the URL of %.*s/%.*s is too long", STR_ARG(name), STR_ARG(file));
}

/* ---- calls ---- */

/* A bucket of another region names it (301), or the region that the signature should have been for (400). */
static struct str other_region(const struct s3_call *call, const struct aws_client_answer *answer)
{
	struct str region = STR("");

	if (answer->http == NULL || (answer->status != 301 && answer->status != 307 && answer->status != 400))
		return region;
	region = http_client_header(answer->http, "x-amz-bucket-region");
	return is_region(region) && !str_eq(region, str_of(call->region)) ? region : STR("");
}

static void on_answer(void *ctx, const struct aws_client_answer *answer)
{
	struct s3_call *call = ctx;
	struct s3_answer said = {.ok = answer->ok, .is_there = answer->ok, .bytes = answer->body, .why = answer->why};
	struct str region = other_region(call, answer);
	char why[AWS_CLIENT_WHY];

	if (region.n > 0) {
		snprintf(why, sizeof(why), "the bucket is in another region: aws.region should be %.*s", STR_ARG(region));
		said.why = why;
	} else if (answer->ok && answer->http->is_cut) {
		said = (struct s3_answer){.why = "the file in S3 is too large"};
	} else if (answer->status == 404 && !str_eq(answer->code, STR("NoSuchBucket"))) {
		said = (struct s3_answer){.ok = true, .why = ""};
	}
	call->fn(call->ctx, &said);
	free(call->region);
	free(call);
}

static void start(struct aws_client *client, const struct settings *settings, const struct aws_client_request *more, struct str url,
		  s3_fn *fn, void *ctx)
{
	struct aws_client_request request = *more;
	struct s3_call *call = mem_zero(sizeof(*call));
	char *text = str_dup(url);

	*call = (struct s3_call){mem_text(settings->aws.region), fn, ctx};
	request.name = "S3";
	request.service = "s3";
	request.region = settings->aws.region;
	request.url = text;
	request.tries = TRIES;
	aws_client_start(client, &request, on_answer, call);
	free(text);
}

void s3_put(struct aws_client *client, const struct settings *settings, struct str url, struct str bytes, s3_fn *fn, void *ctx)
{
	char key[HEADER_MAX];
	const char *headers[3] = {"content-type: application/octet-stream"};
	struct aws_client_request request = {.method = "PUT", .headers = headers, .n_headers = 1, .body = bytes};

	must(bytes.n <= S3_FILE_MAX);
	if (settings->aws.s3_encryption == S3_ENCRYPTION_AES256)
		headers[request.n_headers++] = "x-amz-server-side-encryption: AES256";
	if (settings->aws.s3_encryption == S3_ENCRYPTION_KMS)
		headers[request.n_headers++] = "x-amz-server-side-encryption: aws:kms";
	if (settings->aws.s3_encryption == S3_ENCRYPTION_KMS && settings->aws.s3_kms_key[0] != '\0') {
		must(snprintf(key, sizeof(key), "x-amz-server-side-encryption-aws-kms-key-id: %s", settings->aws.s3_kms_key) <
		     (int)sizeof(key));
		headers[request.n_headers++] = key;
	}
	start(client, settings, &request, url, fn, ctx);
}

void s3_get(struct aws_client *client, const struct settings *settings, struct str url, s3_fn *fn, void *ctx)
{
	start(client, settings, &(struct aws_client_request){.method = "GET"}, url, fn, ctx);
}
