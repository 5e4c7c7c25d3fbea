/* SPDX-License-Identifier: Apache-2.0
 *
 * An address, a line feed, a list of networks: both come from outside (a PROXY header, an operator).
 */
#include "lib/base/network.h"

#include "lib/base/trouble.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_bytes(data, size), address = str_first(text, str_find(text, '\n'));
	char key[NETWORK_KEY], again[NETWORK_KEY];
	bool is_address = network_is_address(address), has_key = network_key(address, key);
	struct network_list list;
	struct err err;

	must(!is_address || has_key);
	/* A key names itself. */
	if (has_key)
		must(network_key(str_of(key), again) && strcmp(key, again) == 0);
	if (network_list_parse(address, &list, &err)) {
		must(!is_address || (list.n == 1 && network_list_has(&list, address)));
		network_list_clear(&list);
	} else {
		must(!is_address && err.text[0] != '\0' && list.n == 0);
	}
	if (network_list_parse(str_from(text, address.n + 1), &list, &err)) {
		must(is_address || !network_list_has(&list, address));
		network_list_clear(&list);
	}
	return 0;
}
