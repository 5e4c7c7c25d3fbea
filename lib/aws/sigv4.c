/* SPDX-License-Identifier: Apache-2.0
 *
 * AWS Signature Version 4 ("Create a signed AWS API request" in AWS's IAM User Guide): a canonical form of
 * the request is hashed, and the hash signed with a key derived for the day, region and service.
 */
#include "lib/aws/sigv4.h"

#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include "lib/base/encode.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/net/digest.h"

enum { HASH = DIGEST_SHA256_SIZE, CANONICAL_MAX = 1 << 20, KEY_MAX = 4096 };

void sigv4_date(int64_t wall, char out[SIGV4_DATE])
{
	time_t seconds = (time_t)(wall / 1000000);
	struct tm tm;

	must(gmtime_r(&seconds, &tm) != NULL);
	must(strftime(out, SIGV4_DATE, "%Y%m%dT%H%M%SZ", &tm) == SIGV4_DATE - 1);
}

static void put_hex(const unsigned char hash[HASH], char out[SIGV4_HASH])
{
	struct buf hex = BUF_MAX(SIGV4_HASH);

	must(encode_hex(&hex, str_bytes(hash, HASH)));
	must(str_copy(buf_str(&hex), out, SIGV4_HASH));
	buf_clear(&hex);
}

void sigv4_hash(struct str bytes, char out[SIGV4_HASH])
{
	unsigned char hash[DIGEST_SHA256_SIZE];

	digest_sha256(bytes, hash);
	put_hex(hash, out);
}

static void sign_with(struct str key, struct str text, unsigned char out[HASH])
{
	unsigned char mac[DIGEST_MAX];

	must(digest_hmac(DIGEST_SHA256, key, text, mac) == HASH);
	memcpy(out, mac, HASH);
	mem_wipe(mac, sizeof(mac));
}

void sigv4_split_url(const char *url, struct str *host, struct str *path)
{
	struct str rest = str_of(url);
	bool is_https = str_starts(rest, STR("https://"));
	struct str own = is_https ? STR(":443") : STR(":80");

	rest = str_from(rest, is_https ? strlen("https://") : strlen("http://"));
	*host = str_first(rest, str_find(rest, '/'));
	*path = str_from(rest, host->n);
	if (str_ends(*host, own))
		*host = str_first(*host, host->n - own.n);
}

#define UNRESERVED "-._~" /* beside letters and digits: RFC 3986, 2.3 */

/* Without empty segments and dots (RFC 3986, 6.2.2.3), which every service but S3 takes out. */
static void put_normalised(struct buf *out, struct str path)
{
	struct buf clean = BUF_MAX(CANONICAL_MAX);
	struct str rest = path, segment;
	bool ends_open = false;

	while (str_next(&rest, '/', &segment)) {
		ends_open = segment.n == 0 || str_eq(segment, STR(".")) || str_eq(segment, STR(".."));
		if (str_eq(segment, STR("..")))
			while (clean.n > 0 && clean.p[--clean.n] != '/')
				;
		if (ends_open)
			continue;
		buf_put_char(&clean, '/');
		buf_put_str(&clean, segment);
	}
	if (ends_open || clean.n == 0)
		buf_put_char(&clean, '/');
	encode_percent(out, buf_str(&clean), UNRESERVED "/");
	buf_clear(&clean);
}

static int by_bytes(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int order = n > 0 ? memcmp(a.p, b.p, n) : 0;

	return order != 0 ? order : a.n < b.n ? -1 : a.n > b.n;
}

static int by_name_and_value(const void *a, const void *b)
{
	const struct sigv4_pair *x = a, *y = b;
	int order = by_bytes(x->name, y->name);

	return order != 0 ? order : by_bytes(x->value, y->value);
}

/* The order is that of the encoded names: "a%7B" before "aA", though '{' is after 'A'. */
static void put_query(struct buf *out, const struct sigv4_request *request)
{
	struct sigv4_pair pairs[SIGV4_PAIRS_MAX];
	struct buf encoded[2 * SIGV4_PAIRS_MAX];

	for (size_t i = 0; i < request->n_query; i++) {
		struct buf *name = &encoded[2 * i], *value = &encoded[2 * i + 1];

		*name = *value = BUF_MAX(CANONICAL_MAX);
		encode_percent(name, request->query[i].name, UNRESERVED);
		encode_percent(value, request->query[i].value, UNRESERVED);
		pairs[i] = (struct sigv4_pair){buf_str(name), buf_str(value)};
	}
	if (request->n_query > 0)
		qsort(pairs, request->n_query, sizeof(pairs[0]), by_name_and_value);
	for (size_t i = 0; i < request->n_query; i++) {
		if (i > 0)
			buf_put_char(out, '&');
		buf_put_str(out, pairs[i].name);
		buf_put_char(out, '=');
		buf_put_str(out, pairs[i].value);
	}
	for (size_t i = 0; i < 2 * request->n_query; i++)
		buf_clear(&encoded[i]);
}

/* Headers that a proxy or the HTTP library may add or change (the list of AWS's SDK for JavaScript). */
static bool is_signed(struct str name)
{
	static const char *const never[] = {
		"authorization", "cache-control", "connection", "expect", "from", "keep-alive", "max-forwards",
		"pragma", "referer", "te", "trailer", "transfer-encoding", "upgrade", "user-agent",
		"x-amzn-trace-id",
	};

	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		if (str_ieq(name, str_of(never[i])))
			return false;
	return !str_istarts(name, STR("proxy-")) && !str_istarts(name, STR("sec-"));
}

