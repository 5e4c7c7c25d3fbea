/* SPDX-License-Identifier: Apache-2.0
 *
 * Pure. What becomes a file's name, a URL, a record of the DNS or a line in a request is checked here, so that whoever makes it can rely
 * on it.
 */
#include "lib/settings/settings_certificate_check.h"

#include <string.h>

#include "lib/base/encode.h"
#include "lib/base/network.h"
#include "lib/settings/settings_certificate.h"
#include "lib/settings/settings_hosts.h"
#include "lib/settings/settings_provider_check.h"

#define ERROR(...) settings_problem_at(problems, false, __VA_ARGS__)
#define WARNING(...) settings_problem_at(problems, true, __VA_ARGS__)

#define NAME_OF_DIRECTORY(name, url) name ", "

enum { NAME_MAX_OCTETS = 253, LABEL_MAX = 63, KEY_OCTETS = 1024, DNS_PORT = 53, ACCOUNT_DIGITS = 12 };

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static bool has_only(struct str s, const char *allowed)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '\0' || strchr(allowed, s.p[i]) == NULL)
			return false;
	return true;
}

/* ---- Names ---- */

static const char *trouble_with_label(struct str label)
{
	if (str_find(label, ',') < label.n || str_find(label, ';') < label.n)
		return "several names have blanks between them, nothing else";
	if (label.n == 0 || label.n > LABEL_MAX)
		return "a part between its dots is empty, or longer than 63 characters";
	if (!has_only(label, LOWER DIGITS "-"))
		return "it has a character that none has: allowed are lower-case letters, digits and -; other letters are written as "
		       "xn--...";
	return label.p[0] == '-' || label.p[label.n - 1] == '-' ? "a part begins or ends with -" : NULL;
}

const char *settings_certificate_check_name(struct str name)
{
	const char *trouble = name.n <= NAME_MAX_OCTETS ? NULL : "it is longer than 253 characters";
	struct str rest = name, label = {0};

	while (trouble == NULL && str_next(&rest, '.', &label))
		trouble = trouble_with_label(label);
	if (trouble == NULL && has_only(label, DIGITS))
		trouble = "it ends with a number, as addresses do";
	return trouble;
}

/* Also of several with a blank too many between. */
static bool next_word(struct str *rest, struct str *word)
{
	while (str_next(rest, ' ', word))
		if (word->n > 0)
			return true;
	return false;
}

static bool stands_before(struct str all, struct str name)
{
	struct str word;

	while (next_word(&all, &word) && word.p < name.p)
		if (str_eq(word, name))
			return true;
	return false;
}

static void check_names(const struct settings_certificate *c, bool is_public, struct settings_problems *problems)
{
	struct str all = settings_certificate_names(c), rest = all, name;
	unsigned n = 0;

	while (next_word(&rest, &name)) {
		bool is_wild = str_starts(name, STR("*."));
		const char *trouble = settings_certificate_check_name(str_from(name, is_wild ? 2 : 0));

		if (trouble != NULL)
			ERROR("certificates", c->key, "names", "\"%.*s\" is not a DNS name: %s; allowed: such as mail.example.com",
			      STR_ARG(str_first(name, 64)), trouble);
		else if (is_wild && c->challenge != CHALLENGE_DNS_01)
			ERROR("certificates", c->key, "names", "\"%.*s\" has a wildcard, for which authorities take no other challenge "
			      "than dns-01", STR_ARG(str_first(name, 64)));
		else if (stands_before(all, name))
			ERROR("certificates", c->key, "names", "\"%.*s\" stands there twice", STR_ARG(str_first(name, 64)));
		else if (str_find(name, '.') == name.n && is_public)
			WARNING("certificates", c->key, "names", "\"%.*s\" has no domain, and acme.directory gives certificates for public "
				"names only; the DNS names stand in names, or are the key", STR_ARG(str_first(name, 64)));
		n++;
	}
	if (n > SETTINGS_CERTIFICATE_NAMES)
		ERROR("certificates", c->key, "names", "it has %u names; allowed: %d, more go into another certificate", n,
		      SETTINGS_CERTIFICATE_NAMES);
}

