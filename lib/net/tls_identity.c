/* SPDX-License-Identifier: Apache-2.0
 *
 * The certificates that this process shows, or has shown to a connection that still stands.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/net/tls_openssl.h"

static struct tls_identity *identities;

void tls_identity_let_go(struct tls_identity *id)
{
	if (--id->holders > 0)
		return;
	*id->link = id->next;
	if (id->next != NULL)
		id->next->link = id->link;
	X509_free(id->x);
	EVP_PKEY_free(id->key);
	sk_X509_pop_free(id->chain, X509_free);
	buf_clear(&id->ocsp);
	free(id);
}

struct tls_identity *tls_identity_new(struct tls_pem *pem)
{
	struct tls_identity *id = mem_zero(sizeof(*id));

	id->holders = 1;
	id->x = pem->chain[0];
	id->key = pem->key;
	id->chain = sk_X509_new_null();
	for (unsigned i = 1; i < pem->n; i++)
		if (id->chain == NULL || sk_X509_push(id->chain, pem->chain[i]) <= 0)
			die("out of memory");
	*pem = (struct tls_pem){.n = 0};
	id->ocsp = BUF_MAX(TLS_CERTIFICATE_PEM_MAX);
	id->link = &identities;
	id->next = identities;
	if (id->next != NULL)
		id->next->link = &id->next;
	identities = id;
	return id;
}

bool tls_identity_show(SSL *ssl, const struct tls_identity *id)
{
	return SSL_use_cert_and_key(ssl, id->x, id->key, id->chain, 1) == 1;
}

bool tls_identity_is_same(const struct tls_identity *a, const struct tls_identity *b)
{
	return strcmp(a->about.fingerprint, b->about.fingerprint) == 0;
}

size_t tls_identity_sessions(const struct tls_identity *id)
{
	size_t sum = 0;

	for (const struct tls_identity *i = identities; i != NULL; i = i->next)
		sum += tls_identity_is_same(i, id) ? i->sessions : 0;
	return sum;
}

bool tls_identity_is_first(const struct tls_identity *id)
{
	for (const struct tls_identity *i = identities; i != id; i = i->next)
		if (tls_identity_is_same(i, id))
			return false;
	return true;
}

const struct tls_identity *tls_identity_all(void)
{
	return identities;
}
