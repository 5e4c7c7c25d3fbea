/* SPDX-License-Identifier: Apache-2.0
 *
 * Certificates: reading PEM texts, checking them before they are used, describing them.
 */
#include "lib/net/tls_certificate.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/base/buf.h"
#include "lib/base/encode.h"
#include "lib/base/trouble.h"
#include "lib/net/tls_openssl.h"

enum { DNS_NAME = 256 };

/* ---- PEM ---- */

void tls_certificate_drop(struct tls_pem *pem)
{
	for (unsigned i = 0; i < pem->n; i++)
		X509_free(pem->chain[i]);
	EVP_PKEY_free(pem->key);
	*pem = (struct tls_pem){.n = 0};
}

static bool take_key(struct tls_pem *out, const char *name, const char *header, const unsigned char *der,
		     long n, struct err *err)
{
	if (str_starts(str_of(name), STR("ENCRYPTED")) || header[0] != '\0')
		return err_set(err, "the private key is encrypted");
	if (out->key != NULL)
		return err_set(err, "there is more than one private key");
	out->key = d2i_AutoPrivateKey(NULL, &der, n);
	if (out->key == NULL)
		return err_set(err, "the private key cannot be read: %s", tls_last_reason());
	return true;
}

static bool take_certificate(struct tls_pem *out, const unsigned char *der, long n, struct err *err)
{
	X509 *x;

	if (out->n == TLS_CHAIN_MAX)
		return err_set(err, "there are more than %d certificates", TLS_CHAIN_MAX);
	x = d2i_X509(NULL, &der, n);
	if (x == NULL)
		return err_set(err, "certificate %u cannot be read: %s", out->n + 1, tls_last_reason());
	out->chain[out->n++] = x;
	return true;
}

/* Takes one PEM block; other kinds (EC PARAMETERS) are passed over. *end: there was none. */
static bool take_block(struct tls_pem *out, BIO *bio, bool *end, struct err *err)
{
	char *name = NULL, *header = NULL;
	unsigned char *der = NULL;
	long n = 0;
	bool ok = true;

	if (!PEM_read_bio(bio, &name, &header, &der, &n)) {
		*end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
		if (!*end)
			return err_set(err, "the PEM text is broken: %s", tls_last_reason());
		ERR_clear_error();
		return true;
	}
	if (str_eq(str_of(name), STR("CERTIFICATE")))
		ok = take_certificate(out, der, n, err);
	else if (str_ends(str_of(name), STR("PRIVATE KEY")))
		ok = take_key(out, name, header, der, n, err);
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_clear_free(der, (size_t)n);
	return ok;
}

bool tls_certificate_take_some(struct tls_pem *out, struct str pem, struct err *err)
{
	BIO *bio;
	bool end = false, ok = true;

	*out = (struct tls_pem){.n = 0};
	if (pem.n == 0 || pem.n > TLS_CERTIFICATE_PEM_MAX)
		return err_set(err, pem.n == 0 ? "it is empty" : "it is too large");
	bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	if (bio == NULL)
		die("out of memory");
	while (ok && !end)
		ok = take_block(out, bio, &end, err);
	BIO_free(bio);
	if (!ok)
		tls_certificate_drop(out);
	return ok;
}

bool tls_certificate_take(struct tls_pem *out, struct str pem, struct err *err)
{
	if (!tls_certificate_take_some(out, pem, err))
		return false;
	if (out->n > 0)
		return true;
	tls_certificate_drop(out);
	return err_set(err, "there is no certificate in it");
}

/* ---- What it says ---- */

int64_t tls_certificate_seconds(const ASN1_TIME *time)
{
	struct tm tm;

	return ASN1_TIME_to_tm(time, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static void subject_text(X509_NAME *name, char *out, size_t size)
{
	BIO *bio = BIO_new(BIO_s_mem());
	int n = 0;

	if (bio == NULL)
		die("out of memory");
	if (X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0)
		n = BIO_read(bio, out, (int)size - 1);
	out[n > 0 ? n : 0] = '\0';
	BIO_free(bio);
}

static void add_name(struct buf *names, const GENERAL_NAME *name)
{
	const ASN1_STRING *value = name->type == GEN_DNS ? name->d.dNSName : name->d.iPAddress;
	char address[INET6_ADDRSTRLEN];
	int n;

	if (name->type != GEN_DNS && name->type != GEN_IPADD)
		return;
	n = ASN1_STRING_length(value);
	if (names->n > 0)
		buf_put_text(names, ", ");
	if (name->type == GEN_DNS)
		buf_put(names, ASN1_STRING_get0_data(value), (size_t)n);
	else if ((n == 4 || n == 16) &&
		 inet_ntop(n == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(value), address,
			   sizeof(address)) != NULL)
		buf_put_text(names, address);
}

static void names_text(const X509 *x, char *out, size_t size)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	struct buf names = BUF_MAX(size - 1);

	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++)
		add_name(&names, sk_GENERAL_NAME_value(all, i));
	if (!str_copy(buf_str(&names), out, size))
		out[0] = '\0'; /* a NUL in a name */
	buf_clear(&names);
	GENERAL_NAMES_free(all);
}

