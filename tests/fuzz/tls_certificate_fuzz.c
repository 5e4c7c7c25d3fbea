/* SPDX-License-Identifier: Apache-2.0
 *
 * A client's certificate (DER): what is said of it is bounded, and its claims are words of safe characters.
 */
#include "lib/net/tls_certificate.h"

#include <ctype.h>
#include <string.h>

#include "lib/base/trouble.h"
#include "lib/net/tls_openssl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_claims(X509 *x, bool only_fingerprint)
{
	struct buf claims = BUF_MAX(TLS_CERTIFICATE_CLAIMS);
	struct str rest, word;

	tls_certificate_claims(x, only_fingerprint, &claims);
	must(!claims.is_full);
	rest = buf_str(&claims);
	must(str_next(&rest, ' ', &word) && str_starts(word, STR("sha256:")) && word.n == 71);
	while (str_next(&rest, ' ', &word)) {
		must(!only_fingerprint && word.n > 4);
		must(str_starts(word, STR("dns:")) || str_starts(word, STR("email:")));
		for (size_t i = 0; i < word.n; i++)
			must(isgraph((unsigned char)word.p[i]) && word.p[i] != '"' && word.p[i] != '\\');
	}
	buf_clear(&claims);
}

static void check_name(void *ctx, const char *name)
{
	(void)ctx;
	must(name[0] != '\0' && strlen(name) < 256);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tls_certificate c;
	X509 *x = d2i_X509(NULL, &data, (long)size);

	if (x == NULL)
		return 0;
	tls_certificate_describe(x, &c);
	must(strlen(c.fingerprint) == 64);
	tls_certificate_each_name(x, check_name, NULL);
	check_claims(x, false);
	check_claims(x, true);
	X509_free(x);
	return 0;
}