struct header {
	struct sigv4_pair pair;
	size_t order; /* as given: values of the same name keep it */
};

static int by_header(const void *a, const void *b)
{
	const struct header *x = a, *y = b;
	size_t n = x->pair.name.n < y->pair.name.n ? x->pair.name.n : y->pair.name.n;
	int order = strncasecmp(x->pair.name.p, y->pair.name.p, n);

	if (order != 0)
		return order;
	if (x->pair.name.n != y->pair.name.n)
		return x->pair.name.n < y->pair.name.n ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

static size_t sort_headers(const struct sigv4_request *request, struct header sorted[SIGV4_PAIRS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < request->n_headers; i++)
		if (is_signed(request->headers[i].name))
			sorted[n++] = (struct header){request->headers[i], i};
	if (n > 0)
		qsort(sorted, n, sizeof(sorted[0]), by_header);
	return n;
}

static void put_lower(struct buf *out, struct str name)
{
	for (size_t i = 0; i < name.n; i++)
		buf_put_char(out, name.p[i] >= 'A' && name.p[i] <= 'Z' ? (char)(name.p[i] | 0x20) : name.p[i]);
}

/* Without blanks at the ends, each run of them inside as one space. */
static void put_trimmed(struct buf *out, struct str value)
{
	value = str_trim(value);
	for (size_t i = 0; i < value.n; i++) {
		bool is_blank = value.p[i] == ' ' || value.p[i] == '\t';

		if (!is_blank)
			buf_put_char(out, value.p[i]);
		else if (value.p[i - 1] != ' ' && value.p[i - 1] != '\t')
			buf_put_char(out, ' ');
	}
}

static bool is_repeated(const struct header *sorted, size_t i)
{
	return i > 0 && str_ieq(sorted[i].pair.name, sorted[i - 1].pair.name);
}

static void put_headers(struct buf *out, const struct header *sorted, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (is_repeated(sorted, i)) {
			buf_put_char(out, ',');
		} else {
			if (i > 0)
				buf_put_char(out, '\n');
			put_lower(out, sorted[i].pair.name);
			buf_put_char(out, ':');
		}
		put_trimmed(out, sorted[i].pair.value);
	}
	buf_put_char(out, '\n');
}

static void put_names(struct buf *out, const struct header *sorted, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (is_repeated(sorted, i))
			continue;
		if (i > 0)
			buf_put_char(out, ';');
		put_lower(out, sorted[i].pair.name);
	}
}

bool sigv4_canonical(const struct sigv4_request *request, struct buf *out)
{
	struct header sorted[SIGV4_PAIRS_MAX];
	size_t n;

	if (request->n_headers > SIGV4_PAIRS_MAX || request->n_query > SIGV4_PAIRS_MAX)
		return false;
	n = sort_headers(request, sorted);
	buf_put_str(out, request->method);
	buf_put_char(out, '\n');
	if (str_eq(request->service, STR("s3")))
		buf_put_str(out, request->path.n > 0 ? request->path : STR("/"));
	else
		put_normalised(out, request->path);
	buf_put_char(out, '\n');
	put_query(out, request);
	buf_put_char(out, '\n');
	put_headers(out, sorted, n);
	buf_put_char(out, '\n');
	put_names(out, sorted, n);
	buf_put_char(out, '\n');
	buf_put_str(out, request->payload_hash);
	return !out->is_full;
}

/* The key for one day, region and service. */
static void derive_key(const struct sigv4_request *request, unsigned char key[HASH])
{
	struct buf start = BUF_MAX(KEY_MAX);

	must(buf_put_text(&start, "AWS4") && buf_put_str(&start, request->secret_access_key));
	sign_with(buf_str(&start), str_bytes(request->date, 8), key);
	buf_clear_secret(&start);
	sign_with(str_bytes(key, HASH), request->region, key);
	sign_with(str_bytes(key, HASH), request->service, key);
	sign_with(str_bytes(key, HASH), STR("aws4_request"), key);
}

bool sigv4_sign(const struct sigv4_request *request, struct buf *out)
{
	struct buf canonical = BUF_MAX(CANONICAL_MAX), text = BUF_MAX(4096), scope = BUF_MAX(1024);
	struct header sorted[SIGV4_PAIRS_MAX];
	char hash[SIGV4_HASH], signature[SIGV4_HASH];
	unsigned char key[HASH], mac[HASH];
	bool ok = sigv4_canonical(request, &canonical);

	if (ok) {
		buf_printf(&scope, "%.8s/%.*s/%.*s/aws4_request", request->date, STR_ARG(request->region),
			   STR_ARG(request->service));
		sigv4_hash(buf_str(&canonical), hash);
		buf_printf(&text, "AWS4-HMAC-SHA256\n%s\n%.*s\n%s", request->date, STR_ARG(buf_str(&scope)), hash);
		derive_key(request, key);
		sign_with(str_bytes(key, HASH), buf_str(&text), mac);
		mem_wipe(key, sizeof(key));
		put_hex(mac, signature);
		buf_printf(out, "AWS4-HMAC-SHA256 Credential=%.*s/%.*s, SignedHeaders=",
			   STR_ARG(request->access_key_id), STR_ARG(buf_str(&scope)));
		put_names(out, sorted, sort_headers(request, sorted));
		buf_printf(out, ", Signature=%s", signature);
		ok = !scope.is_full && !text.is_full && !out->is_full;
	}
	buf_clear_secret(&canonical);
	buf_clear(&text);
	buf_clear(&scope);
	return ok;
}