static void key_text(X509 *x, char *out, size_t size)
{
	EVP_PKEY *key = X509_get0_pubkey(x);
	char curve[24];
	size_t n;

	if (key == NULL)
		out[0] = '\0';
	else if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
		 EVP_PKEY_get_group_name(key, curve, sizeof(curve), &n) == 1)
		snprintf(out, size, "ECDSA %s", strcmp(curve, "prime256v1") == 0  ? "P-256"
						: strcmp(curve, "secp384r1") == 0 ? "P-384"
										  : curve);
	else if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA)
		snprintf(out, size, "RSA %d", EVP_PKEY_get_bits(key));
	else
		snprintf(out, size, "%s", OBJ_nid2sn(EVP_PKEY_get_base_id(key)));
}

static void fingerprint_text(const X509 *x, char out[TLS_CERTIFICATE_FINGERPRINT])
{
	struct buf text = {.p = out, .size = TLS_CERTIFICATE_FINGERPRINT, .max = TLS_CERTIFICATE_FINGERPRINT - 1};
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n;

	out[0] = '\0';
	if (X509_digest(x, EVP_sha256(), digest, &n) == 1)
		encode_hex(&text, str_bytes(digest, n));
	out[text.n] = '\0';
}

void tls_certificate_describe(X509 *x, struct tls_certificate *out)
{
	BIGNUM *serial = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL);
	char *hex = serial != NULL ? BN_bn2hex(serial) : NULL;

	memset(out, 0, sizeof(*out));
	subject_text(X509_get_subject_name(x), out->subject, sizeof(out->subject));
	subject_text(X509_get_issuer_name(x), out->issuer, sizeof(out->issuer));
	if (hex != NULL)
		str_copy(str_of(hex), out->serial, sizeof(out->serial));
	names_text(x, out->names, sizeof(out->names));
	key_text(x, out->key, sizeof(out->key));
	fingerprint_text(x, out->fingerprint);
	out->not_before = tls_certificate_seconds(X509_get0_notBefore(x));
	out->not_after = tls_certificate_seconds(X509_get0_notAfter(x));
	OPENSSL_free(hex);
	BN_free(serial);
	ERR_clear_error();
}

void tls_certificate_date(int64_t seconds, char out[TLS_DATE])
{
	time_t t = (time_t)seconds;
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(out, TLS_DATE, "%Y-%m-%d %H:%M:%S UTC", &tm);
}

bool tls_certificate_check(const struct tls_pem *pem, int64_t now, struct tls_certificate *seen, struct err *err)
{
	char date[TLS_DATE];
	int fits;

	tls_certificate_describe(pem->chain[0], seen);
	if (now != 0 && now < seen->not_before) {
		tls_certificate_date(seen->not_before, date);
		return err_set(err, "the certificate is not valid before %s", date);
	}
	if (now != 0 && now >= seen->not_after) {
		tls_certificate_date(seen->not_after, date);
		return err_set(err, "the certificate expired on %s", date);
	}
	if (pem->key == NULL)
		return err_set(err, "there is no private key in it");
	fits = X509_check_private_key(pem->chain[0], pem->key);
	ERR_clear_error();
	return fits == 1 || err_set(err, "the private key does not belong to the first certificate");
}

/* ---- Its names ---- */

/* In lower case; false for what is no host's name. */
static bool host_name(const ASN1_STRING *value, char out[DNS_NAME])
{
	struct str s = str_bytes(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));

	if (s.n == 0 || !str_copy(s, out, DNS_NAME))
		return false;
	for (char *p = out; *p != '\0'; p++) {
		if (!isalnum((unsigned char)*p) && strchr("-._*", *p) == NULL)
			return false;
		*p = (char)tolower((unsigned char)*p);
	}
	return true;
}

void tls_certificate_each_name(const X509 *x, void (*fn)(void *ctx, const char *name), void *ctx)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	char name[DNS_NAME];

	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
		const GENERAL_NAME *one = sk_GENERAL_NAME_value(all, i);

		if (one->type == GEN_DNS && host_name(one->d.dNSName, name))
			fn(ctx, name);
	}
	GENERAL_NAMES_free(all);
	ERR_clear_error();
}

