/* SPDX-License-Identifier: Apache-2.0
 *
 * What an authority sends as the chain, and what lies in the store: a text as it is (T), or a
 * certificate (C) or a key (K) that is DER within PEM, for the fuzzer does not see through base64.
 */
#include <string.h>

#include "lib/base/encode.h"
#include "lib/base/trouble.h"
#include "lib/net/tls_certificate.h"
#include "lib/net/tls_key.h"
#include "lib/net/tls_ocsp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_block(struct buf *pem, const char *kind, struct str der)
{
	struct buf text = BUF_MAX(1 << 20);

	must(encode_base64(&text, der));
	buf_printf(pem, "-----BEGIN %s-----\n", kind);
	for (size_t i = 0; i < text.n; i += 64) {
		buf_put_str(pem, str_first(str_from(buf_str(&text), i), 64));
		buf_put_char(pem, '\n');
	}
	buf_printf(pem, "-----END %s-----\n", kind);
	buf_clear(&text);
}

static void look_at_certificate(struct str pem)
{
	static const struct str names[] = {STR("fuzz.test"), STR("192.0.2.1")};
	struct buf der = BUF_MAX(1 << 20), id = BUF_MAX(512), url = BUF_MAX(512);
	struct tls_certificate seen;
	struct err err;

	if (tls_certificate_read(pem, 0, &seen, &err))
		must(strlen(seen.fingerprint) == TLS_CERTIFICATE_FINGERPRINT - 1);
	tls_certificate_put_der(pem, &der, &err);
	if (tls_certificate_put_renewal_id(pem, &id, &err)) {
		struct str rest = buf_str(&id), part;
		struct buf octets = BUF_MAX(512);

		while (str_next(&rest, '.', &part))
			must(part.n > 0 && encode_from_base64url(&octets, part));
		buf_clear(&octets);
	}
	tls_certificate_is_for(pem, names, 2, &err);
	tls_certificate_ends_at(pem, STR("Fuzz CA"));
	buf_reset(&der);
	tls_ocsp_put_request(pem, &der, &url, &err);
	buf_clear(&der);
	buf_clear(&id);
	buf_clear(&url);
}

static void look_at_key(struct str pem)
{
	unsigned char x[TLS_KEY_COORDINATE], y[TLS_KEY_COORDINATE], signature[TLS_KEY_ES256];
	struct buf again = BUF_MAX(1 << 20);
	struct err err = {""};
	struct tls_key *key = tls_key_read(pem, &err);

	if (key == NULL) {
		must(err.text[0] != '\0');
		return;
	}
	tls_key_put(key, &again);
	if (tls_key_is(key, TLS_KEY_ECDSA)) {
		tls_key_point(key, x, y);
		tls_key_sign_es256(key, STR("bytes"), signature);
	}
	tls_key_free(&key);
	buf_clear_secret(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf pem = BUF_MAX(1 << 20);

	if (size < 1 || size > 65536)
		return 0;
	if (data[0] == 'C')
		put_block(&pem, "CERTIFICATE", str_bytes(data + 1, size - 1));
	else if (data[0] == 'K')
		put_block(&pem, "PRIVATE KEY", str_bytes(data + 1, size - 1));
	else
		buf_put(&pem, data + 1, size - 1);
	look_at_certificate(buf_str(&pem));
	look_at_key(buf_str(&pem));
	buf_clear_secret(&pem);
	return 0;
}
