/* SPDX-License-Identifier: Apache-2.0
 *
 * What is asked of a responder, and which of its responses may be stapled.
 */
#include "lib/net/tls_ocsp.h"

#include <openssl/ocsp.h>
#include <time.h>

#include "lib/base/buf.h"
#include "tests/support/certificate.h"
#include "tests/support/unit.h"

#define DAY 86400L
#define RESPONDER "http://ocsp.example.com/x?y"

static struct certificate ca, leaf, other, stranger, named;

static void make_certificates(void)
{
	ca = certificate_make("Test CA", NULL, -DAY, 10 * DAY, NULL);
	leaf = certificate_make("mail.test", "DNS:mail.test", -DAY, DAY, &ca);
	other = certificate_make("other", "DNS:other.test", -DAY, DAY, &ca);
	named = certificate_make("mail.test", "DNS:mail.test", -DAY, DAY, &ca);
	certificate_extend(named.x, ca.x, NID_info_access, "OCSP;URI:" RESPONDER);
	stranger = certificate_make("Another CA", NULL, -DAY, 10 * DAY, NULL);
}

static void clear_certificates(void)
{
	certificate_clear(&ca);
	certificate_clear(&leaf);
	certificate_clear(&other);
	certificate_clear(&named);
	certificate_clear(&stranger);
}

struct answer {
	int status;
	long from, to; /* seconds from now; to 0: none */
	const struct certificate *about, *signer;
};

static struct buf ocsp_make(const struct answer *a)
{
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), a->about->x, ca.x);
	ASN1_TIME *from = X509_gmtime_adj(NULL, a->from),
		  *to = a->to != 0 ? X509_gmtime_adj(NULL, a->to) : NULL;
	ASN1_TIME *revoked =
		a->status == V_OCSP_CERTSTATUS_REVOKED ? X509_gmtime_adj(NULL, -1) : NULL;
	OCSP_RESPONSE *response;
	unsigned char *der = NULL;
	struct buf out = BUF_MAX(65536);
	int n;

	OCSP_basic_add1_status(basic, id, a->status, 0, revoked, from, to);
	OCSP_basic_sign(basic, a->signer->x, a->signer->key, EVP_sha256(), NULL, 0);
	response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
	n = i2d_OCSP_RESPONSE(response, &der);
	buf_put(&out, der, (size_t)n);
	OPENSSL_free(der);
	OCSP_RESPONSE_free(response);
	OCSP_BASICRESP_free(basic);
	OCSP_CERTID_free(id);
	ASN1_TIME_free(from);
	ASN1_TIME_free(to);
	ASN1_TIME_free(revoked);
	return out;
}

static struct buf chain_of(const struct certificate *c, bool with_issuer)
{
	struct buf pem = BUF_MAX(65536);

	buf_put_text(&pem, c->both);
	if (with_issuer)
		buf_put_text(&pem, ca.pem);
	return pem;
}

static void only_a_good_response_may_be_stapled(void)
{
	const struct {
		struct answer answer;
		const char *reason;
	} cases[] = {
		{{V_OCSP_CERTSTATUS_GOOD, -60, DAY, &leaf, &ca}, NULL},
		{{V_OCSP_CERTSTATUS_REVOKED, -60, DAY, &leaf, &ca},
		 "it says that the certificate is revoked"},
		{{V_OCSP_CERTSTATUS_UNKNOWN, -60, DAY, &leaf, &ca},
		 "it says that the certificate is unknown"},
		{{V_OCSP_CERTSTATUS_GOOD, -60, DAY, &other, &ca},
		 "it is about another certificate"},
		{{V_OCSP_CERTSTATUS_GOOD, -DAY, -60, &leaf, &ca}, "it is out of date since "},
		{{V_OCSP_CERTSTATUS_GOOD, 3600, DAY, &leaf, &ca}, "it is not valid yet"},
		{{V_OCSP_CERTSTATUS_GOOD, -60, 0, &leaf, &ca}, "it does not say until when"},
		{{V_OCSP_CERTSTATUS_GOOD, -60, DAY, &leaf, &stranger},
		 "its signature is not the issuer's: "},
		{{V_OCSP_CERTSTATUS_GOOD, -60, DAY, &leaf, &other},
		 "its signature is not the issuer's: "},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf der = ocsp_make(&cases[i].answer), pem = chain_of(&leaf, true);
		struct err err = {""};
		int64_t until = 0;
		bool ok = tls_ocsp_check(buf_str(&pem), buf_str(&der), time(NULL), &until, &err);

		UNIT_INT(ok, cases[i].reason == NULL);
		if (ok)
			UNIT_TRUE(until > time(NULL) + DAY - 100 && until < time(NULL) + DAY + 100);
		else
			UNIT_STR(str_first(str_of(err.text), strlen(cases[i].reason)),
				 cases[i].reason);
		buf_clear(&der);
		buf_clear(&pem);
	}
}

