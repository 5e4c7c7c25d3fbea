/* SPDX-License-Identifier: Apache-2.0
 *
 * OCSP with OpenSSL: the request, and what a response must be to be stapled.
 */
#include "lib/net/tls_ocsp.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>

#include "lib/base/trouble.h"
#include "lib/net/tls_openssl.h"

enum { OCSP_EARLY = 300 /* seconds that a responder's clock may be ahead */ };

static X509 *issuer_of(const struct tls_pem *pem)
{
	for (unsigned i = 0; i < pem->n; i++)
		if (X509_check_issued(pem->chain[i], pem->chain[0]) == X509_V_OK)
			return pem->chain[i];
	return NULL;
}

/* ---- The request ---- */

static bool put_url(X509 *x, struct buf *url, struct err *err)
{
	STACK_OF(OPENSSL_STRING) *all = X509_get1_ocsp(x);
	bool ok = sk_OPENSSL_STRING_num(all) > 0 &&
		  buf_put_text(url, sk_OPENSSL_STRING_value(all, 0));

	X509_email_free(all);
	return ok || err_set(err, "the certificate names no OCSP responder");
}

/* No nonce: the answer may come out of a cache, and responders that sign beforehand leave it out
 * (RFC 8954, 1). */
static bool put_request(X509 *x, const X509 *issuer, struct buf *der)
{
	OCSP_REQUEST *request = OCSP_REQUEST_new();
	OCSP_CERTID *id = OCSP_cert_to_id(
		EVP_sha1(), x, issuer); /* the digest that every responder knows: RFC 5019, 2.1.1 */
	unsigned char *bytes = NULL;
	int n;
	bool ok;

	if (request == NULL || id == NULL || OCSP_request_add0_id(request, id) == NULL ||
	    (n = i2d_OCSP_REQUEST(request, &bytes)) <= 0)
		die("out of memory");
	ok = buf_put(der, bytes, (size_t)n);
	OPENSSL_free(bytes);
	OCSP_REQUEST_free(request);
	return ok;
}

bool tls_ocsp_put_request(struct str pem, struct buf *der, struct buf *url, struct err *err)
{
	struct tls_pem chain;
	const X509 *issuer;
	bool ok;

	if (!tls_certificate_take(&chain, pem, err))
		return false;
	issuer = issuer_of(&chain);
	if (issuer == NULL)
		ok = err_set(err, "the chain does not have the certificate's issuer");
	else
		ok = put_url(chain.chain[0], url, err) &&
		     (put_request(chain.chain[0], issuer, der) ||
		      err_set(err, "the OCSP request is too large"));
	tls_certificate_drop(&chain);
	ERR_clear_error();
	return ok;
}

/* ---- The response ---- */

static bool is_about(const OCSP_SINGLERESP *single, X509 *x, const X509 *issuer)
{
	OCSP_CERTID *id = (OCSP_CERTID *)OCSP_SINGLERESP_get0_id(single), *ours;
	ASN1_OBJECT *digest;
	ASN1_INTEGER *serial;
	bool same;

	if (OCSP_id_get0_info(NULL, &digest, NULL, &serial, id) != 1 ||
	    ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(x)) != 0)
		return false;
	if (issuer == NULL)
		return true; /* the chain does not have it */
	ours = OCSP_cert_to_id(EVP_get_digestbyobj(digest), x, issuer);
	same = ours != NULL && OCSP_id_cmp(ours, id) == 0;
	OCSP_CERTID_free(ours);
	return same;
}

static bool check_single(OCSP_SINGLERESP *single, int64_t now, int64_t *until, struct err *err)
{
	ASN1_GENERALIZEDTIME *from = NULL, *to = NULL;
	char date[TLS_DATE];
	int status = OCSP_single_get0_status(single, NULL, NULL, &from, &to);

	if (status != V_OCSP_CERTSTATUS_GOOD)
		return err_set(err, "it says that the certificate is %s",
			       OCSP_cert_status_str(status));
	if (from == NULL || tls_certificate_seconds(from) > now + OCSP_EARLY)
		return err_set(err, "it is not valid yet");
	if (to == NULL)
		return err_set(err, "it does not say until when it is valid (nextUpdate)");
	*until = tls_certificate_seconds(to);
	tls_certificate_date(*until, date);
	return now < *until || err_set(err, "it is out of date since %s", date);
}

static bool check_signature(OCSP_BASICRESP *basic, const struct tls_pem *pem, X509 *issuer,
			    struct err *err)
{
	X509_STORE *store = X509_STORE_new();
	STACK_OF(X509) *chain = sk_X509_new_null();
	bool ok;

	if (store == NULL || chain == NULL)
		die("out of memory");
	for (unsigned i = 1; i < pem->n; i++)
		if (sk_X509_push(chain, pem->chain[i]) <= 0)
			die("out of memory");
	X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
	ok = X509_STORE_add_cert(store, issuer) == 1 &&
	     OCSP_basic_verify(basic, chain, store, 0) == 1;
	sk_X509_free(chain);
	X509_STORE_free(store);
	return ok || err_set(err, "its signature is not the issuer's: %s", tls_last_reason());
}

static bool check_basic(OCSP_BASICRESP *basic, const struct tls_pem *pem, int64_t now,
			int64_t *until, struct err *err)
{
	X509 *issuer = issuer_of(pem);

	for (int i = 0; i < OCSP_resp_count(basic); i++) {
		OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);

		if (is_about(single, pem->chain[0], issuer))
			return check_single(single, now, until, err) &&
			       (issuer == NULL || check_signature(basic, pem, issuer, err));
	}
	return err_set(err, "it is about another certificate");
}

bool tls_ocsp_check(struct str pem, struct str der, int64_t now, int64_t *until, struct err *err)
{
	const unsigned char *p = (const unsigned char *)der.p;
	OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &p, (long)der.n);
	OCSP_BASICRESP *basic = NULL;
	struct tls_pem chain;
	bool ok;

	if (response == NULL || p != (const unsigned char *)der.p + der.n)
		ok = err_set(err, "it is no OCSP response (DER)");
	else if (OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
		ok = err_set(err, "the responder answered with an error: %s",
			     OCSP_response_status_str(OCSP_response_status(response)));
	else if ((basic = OCSP_response_get1_basic(response)) == NULL)
		ok = err_set(err, "it is of an unknown kind");
	else
		ok = tls_certificate_take(&chain, pem, err);
	if (ok) {
		ok = check_basic(basic, &chain, now, until, err);
		tls_certificate_drop(&chain);
	}
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(response);
	ERR_clear_error();
	return ok;
}
