/* SPDX-License-Identifier: Apache-2.0
 *
 * Format (1), the key's mark (4, of its SHA-256), nonce (12), ciphertext, tag (16). NIST SP 800-38D: a random nonce of 96
 * bits is good for 2^32 seals under a key.
 */
#include "lib/net/seal.h"

#include <openssl/evp.h>
#include <string.h>

#include "lib/base/encode.h"
#include "lib/base/mem.h"
#include "lib/base/random.h"
#include "lib/base/trouble.h"
#include "lib/net/digest.h"

enum { FORMAT = 1, MARK = 4, NONCE = 12, TAG = 16, SECRET_MAX = 1 << 20, BEFORE = 1 + MARK + NONCE };

bool seal_key_parse(struct str text, struct seal_key *key, struct err *err)
{
	text = str_trim(text);
	if (text.n != (size_t)SEAL_KEY * 2)
		return err_set(err, "a key has 64 hexadecimal digits (smtp-proxyctl credential key makes one)");
	for (size_t i = 0; i < SEAL_KEY; i++) {
		int high = encode_hex_digit(text.p[2 * i]), low = encode_hex_digit(text.p[2 * i + 1]);

		if (high < 0 || low < 0)
			return err_set(err, "a key has 64 hexadecimal digits, and nothing else");
		key->bytes[i] = (unsigned char)(high << 4 | low);
	}
	return true;
}

static void mark_of(const struct seal_key *key, unsigned char mark[MARK])
{
	unsigned char hash[DIGEST_SHA256_SIZE];

	digest_sha256(str_bytes(key->bytes, SEAL_KEY), hash);
	memcpy(mark, hash, MARK);
	mem_wipe(hash, sizeof(hash));
}

void seal_close(const struct seal_key *key, struct str label, struct str secret, struct buf *out)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	unsigned char head[BEFORE] = {FORMAT}, tag[TAG];
	char *room;
	int n = 0, last = 0;

	must(ctx != NULL && secret.n <= SECRET_MAX);
	mark_of(key, head + 1);
	random_fill(head + 1 + MARK, NONCE);
	buf_put(out, head, sizeof(head));
	room = buf_room(out, secret.n + TAG);
	must(room != NULL);
	must(EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->bytes, head + 1 + MARK) == 1);
	must(EVP_EncryptUpdate(ctx, NULL, &n, (const unsigned char *)label.p, (int)label.n) == 1);
	must(EVP_EncryptUpdate(ctx, (unsigned char *)room, &n, (const unsigned char *)secret.p, (int)secret.n) == 1);
	must(EVP_EncryptFinal_ex(ctx, (unsigned char *)room + n, &last) == 1 && (size_t)(n + last) == secret.n);
	must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG, tag) == 1);
	memcpy(room + secret.n, tag, TAG);
	buf_added(out, secret.n + TAG);
	EVP_CIPHER_CTX_free(ctx);
}

bool seal_is_by(const struct seal_key *key, struct str sealed)
{
	unsigned char mark[MARK];

	mark_of(key, mark);
	return sealed.n >= BEFORE + TAG && sealed.p[0] == FORMAT && memcmp(sealed.p + 1, mark, MARK) == 0;
}

/* The plaintext into room[n]; false when the tag says no. */
static bool decrypt(const struct seal_key *key, struct str label, struct str sealed, size_t n, char *room)
{
	const unsigned char *bytes = (const unsigned char *)sealed.p;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	unsigned char tag[TAG];
	int got = 0, last = 0;
	bool is_good;

	must(ctx != NULL);
	memcpy(tag, bytes + BEFORE + n, TAG);
	must(EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->bytes, bytes + 1 + MARK) == 1);
	must(EVP_DecryptUpdate(ctx, NULL, &got, (const unsigned char *)label.p, (int)label.n) == 1);
	must(EVP_DecryptUpdate(ctx, (unsigned char *)room, &got, bytes + BEFORE, (int)n) == 1);
	must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG, tag) == 1);
	is_good = EVP_DecryptFinal_ex(ctx, (unsigned char *)room + got, &last) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return is_good;
}

bool seal_open(const struct seal_key *key, struct str label, struct str sealed, struct buf *out, struct err *err)
{
	size_t n = sealed.n - BEFORE - TAG;
	char *room;

	if (!seal_is_by(key, sealed) || n > SECRET_MAX)
		return err_set(err, "it was sealed with another key, or is damaged");
	room = buf_room(out, n + 1);
	if (room == NULL)
		return err_set(err, "it is larger than %zu octets", out->max);
	if (!decrypt(key, label, sealed, n, room)) {
		mem_wipe(room, n);
		return err_set(err, "it is damaged, or belongs to another tenant or provider");
	}
	buf_added(out, n);
	return true;
}