/* ---- One certificate ---- */

/* Its key becomes a directory. */
static void check_key(const struct settings_certificate *c, struct settings_problems *problems)
{
	if (c->key[0] == '.' || !has_only(str_of(c->key), LOWER UPPER DIGITS "-_."))
		ERROR("certificates", c->key, "", "its key is the name of a directory; allowed: letters, digits, - _ . and no dot at the "
		      "beginning (its DNS names may stand in names)");
}

static void check_acme_certificate(const struct settings *s, const struct settings_certificate *c, struct settings_problems *problems)
{
	const struct {
		const char *name, *value;
	} files[] = {{"certificate_file", c->certificate_file}, {"key_file", c->key_file}, {"ocsp_file", c->ocsp_file}};

	check_key(c, problems);
	check_names(c, settings_certificate_known_directory(s->acme.directory) != NULL, problems);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (files[i].value[0] != '\0')
			ERROR("certificates", c->key, files[i].name, "a certificate from acme is kept below instance.state_dir; leave it "
			      "out, or say from: files");
	if (!s->acme.agree_to_terms)
		ERROR("acme", "", "agree_to_terms", "certificates.%s is from acme, and the authority gives none without your agreement to "
		      "its terms of service; allowed: true, when you have read them", c->key);
	if (c->challenge == CHALLENGE_DNS_01 && s->acme.dns_hook[0] == '\0' && s->acme.dns_server[0] == '\0')
		ERROR("certificates", c->key, "challenge", "dns-01 needs acme.dns_hook or acme.dns_server");
}

static void check_certificates(const struct settings *s, struct settings_problems *problems)
{
	for (size_t i = 0; i < s->n_certificate; i++) {
		const struct settings_certificate *c = &s->certificate[i];

		if (c->from == CERTIFICATE_ACME)
			check_acme_certificate(s, c, problems);
		else if (c->certificate_file[0] == '\0' && !settings_problem_has(problems, "certificates", c->key, "from") &&
			 !settings_problem_has(problems, "certificates", c->key, ""))
			ERROR("certificates", c->key, "certificate_file", "it is missing; or say from: acme, and it is obtained");
	}
	if (s->tls.certificate_file[0] != '\0')
		return;
	if (s->n_certificate == 0)
		ERROR("tls", "", "certificate_file", "it is empty, and so is the section certificates; one of them must name a certificate");
	if (s->tls.key_file[0] != '\0')
		ERROR("tls", "", "key_file", "it is the key of tls.certificate_file, which is empty");
	if (s->tls.ocsp_file[0] != '\0')
		ERROR("tls", "", "ocsp_file", "it is about tls.certificate_file, which is empty");
}

/* ---- The authority ---- */

static void check_contact(const struct settings *s, struct settings_problems *problems)
{
	struct str rest = str_of(s->acme.contact), word;

	while (next_word(&rest, &word)) {
		size_t at = str_find(word, '@');

		/* RFC 8555, 7.3: no header fields, one address. */
		if (at == 0 || !str_is_printable(word) || settings_certificate_check_name(str_from(word, at + 1)) != NULL ||
		    memchr(word.p, ',', word.n) != NULL || memchr(word.p, '?', word.n) != NULL || str_istarts(word, STR("mailto:")))
			ERROR("acme", "", "contact", "\"%.*s\" is not an email address; allowed: such as \"admin@example.com "
			      "ops@example.com\"", STR_ARG(str_first(word, 64)));
	}
}

static bool is_base64(const char *text, bool (*decode)(struct buf *out, struct str text))
{
	struct buf octets = BUF_MAX(KEY_OCTETS);
	bool ok = decode(&octets, str_of(text)) && octets.n > 0;

	buf_clear_secret(&octets);
	return ok;
}

