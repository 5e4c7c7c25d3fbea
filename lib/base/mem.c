/* SPDX-License-Identifier: Apache-2.0
 *
 * Allocation that dies instead of failing, and the wiping of secrets.
 */
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/trouble.h"

void *mem_zero(size_t size)
{
	return mem_array(1, size);
}

void *mem_array(size_t count, size_t size)
{
	void *p = calloc(count ? count : 1, size ? size : 1);

	if (p == NULL)
		die("out of memory: %zu times %zu bytes", count, size);
	return p;
}

void *mem_grow(void *old, size_t size)
{
	void *p = realloc(old, size ? size : 1);

	if (p == NULL)
		die("out of memory: %zu bytes", size);
	return p;
}

char *mem_copy(const void *bytes, size_t n)
{
	char *p = mem_grow(NULL, n + 1);

	if (n > 0)
		memcpy(p, bytes, n);
	p[n] = '\0';
	return p;
}

char *mem_text(const char *text)
{
	return text == NULL ? NULL : mem_copy(text, strlen(text));
}

void mem_wipe(void *secret, size_t n)
{
	if (n > 0)
		explicit_bzero(secret, n);
}

void mem_free_secret(char **secret)
{
	if (*secret == NULL)
		return;
	mem_wipe(*secret, strlen(*secret));
	mem_free(secret);
}
