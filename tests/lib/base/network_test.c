/* SPDX-License-Identifier: Apache-2.0
 *
 * Which addresses are in which networks, and under which name they are counted.
 */
#include "lib/base/network.h"

#include "tests/support/unit.h"

static void an_address_is_in_its_networks_only(void)
{
	static const struct {
		const char *networks, *address;
		bool is_in;
	} cases[] = {
		{"", "192.0.2.1", false},
		{"10.0.0.0/8", "10.255.255.255", true},
		{"10.0.0.0/8", "11.0.0.0", false},
		{"192.0.2.7", "192.0.2.7", true},
		{"192.0.2.7", "192.0.2.6", false},
		{"192.0.2.0/25", "192.0.2.127", true},
		{"192.0.2.0/25", "192.0.2.128", false},
		{"0.0.0.0/0", "203.0.113.9", true},
		{"0.0.0.0/0", "2001:db8::1", false},
		{"::/0", "2001:db8::1", true},
		{"::/0", "203.0.113.9", false},
		{"2001:db8::/33", "2001:db8:7fff::1", true},
		{"2001:db8::/33", "2001:db8:8000::1", false},
		{"::1", "::1", true},
		{"10.0.0.0/8 2001:db8::/32, 192.0.2.7", "192.0.2.7", true},
		{"10.0.0.0/8,2001:db8::/32", "2001:db8:1::", true},
		{" , 10.0.0.0/8 ,\t", "10.1.1.1", true},
		{"10.0.0.0/8", "::ffff:10.1.1.1", true},
		{"::ffff:10.0.0.0/104", "10.1.1.1", true},
		{"10.0.0.0/8", "unknown", false},
		{"0.0.0.0/0", "", false},
		{"0.0.0.0/0", "1.2.3.4.5", false},
		{"0.0.0.0/0", "1.2.3.4 ", false},
		{"::/0", "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct network_list list;
		struct err err;

		UNIT_TRUE(network_list_parse(str_of(cases[i].networks), &list, &err));
		if (network_list_has(&list, str_of(cases[i].address)) != cases[i].is_in)
			printf("\n%s in %s\n", cases[i].address, cases[i].networks);
		UNIT_INT(network_list_has(&list, str_of(cases[i].address)), cases[i].is_in);
		network_list_clear(&list);
		network_list_clear(&list);
	}
}

static void a_wrong_network_is_named(void)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"10.0.0.0/8 nonsense 1.2.3.4", "\"nonsense\" is not an IPv4"},
		{"10.0.0.0/33", "\"10.0.0.0/33\" has no number of bits from 0 to 32"},
		{"10.0.0.0/", "\"10.0.0.0/\" has no number"},
		{"10.0.0.0/-1", "\"10.0.0.0/-1\" has no number"},
		{"10.0.0.0/8/8", "\"10.0.0.0/8/8\" has no number"},
		{"10.0.0.1/8", "\"10.0.0.1/8\" names an address within a network"},
		{"2001:db8::1/32", "\"2001:db8::1/32\" names an address within a network"},
		{"/8", "\"/8\" is not an IPv4"},
		{"fe80::1%eth0", "\"fe80::1%eth0\" is not an IPv4"},
		{"010.0.0.1", "\"010.0.0.1\" is not an IPv4"},
	};
	struct network_list list;
	struct err err;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		UNIT_TRUE(!network_list_parse(str_of(cases[i].text), &list, &err));
		UNIT_STR(str_first(str_of(err.text), strlen(cases[i].says)), cases[i].says);
		UNIT_INT(list.n, 0);
	}
	UNIT_TRUE(!network_list_parse(str_bytes("10.0.0.1\0", 9), &list, &err));
}

static void ipv6_counts_by_its_64(void)
{
	static const struct {
		const char *address, *key;
	} cases[] = {
		{"192.0.2.1", "192.0.2.1"},
		{"::ffff:192.0.2.1", "192.0.2.1"},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
		{"2001:db8:1:2::/64", "2001:db8:1:2::/64"},
		{"2001:DB8::1", "2001:db8::/64"},
		{"0:0:0:1::1", "0:0:0:1::/64"},
		{"::1", "::/64"},
		{"::/64", "::/64"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff::/64"},
		{"unknown", ""},
		{"192.0.2.0/24", ""},
		{"", ""},
	};
	char key[NETWORK_KEY];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		UNIT_INT(network_key(str_of(cases[i].address), key), cases[i].key[0] != '\0');
		UNIT_TEXT(key, cases[i].key);
	}
}

static void this_host_is_known_by_its_own_names(void)
{
	static const char *const own[] = {"localhost", "LocalHost", "127.0.0.1", "127.9.9.9", "::1", "[::1]", "0::1", "::ffff:127.0.0.1"};
	static const char *const others[] = {"", "localhost.", "localhost.example", "127.0.0.1.example", "128.0.0.1", "10.0.0.1", "::",
					     "::2", "[::2]", "[", "[]", "127.1", "0.0.0.0"};

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		UNIT_TRUE(network_is_this_host(str_of(own[i])));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		UNIT_TRUE(!network_is_this_host(str_of(others[i])));
}

static void what_only_this_host_reaches_is_near(void)
{
	static const char *const near[] = {"127.0.0.1", "127.255.0.9", "::1", "::", "0.0.0.0", "169.254.169.254", "169.254.0.1",
					   "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "fe80::1", "febf::1", "ff02::1",
					   "224.0.0.1", "239.255.255.255", "255.255.255.255", "fd00:ec2::254"};
	static const char *const far[] = {"10.0.0.1", "192.0.2.1", "126.255.255.255", "128.0.0.1", "169.253.255.255", "169.255.0.0",
					  "223.255.255.255", "240.0.0.1", "2001:db8::1", "fec0::1", "fd00:ec3::1", "localhost", ""};

	for (size_t i = 0; i < sizeof(near) / sizeof(near[0]); i++)
		UNIT_TRUE(network_is_near(str_of(near[i])));
	for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i++)
		UNIT_TRUE(!network_is_near(str_of(far[i])));
}

UNIT_TESTS({"what only this host reaches is near", what_only_this_host_reaches_is_near},
	   {"this host is known by its own names", this_host_is_known_by_its_own_names},
	   {"an address is in its networks only", an_address_is_in_its_networks_only},
	   {"a wrong network is named", a_wrong_network_is_named},
	   {"IPv6 counts by its /64", ipv6_counts_by_its_64})
