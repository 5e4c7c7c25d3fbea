/* SPDX-License-Identifier: Apache-2.0
 *
 * What is stored and shown to clients comes from elsewhere: nothing but certificates may be in it.
 */
#include "cert-renewer/acme_chain.h"

#include "lib/net/tls_certificate.h"

enum { CERTIFICATES_MAX = 10 };

static bool is_base64(struct str line)
{
	for (size_t i = 0; i < line.n; i++) {
		char c = line.p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '+' && c != '/' && c != '=')
			return false;
	}
	return line.n > 0;
}

static bool check_lines(struct str pem, struct err *err)
{
	bool is_inside = false;
	unsigned n = 0;
	struct str line;

	while (str_next(&pem, '\n', &line)) {
		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		if (line.n == 0 && (!is_inside || pem.p == NULL))
			continue;
		if (!is_inside && str_eq(line, STR("-----BEGIN CERTIFICATE-----")))
			is_inside = true;
		else if (is_inside && str_eq(line, STR("-----END CERTIFICATE-----"))) {
			is_inside = false;
			n++;
		} else if (!is_inside || !is_base64(line)) {
			return err_set(err, "it has something in it that is no certificate");
		}
	}
	if (is_inside || n == 0)
		return err_set(err, n == 0 ? "there is no certificate in it" : "it is broken off");
	return n <= CERTIFICATES_MAX || err_set(err, "it has more than %d certificates", CERTIFICATES_MAX);
}

bool acme_chain_check(struct str pem, const struct tls_key *key, const struct str *names, unsigned n, int64_t now, struct err *err)
{
	struct buf both = BUF_MAX(TLS_CERTIFICATE_PEM_MAX);
	struct tls_certificate seen;
	bool ok;

	if (!check_lines(pem, err))
		return false;
	buf_put_str(&both, pem);
	buf_put_char(&both, '\n');
	tls_key_put(key, &both);
	ok = tls_certificate_read(buf_str(&both), now, &seen, err) && tls_certificate_is_for(pem, names, n, err);
	buf_clear_secret(&both);
	return ok;
}
