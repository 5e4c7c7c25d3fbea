/* SPDX-License-Identifier: Apache-2.0
 *
 * JWS, as ACME wants them.
 */
#include "cert-renewer/acme_jws.h"

#include "lib/base/encode.h"
#include "lib/base/json.h"
#include "lib/base/trouble.h"
#include "lib/net/digest.h"

void acme_jws_put_jwk(struct buf *out, const struct tls_key *key)
{
	unsigned char x[TLS_KEY_COORDINATE], y[TLS_KEY_COORDINATE];

	tls_key_point(key, x, y);
	buf_put_text(out, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"");
	encode_base64url(out, str_bytes(x, sizeof(x)));
	buf_put_text(out, "\",\"y\":\"");
	encode_base64url(out, str_bytes(y, sizeof(y)));
	buf_put_text(out, "\"}");
}

void acme_jws_put_key_authorization(struct buf *out, const struct tls_key *key, struct str token)
{
	unsigned char digest[DIGEST_SHA256_SIZE];
	struct buf jwk = BUF_MAX(256);

	acme_jws_put_jwk(&jwk, key);
	digest_sha256(buf_str(&jwk), digest);
	buf_put_str(out, token);
	buf_put_char(out, '.');
	encode_base64url(out, str_bytes(digest, sizeof(digest)));
	buf_clear(&jwk);
}

/* "protected":"...","payload":"..." into `out`; *signed_part gets what is signed (RFC 7515, 5.1). */
static void put_parts(struct buf *out, struct str header, struct str payload, struct buf *signed_part)
{
	size_t dot;

	encode_base64url(signed_part, header);
	dot = signed_part->n;
	buf_put_char(signed_part, '.');
	encode_base64url(signed_part, payload);
	must(!signed_part->is_full);
	buf_put_text(out, "{\"protected\":\"");
	buf_put_str(out, str_first(buf_str(signed_part), dot));
	buf_put_text(out, "\",\"payload\":\"");
	buf_put_str(out, str_from(buf_str(signed_part), dot + 1));
}

static void put_signature(struct buf *out, const unsigned char *signature, size_t n)
{
	buf_put_text(out, "\",\"signature\":\"");
	encode_base64url(out, str_bytes(signature, n));
	buf_put_text(out, "\"}");
	must(!out->is_full);
}

void acme_jws_put(struct buf *out, const struct acme_jws *jws)
{
	struct buf header = BUF_MAX(ACME_JWS_MAX), signed_part = BUF_MAX(ACME_JWS_MAX);
	unsigned char signature[TLS_KEY_ES256];

	json_begin(&header, NULL, '{');
	json_put_text(&header, "alg", STR("ES256"));
	if (jws->account.n > 0) {
		json_put_text(&header, "kid", jws->account);
	} else {
		buf_put_text(&header, ",\"jwk\":");
		acme_jws_put_jwk(&header, jws->key);
	}
	if (jws->nonce.n > 0)
		json_put_text(&header, "nonce", jws->nonce);
	json_put_text(&header, "url", jws->url);
	buf_put_char(&header, '}');
	put_parts(out, buf_str(&header), jws->payload, &signed_part);
	tls_key_sign_es256(jws->key, buf_str(&signed_part), signature);
	put_signature(out, signature, sizeof(signature));
	buf_clear(&header);
	buf_clear(&signed_part);
}

void acme_jws_put_binding(struct buf *out, const struct tls_key *key, struct str key_id, struct str mac_key, struct str url)
{
	struct buf header = BUF_MAX(ACME_JWS_MAX), signed_part = BUF_MAX(ACME_JWS_MAX), jwk = BUF_MAX(256);
	unsigned char mac[DIGEST_MAX];
	size_t n;

	json_begin(&header, NULL, '{');
	json_put_text(&header, "alg", STR("HS256"));
	json_put_text(&header, "kid", key_id);
	json_put_text(&header, "url", url);
	buf_put_char(&header, '}');
	acme_jws_put_jwk(&jwk, key);
	put_parts(out, buf_str(&header), buf_str(&jwk), &signed_part);
	n = digest_hmac(DIGEST_SHA256, mac_key, buf_str(&signed_part), mac);
	put_signature(out, mac, n);
	buf_clear(&header);
	buf_clear(&signed_part);
	buf_clear(&jwk);
}