static void check_account(const struct settings *s, struct settings_problems *problems)
{
	if (s->acme.eab_key[0] != '\0' && s->acme.eab_key_id[0] == '\0')
		ERROR("acme", "", "eab_key_id", "acme.eab_key needs it");
	if (s->acme.eab_key_id[0] != '\0' && s->acme.eab_key[0] == '\0')
		ERROR("acme", "", "eab_key", "acme.eab_key_id needs it");
	if (s->acme.eab_key[0] != '\0' && !is_base64(s->acme.eab_key, encode_from_base64url))
		ERROR("acme", "", "eab_key", "it is not base64url; allowed: letters, digits, - and _, without = at its end");
	check_contact(s, problems);
}

static bool is_time(struct str s)
{
	uint64_t number;

	return s.n == 5 && s.p[2] == ':' && str_u64(str_first(s, 2), 0, 23, &number) && str_u64(str_from(s, 3), 0, 59, &number);
}

static void check_authority(const struct settings *s, struct settings_problems *problems)
{
	const char *trouble = settings_provider_check_url(str_of(s->acme.directory));

	if (trouble != NULL && settings_certificate_known_directory(s->acme.directory) == NULL)
		ERROR("acme", "", "directory",
		      "%s; allowed: " SETTINGS_CERTIFICATE_DIRECTORIES(NAME_OF_DIRECTORY) "or the URL of an authority's directory",
		      trouble);
	if (!is_time(str_of(s->acme.check_time)))
		ERROR("acme", "", "check_time", "\"%s\" is not a time of day; allowed: HH:MM, such as 02:00", s->acme.check_time);
	check_account(s, problems);
}

/* ---- The challenges ---- */

/* Either is IPv4 or IPv6; a wildcard address takes all of its family, and :: IPv4 too. */
static bool overlap(const char *a, const char *b)
{
	bool is_a4 = strchr(a, ':') == NULL, is_b4 = strchr(b, ':') == NULL;

	return strcmp(a, b) == 0 || strcmp(a, "::") == 0 || strcmp(b, "::") == 0 ||
	       (is_a4 && is_b4 && (strcmp(a, "0.0.0.0") == 0 || strcmp(b, "0.0.0.0") == 0));
}

static void check_port(const struct settings *s, const char *name, const char *address, int64_t port, struct settings_problems *problems)
{
	for (size_t i = 0; i < s->n_listener; i++)
		if (port != 0 && s->listener[i].port == port && overlap(s->listener[i].address, address))
			ERROR("acme", "", name, "port %lld is taken by listeners.%s already", (long long)port, s->listener[i].key);
	if (port != 0 && s->api.port == port && overlap(s->api.address, address))
		ERROR("acme", "", name, "port %lld is api.port's already", (long long)port);
}

static void check_ports(const struct settings *s, struct settings_problems *problems)
{
	bool has_http = settings_certificate_wants_port(s, CHALLENGE_HTTP_01),
	     has_alpn = settings_certificate_wants_port(s, CHALLENGE_TLS_ALPN_01);

	if (!network_is_address(str_of(s->acme.http_address)))
		ERROR("acme", "", "http_address", "\"%s\" is not an IPv4 or IPv6 address; allowed: such as 0.0.0.0, ::",
		      s->acme.http_address);
	if (!network_is_address(str_of(s->acme.alpn_address)))
		ERROR("acme", "", "alpn_address", "\"%s\" is not an IPv4 or IPv6 address; allowed: such as 0.0.0.0, ::",
		      s->acme.alpn_address);
	if (has_http)
		check_port(s, "http_port", s->acme.http_address, s->acme.http_port, problems);
	if (has_alpn)
		check_port(s, "alpn_port", s->acme.alpn_address, s->acme.alpn_port, problems);
	if (has_http && has_alpn && s->acme.http_port != 0 && s->acme.http_port == s->acme.alpn_port &&
	    overlap(s->acme.http_address, s->acme.alpn_address))
		ERROR("acme", "", "alpn_port", "port %lld is acme.http_port's already", (long long)s->acme.alpn_port);
}

