/* SPDX-License-Identifier: Apache-2.0
 *
 * yescrypt with libxcrypt's default cost, which is what a Debian system uses for its own users (each
 * takes 16 MiB and about 20 ms).
 */
#include "lib/queue/password.h"

#include <crypt.h>
#include <stdlib.h>

#include "lib/base/mem.h"
#include "lib/base/random.h"
#include "lib/base/trouble.h"

static const char method[] = "$y$";

/* The work area is large (32 KiB) and holds secrets: wiped and freed. */
static bool compute(struct str password, const char *setting, char *out)
{
	struct crypt_data *data;
	char text[PASSWORD_MAX + 1];
	const char *made;
	bool ok;

	if (!str_copy(password, text, sizeof(text)))
		return false;
	data = mem_zero(sizeof(*data));
	made = crypt_r(text, setting, data);
	/* A failure is NULL, or a text that begins with '*' and equals no hash. */
	ok = made != NULL && made[0] != '*' && str_copy(str_of(made), out, PASSWORD_HASH_MAX);
	mem_wipe(text, sizeof(text));
	mem_wipe(data, sizeof(*data));
	free(data);
	return ok;
}

bool password_hash(struct str password, char *out, struct err *err)
{
	char salt[CRYPT_GENSALT_OUTPUT_SIZE], random[32];

	if (password.n == 0)
		return err_set(err, "an empty password is none");
	if (password.n > PASSWORD_MAX)
		return err_set(err, "the password is longer than %d octets", PASSWORD_MAX);
	if (str_find(password, '\0') < password.n)
		return err_set(err, "the password has a NUL in it");
	random_fill(random, sizeof(random));
	if (crypt_gensalt_rn(method, 0, random, sizeof(random), salt, sizeof(salt)) == NULL)
		return err_set(err, "this system's crypt(3) does not know yescrypt");
	mem_wipe(random, sizeof(random));
	if (!compute(password, salt, out))
		return err_set(err, "this system's crypt(3) cannot compute yescrypt");
	return true;
}

bool password_is_right(struct str password, const char *hash)
{
	char computed[PASSWORD_HASH_MAX];
	size_t n = strlen(hash);
	unsigned char difference = 0;

	if (!compute(password, hash, computed) || strlen(computed) != n)
		return false;
	for (size_t i = 0; i < n; i++)
		difference |= (unsigned char)(computed[i] ^ hash[i]);
	mem_wipe(computed, sizeof(computed));
	return difference == 0;
}
