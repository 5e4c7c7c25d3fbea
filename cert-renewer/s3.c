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

enum { REGION_MAX = 63, HEADER_MAX = 2200, TRIES = 4 };

#define UNRESERVED "-._~" /* beside letters and digits */

struct s3_call {
	char *region; /* that was asked */
	bool is_get;
	s3_fn *fn;
	void *ctx;
};

/* ---- where ---- */

/* As lib/settings/settings_certificate_check.c wants it: s3://BUCKET or s3://BUCKET/PREFIX. */
static void take_apart(const char *setting, struct str *bucket, struct str *prefix)
{
	struct str text = str_from(str_of(setting), strlen("s3://"));

	*bucket = str_first(text, str_find(text, '/'));
	*prefix = str_from(text, bucket->n + 1);
	while (str_ends(*prefix, STR("/")))
		prefix->n--;
}

void s3_url(const struct settings *settings, struct str name, struct str file, struct buf *url)
{
	const char *region = settings->aws.region;
	struct str bucket, prefix, base = str_of(settings->aws.s3_endpoint);

	take_apart(settings->acme.backup_s3, &bucket, &prefix);
	while (str_ends(base, STR("/")))
		base.n--;
	if (base.n > 0)
		buf_printf(url, "%.*s/%.*s/", STR_ARG(base), STR_ARG(bucket));
	else if (str_find(bucket, '.') < bucket.n)
		buf_printf(url, "https://s3.%s%s/%.*s/", region, aws_client_domain(region), STR_ARG(bucket));
	else
		buf_printf(url, "https://%.*s.s3.%s%s/", STR_ARG(bucket), region, aws_client_domain(region));
	buf_put_str(url, prefix);
	if (prefix.n > 0)
		buf_put_char(url, '/');
	encode_percent(url, name, UNRESERVED);
	buf_put_char(url, '/');
	must(encode_percent(url, file, UNRESERVED));
}

/* ---- calls ---- */

static bool is_region(struct str region)
{
	for (size_t i = 0; i < region.n; i++)
		if (!(region.p[i] >= 'a' && region.p[i] <= 'z') && !(region.p[i] >= '0' && region.p[i] <= '9') && region.p[i] != '-')
			return false;
	return region.n > 0 && region.n <= REGION_MAX;
}

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
	} else if (call->is_get && answer->status == 403 && str_eq(answer->code, STR("AccessDenied"))) {
		snprintf(why, sizeof(why), "%s (or the file is not there: S3 says so only to who has s3:ListBucket)", answer->why);
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

	*call = (struct s3_call){.region = mem_text(settings->aws.region), .is_get = request.method[0] == 'G', .fn = fn, .ctx = ctx};
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