/* As it may stand between blanks: an addr-spec without quotes. */
static bool is_plain_email(struct str s)
{
	size_t at = str_find(s, '@');

	if (at == 0 || at + 1 >= s.n || str_find(str_from(s, at + 1), '@') < s.n - at - 1)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!isalnum((unsigned char)s.p[i]) && memchr(".!#$%&'*+/=?^_`{|}~@-", s.p[i], 21) == NULL)
			return false;
	return true;
}

/* A whole claim or nothing. */
static void claim(struct buf *out, const char *kind, struct str value)
{
	if (out->n + strlen(kind) + value.n + 1 > out->max)
		return;
	if (out->n > 0)
		buf_put_char(out, ' ');
	buf_put_text(out, kind);
	buf_put_str(out, value);
}

void tls_certificate_claims(X509 *x, bool only_fingerprint, struct buf *out)
{
	GENERAL_NAMES *all = only_fingerprint ? NULL : X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	char fingerprint[TLS_CERTIFICATE_FINGERPRINT], name[DNS_NAME];

	fingerprint_text(x, fingerprint);
	claim(out, "sha256:", str_of(fingerprint));
	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
		const GENERAL_NAME *one = sk_GENERAL_NAME_value(all, i);
		struct str email;

		/* A wildcard stands for nobody. */
		if (one->type == GEN_DNS && host_name(one->d.dNSName, name) && strchr(name, '*') == NULL)
			claim(out, "dns:", str_of(name));
		if (one->type != GEN_EMAIL)
			continue;
		email = str_bytes(ASN1_STRING_get0_data(one->d.rfc822Name),
				  (size_t)ASN1_STRING_length(one->d.rfc822Name));
		if (is_plain_email(email))
			claim(out, "email:", email);
	}
	GENERAL_NAMES_free(all);
	ERR_clear_error();
}

/* ---- For whoever obtained it ---- */

bool tls_certificate_read(struct str pem, int64_t now, struct tls_certificate *seen, struct err *err)
{
	/* A server to try it on: what OpenSSL refuses to show is refused here too. */
	struct tls_server *server = tls_server_new(TLS_1_2);
	bool ok = tls_server_add(server, pem, (struct str){NULL, 0}, now, seen, err);

	tls_server_free(&server);
	return ok;
}

bool tls_certificate_put_der(struct str pem, struct buf *der, struct err *err)
{
	struct tls_pem chain;
	unsigned char *bytes = NULL;
	bool ok;
	int n;

	if (!tls_certificate_take(&chain, pem, err))
		return false;
	n = i2d_X509(chain.chain[0], &bytes);
	if (n <= 0)
		die("out of memory");
	ok = buf_put(der, bytes, (size_t)n) || err_set(err, "it is too large");
	OPENSSL_free(bytes);
	tls_certificate_drop(&chain);
	return ok;
}

/* The octets of the serial number as they stand in the DER, with the zero before a high bit. */
static bool put_serial(const X509 *x, struct buf *out)
{
	enum { HEAD = 2, SHORT = 127 };
	unsigned char *der = NULL;
	int n = i2d_ASN1_INTEGER(X509_get0_serialNumber(x), &der);
	bool ok = n > HEAD && n <= HEAD + SHORT && encode_base64url(out, str_bytes(der + HEAD, (size_t)n - HEAD));

	OPENSSL_free(der);
	return ok;
}

bool tls_certificate_put_renewal_id(struct str pem, struct buf *out, struct err *err)
{
	const ASN1_OCTET_STRING *key;
	struct tls_pem chain;
	bool ok;

	if (!tls_certificate_take(&chain, pem, err))
		return false;
	key = X509_get0_authority_key_id(chain.chain[0]);
	if (key == NULL || ASN1_STRING_length(key) <= 0)
		ok = err_set(err, "the certificate does not name its issuer's key");
	else
		ok = (encode_base64url(out, str_bytes(ASN1_STRING_get0_data(key), (size_t)ASN1_STRING_length(key))) &&
		      buf_put_char(out, '.') && put_serial(chain.chain[0], out)) ||
		     err_set(err, "its serial number is too long");
	tls_certificate_drop(&chain);
	ERR_clear_error();
	return ok;
}