static void check_dns_key(const struct settings *s, struct settings_problems *problems)
{
	if (s->acme.dns_key[0] != '\0' && s->acme.dns_key_name[0] == '\0')
		ERROR("acme", "", "dns_key_name", "acme.dns_key needs it");
	if (s->acme.dns_key_name[0] != '\0' && s->acme.dns_key[0] == '\0')
		ERROR("acme", "", "dns_key", "acme.dns_key_name needs it");
	if (s->acme.dns_key[0] != '\0' && !is_base64(s->acme.dns_key, encode_from_base64))
		ERROR("acme", "", "dns_key", "it is not base64");
	if (!has_only(str_of(s->acme.dns_key_name), LOWER UPPER DIGITS "-_."))
		ERROR("acme", "", "dns_key_name", "\"%s\" is not the name of a key; allowed: letters, digits, - _ .", s->acme.dns_key_name);
}

static void check_dns_check(const struct settings *s, struct settings_problems *problems)
{
	struct settings_host host[SETTINGS_HOSTS_MAX];
	struct str rest = str_of(s->acme.dns_check), word;
	unsigned n = 0;

	for (; next_word(&rest, &word); n++)
		if (settings_hosts_read(word, DNS_PORT, host, NULL) != 1 || !network_is_address(str_of(host[0].name)))
			ERROR("acme", "", "dns_check", "\"%.*s\" is not the address of a name server; allowed: ADDRESS or ADDRESS:PORT, "
			      "such as \"192.0.2.53 [2001:db8::53]:5353\"", STR_ARG(str_first(word, 64)));
	if (n > SETTINGS_HOSTS_MAX)
		ERROR("acme", "", "dns_check", "it has %u name servers; allowed: %d at most", n, SETTINGS_HOSTS_MAX);
}

static void check_dns(const struct settings *s, struct settings_problems *problems)
{
	struct settings_host host[SETTINGS_HOSTS_MAX];

	if (s->acme.dns_hook[0] != '\0' && s->acme.dns_server[0] != '\0')
		ERROR("acme", "", "dns_server", "there is acme.dns_hook too; allowed: one of them");
	if (s->acme.dns_server[0] != '\0' &&
	    (settings_hosts_read(str_of(s->acme.dns_server), DNS_PORT, host, NULL) != 1 || host[0].name[0] == '/'))
		ERROR("acme", "", "dns_server", "\"%s\" is not a name server; allowed: HOST or HOST:PORT", s->acme.dns_server);
	if (s->acme.dns_zone[0] != '\0' && settings_certificate_check_name(str_of(s->acme.dns_zone)) != NULL)
		ERROR("acme", "", "dns_zone", "\"%s\" is not the name of a zone; allowed: such as example.com", s->acme.dns_zone);
	check_dns_key(s, problems);
	check_dns_check(s, problems);
}

/* ---- Elsewhere: copies, alerts ---- */

/* s3://BUCKET[/PREFIX]; both become parts of a path. */
static bool is_s3(struct str url)
{
	struct str rest = str_from(url, 5), bucket = str_first(rest, str_find(rest, '/')), prefix = str_from(rest, bucket.n + 1), part;

	if (!str_starts(url, STR("s3://")) || bucket.n < 3 || bucket.n > 63 || !has_only(bucket, LOWER DIGITS "-.") ||
	    strchr("-.", bucket.p[0]) != NULL || strchr("-.", bucket.p[bucket.n - 1]) != NULL)
		return false;
	while (prefix.n > 0 && str_next(&prefix, '/', &part))
		if (!has_only(part, LOWER UPPER DIGITS "-_.") || str_eq(part, STR("..")) || str_eq(part, STR(".")) ||
		    (part.n == 0 && prefix.n > 0))
			return false;
	return true;
}