static void without_the_issuer_the_serial_number_counts(void)
{
	struct buf pem = chain_of(&leaf, false);
	struct buf good = ocsp_make(&(struct answer){V_OCSP_CERTSTATUS_GOOD, -60, DAY, &leaf, &ca});
	struct buf bad = ocsp_make(&(struct answer){V_OCSP_CERTSTATUS_GOOD, -60, DAY, &other, &ca});
	int64_t until;
	struct err err;

	UNIT_TRUE(tls_ocsp_check(buf_str(&pem), buf_str(&good), time(NULL), &until, &err));
	UNIT_TRUE(!tls_ocsp_check(buf_str(&pem), buf_str(&bad), time(NULL), &until, &err));
	buf_clear(&pem);
	buf_clear(&good);
	buf_clear(&bad);
}

static void what_is_no_response_is_refused(void)
{
	struct buf pem = chain_of(&leaf, true),
		   der = ocsp_make(&(struct answer){V_OCSP_CERTSTATUS_GOOD, -60, DAY, &leaf, &ca});
	static const unsigned char try_later[] = {0x30, 0x03, 0x0a, 0x01, 0x03};
	int64_t until;
	struct err err;

	for (size_t n = 0; n < der.n; n += 7)
		UNIT_TRUE(!tls_ocsp_check(buf_str(&pem), str_first(buf_str(&der), n), time(NULL),
					  &until, &err));
	buf_put_char(&der, 'x');
	UNIT_TRUE(!tls_ocsp_check(buf_str(&pem), buf_str(&der), time(NULL), &until, &err));
	UNIT_TEXT(err.text, "it is no OCSP response (DER)");
	UNIT_TRUE(!tls_ocsp_check(buf_str(&pem), str_bytes(try_later, sizeof(try_later)),
				  time(NULL), &until, &err));
	UNIT_TEXT(err.text, "the responder answered with an error: trylater");
	buf_clear(&pem);
	buf_clear(&der);
}

/* The certificate with the responder's URL, and the chain behind it. */
static struct buf named_chain(bool with_issuer)
{
	struct buf pem = BUF_MAX(65536);
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;

	X509_sign(named.x, ca.key, EVP_sha256());
	PEM_write_bio_X509(bio, named.x);
	text = certificate_text(bio);
	buf_put_text(&pem, text);
	free(text);
	if (with_issuer)
		buf_put_text(&pem, ca.pem);
	return pem;
}

static void a_request_names_the_certificate_alone(void)
{
	struct buf pem = named_chain(true), der = BUF_MAX(1000), url = BUF_MAX(1000);
	const unsigned char *p;
	struct err err = {""};
	OCSP_CERTID *ours = OCSP_cert_to_id(EVP_sha1(), named.x, ca.x);
	OCSP_REQUEST *request;

	UNIT_TRUE(tls_ocsp_put_request(buf_str(&pem), &der, &url, &err));
	UNIT_STR(buf_str(&url), RESPONDER);
	p = (const unsigned char *)der.p;
	request = d2i_OCSP_REQUEST(NULL, &p, (long)der.n);
	UNIT_TRUE(request != NULL && p == (const unsigned char *)der.p + der.n);
	UNIT_INT(OCSP_request_onereq_count(request), 1);
	UNIT_INT(OCSP_id_cmp(ours, OCSP_onereq_get0_id(OCSP_request_onereq_get0(request, 0))), 0);
	UNIT_INT(OCSP_REQUEST_get_ext_count(request), 0);
	OCSP_REQUEST_free(request);
	OCSP_CERTID_free(ours);
	buf_clear(&pem);
	buf_clear(&der);
	buf_clear(&url);
}

static void without_a_responder_or_issuer_nothing_is_asked(void)
{
	struct buf der = BUF_MAX(1000), url = BUF_MAX(1000), nobody = chain_of(&leaf, true),
		   alone = named_chain(false);
	struct err err = {""};

	UNIT_TRUE(!tls_ocsp_put_request(buf_str(&nobody), &der, &url, &err));
	UNIT_TEXT(err.text, "the certificate names no OCSP responder");
	UNIT_TRUE(!tls_ocsp_put_request(buf_str(&alone), &der, &url, &err));
	UNIT_TEXT(err.text, "the chain does not have the certificate's issuer");
	UNIT_TRUE(!tls_ocsp_put_request(STR("nothing"), &der, &url, &err));
	UNIT_TEXT(err.text, "there is no certificate in it");
	buf_clear(&nobody);
	buf_clear(&alone);
	buf_clear(&der);
	buf_clear(&url);
}

UNIT_TESTS({"make certificates", make_certificates},
	   {"a request names the certificate alone", a_request_names_the_certificate_alone},
	   {"without a responder or issuer nothing is asked",
	    without_a_responder_or_issuer_nothing_is_asked},
	   {"only a good response may be stapled", only_a_good_response_may_be_stapled},
	   {"without the issuer the serial number counts",
	    without_the_issuer_the_serial_number_counts},
	   {"what is no response is refused", what_is_no_response_is_refused},
	   {"clear certificates", clear_certificates})