/* As the certificate has it: a DNS name, or an address as text. */
static bool is_named(const GENERAL_NAME *one, struct str name)
{
	char address[INET6_ADDRSTRLEN];
	unsigned char octets[16];
	struct str value;

	if (one->type == GEN_DNS) {
		value = str_bytes(ASN1_STRING_get0_data(one->d.dNSName), (size_t)ASN1_STRING_length(one->d.dNSName));
		return str_ieq(value, name);
	}
	if (one->type != GEN_IPADD || !str_copy(name, address, sizeof(address)))
		return false;
	value = str_bytes(ASN1_STRING_get0_data(one->d.iPAddress), (size_t)ASN1_STRING_length(one->d.iPAddress));
	return (value.n == 4 && inet_pton(AF_INET, address, octets) == 1 && memcmp(value.p, octets, 4) == 0) ||
	       (value.n == 16 && inet_pton(AF_INET6, address, octets) == 1 && memcmp(value.p, octets, 16) == 0);
}

static bool has_only(const GENERAL_NAMES *all, const struct str *names, unsigned n, struct err *err)
{
	for (int k = 0; k < sk_GENERAL_NAME_num(all); k++) {
		unsigned i = 0;

		while (i < n && !is_named(sk_GENERAL_NAME_value(all, k), names[i]))
			i++;
		if (i == n)
			return err_set(err, "the certificate is for other names, too");
	}
	return true;
}

static bool has_all(const GENERAL_NAMES *all, const struct str *names, unsigned n, struct err *err)
{
	int total = sk_GENERAL_NAME_num(all);

	for (unsigned i = 0; i < n; i++) {
		int k = 0;

		while (k < total && !is_named(sk_GENERAL_NAME_value(all, k), names[i]))
			k++;
		if (k >= total)
			return err_set(err, "the certificate is not for %.*s", STR_ARG(names[i]));
	}
	return true;
}

static bool compare_names(struct str pem, bool want_all, const struct str *names, unsigned n, struct err *err)
{
	struct tls_pem chain;
	GENERAL_NAMES *all;
	bool ok;

	if (!tls_certificate_take(&chain, pem, err))
		return false;
	all = X509_get_ext_d2i(chain.chain[0], NID_subject_alt_name, NULL, NULL);
	ok = (!want_all || has_all(all, names, n, err)) && has_only(all, names, n, err);
	GENERAL_NAMES_free(all);
	tls_certificate_drop(&chain);
	ERR_clear_error();
	return ok;
}

bool tls_certificate_is_for(struct str pem, const struct str *names, unsigned n, struct err *err)
{
	return compare_names(pem, true, names, n, err);
}

bool tls_certificate_has_only(struct str pem, const struct str *names, unsigned n, struct err *err)
{
	return compare_names(pem, false, names, n, err);
}

bool tls_certificate_ends_at(struct str pem, struct str issuer)
{
	unsigned char *text = NULL;
	struct tls_pem chain;
	const X509_NAME *name;
	int at, n = -1;
	bool ok;

	if (!tls_certificate_take(&chain, pem, NULL))
		return false;
	name = X509_get_issuer_name(chain.chain[chain.n - 1]);
	at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
	if (at >= 0)
		n = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
	ok = n >= 0 && str_eq(str_bytes(text, (size_t)n), issuer);
	OPENSSL_free(text);
	tls_certificate_drop(&chain);
	ERR_clear_error();
	return ok;
}

bool tls_certificate_is_self_signed(struct str pem)
{
	struct tls_pem chain;
	X509 *x;
	bool is;

	if (!tls_certificate_take(&chain, pem, NULL))
		return false;
	x = chain.chain[0];
	is = X509_NAME_cmp(X509_get_subject_name(x), X509_get_issuer_name(x)) == 0 || X509_verify(x, X509_get0_pubkey(x)) == 1;
	tls_certificate_drop(&chain);
	ERR_clear_error();
	return is;
}

/* ---- Pins ---- */

/* The next fingerprint in lower case without colons; false when there is none, *bad when it is none. */
static bool next_pin(struct str *rest, char pin[TLS_CERTIFICATE_FINGERPRINT], bool *bad)
{
	struct str word = {NULL, 0};
	size_t n = 0;

	*bad = false;
	while (word.n == 0)
		if (!str_next(rest, ' ', &word))
			return false;
	for (size_t i = 0; i < word.n && !*bad; i++) {
		if (word.p[i] == ':')
			continue;
		*bad = !isxdigit((unsigned char)word.p[i]) || n == TLS_CERTIFICATE_FINGERPRINT - 1;
		if (!*bad)
			pin[n++] = (char)tolower((unsigned char)word.p[i]);
	}
	pin[n] = '\0';
	*bad = *bad || n != TLS_CERTIFICATE_FINGERPRINT - 1;
	return true;
}

bool tls_certificate_has_pin(struct str pins, const char *fingerprint)
{
	char pin[TLS_CERTIFICATE_FINGERPRINT];
	bool bad;

	while (next_pin(&pins, pin, &bad))
		if (!bad && strcmp(pin, fingerprint) == 0)
			return true;
	return false;
}