/* arn:PARTITION:sns:REGION:ACCOUNT:NAME */
static bool is_topic(struct str arn)
{
	struct str part[6];

	for (int i = 0; i < 6; i++)
		if (!str_next(&arn, ':', &part[i]))
			return false;
	return arn.p == NULL && str_eq(part[0], STR("arn")) && str_starts(part[1], STR("aws")) && has_only(part[1], LOWER DIGITS "-") &&
	       str_eq(part[2], STR("sns")) && part[3].n > 0 && has_only(part[3], LOWER DIGITS "-") && part[4].n == ACCOUNT_DIGITS &&
	       has_only(part[4], DIGITS) && part[5].n > 0 && has_only(part[5], LOWER UPPER DIGITS "-_");
}

static void check_endpoint(const char *section, const char *name, const char *url, struct settings_problems *problems)
{
	const char *trouble = url[0] != '\0' ? settings_provider_check_url(str_of(url)) : NULL;

	if (trouble != NULL)
		ERROR(section, "", name, "%s", trouble);
}

static void check_aws(const struct settings *s, struct settings_problems *problems)
{
	const struct {
		const char *name, *value;
	} texts[] = {{"access_key_id", s->aws.access_key_id}, {"secret_access_key", s->aws.secret_access_key},
		     {"session_token", s->aws.session_token}, {"s3_kms_key", s->aws.s3_kms_key}};
	bool is_used = s->acme.backup_s3[0] != '\0' || s->alerts.sns_topic[0] != '\0';

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (!str_is_printable(str_of(texts[i].value)) || strchr(texts[i].value, ' ') != NULL)
			ERROR("aws", "", texts[i].name, "it has a space or another character that none has");
	for (size_t i = 0; i < 2; i++)
		if (is_used && s->aws.credentials == AWS_SETTINGS && texts[i].value[0] == '\0')
			ERROR("aws", "", texts[i].name, "aws.credentials is settings: it is needed");
	if (s->aws.region[0] == '\0' || !has_only(str_of(s->aws.region), LOWER DIGITS "-"))
		ERROR("aws", "", "region", "\"%s\" is not an AWS region; allowed: such as us-east-1", s->aws.region);
	check_endpoint("aws", "s3_endpoint", s->aws.s3_endpoint, problems);
	check_endpoint("aws", "sns_endpoint", s->aws.sns_endpoint, problems);
}

static void check_elsewhere(const struct settings *s, struct settings_problems *problems)
{
	struct str webhook = str_of(s->alerts.webhook);
	/* Its key may be in a query. */
	const char *trouble = webhook.n > 0 ? settings_provider_check_url(str_first(webhook, str_find(webhook, '?'))) : NULL;

	if (trouble == NULL && (!str_is_printable(webhook) || str_find(webhook, ' ') < webhook.n || str_find(webhook, '#') < webhook.n))
		trouble = "it has a character that is not allowed in a URL";
	if (trouble != NULL)
		ERROR("alerts", "", "webhook", "%s", trouble);
	if (s->acme.backup_s3[0] != '\0' && !is_s3(str_of(s->acme.backup_s3)))
		ERROR("acme", "", "backup_s3", "\"%s\" is not a place in S3; allowed: s3://BUCKET or s3://BUCKET/PREFIX, with letters, "
		      "digits, - _ . in it", s->acme.backup_s3);
	if (s->alerts.sns_topic[0] != '\0' && !is_topic(str_of(s->alerts.sns_topic)))
		ERROR("alerts", "", "sns_topic", "\"%s\" is not the ARN of a topic; allowed: such as "
		      "arn:aws:sns:us-east-1:123456789012:NAME", s->alerts.sns_topic);
}

void settings_certificate_check_all(const struct settings *settings, struct settings_problems *problems)
{
	check_certificates(settings, problems);
	check_authority(settings, problems);
	check_ports(settings, problems);
	check_dns(settings, problems);
	check_aws(settings, problems);
	check_elsewhere(settings, problems);
}
