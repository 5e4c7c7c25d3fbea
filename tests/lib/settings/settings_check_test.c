/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules that span settings, each with a file that keeps it and one that breaks it.
 */
#include <stdlib.h>

#include "tests/lib/settings/settings_fixture.h"
#include "tests/support/unit.h"

#define OK "listeners: {a: {}}\n"
#define DIRECT "listeners: {a: {mode: direct}}\n"
#define SG OK "providers: {p: {type: sendgrid, api_key: k, endpoint: "
#define ADDRESS "is not an IPv4 or IPv6 address; allowed: such as 127.0.0.1, 0.0.0.0, ::\n"
#define NETWORK "is not an IPv4 or IPv6 network; allowed: such as 10.0.0.0/8, 192.0.2.7, 2001:db8::/32\n"

#define FINGERPRINT_FROM_2 "112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff"
#define FINGERPRINT "00" FINGERPRINT_FROM_2

static const struct {
	const char *text, *says;
} cases[] = {
	{"listeners: {a: {port: 25}, b: {port: 26}}\n", ""},
	{"listeners: {a: {port: 0}, b: {port: 0}}\n", ""},
	{"listeners: {a: {port: 25, address: 127.0.0.1}, b: {port: 25, address: 127.0.0.2}}\n", ""},
	{"listeners: {a: {port: 25, address: 0.0.0.0}, b: {port: 25, address: '::1'}}\n", ""},
	{"listeners:\n  a: {port: 25}\n  b: {port: 25, address: 127.0.0.2}\n",
	 "3:7: listeners.b.port: 127.0.0.2 port 25 is taken by listeners.a (::) already; each needs its own "
	 "address and port\n"},
	{"listeners:\n  a: {port: 25, address: 0.0.0.0}\n  b: {port: 25, address: 127.0.0.2}\n",
	 "3:7: listeners.b.port: 127.0.0.2 port 25 is taken by listeners.a (0.0.0.0) already; each needs its "
	 "own address and port\n"},
	{"listeners: {a: {}, b: {}}\n",
	 "1:20: listeners.b.port: :: port 587 is taken by listeners.a (::) already; each needs its own "
	 "address and port\n"},
	{"listeners: {a: {address: localhost}}\n", "1:17: listeners.a.address: \"localhost\" " ADDRESS},
	{"listeners: {a: {port: 8080}}\n", "1:17: listeners.a.port: :: port 8080 is api.port's already\n"},
	{OK "api: {address: x}\n", "2:7: api.address: \"x\" " ADDRESS},
	{"listeners: {a: {client_certificate: ask}}\n",
	 "1:17: listeners.a.client_certificate: it needs tls.client_ca_file or tls.client_pins: no certificate would be "
	 "accepted\n"},
	{"listeners: {a: {client_certificate: require}}\ntls: {client_ca_file: /ca.pem, client_crl_file: /crl.pem}\n", ""},
	{"listeners: {a: {client_certificate: ask}}\ntls: {client_pins: '" FINGERPRINT "  00:" FINGERPRINT_FROM_2 "'}\n", ""},
	{OK "tls: {client_pins: '" FINGERPRINT " 00'}\n",
	 "2:7: tls.client_pins: \"00\" is not a SHA-256 fingerprint (64 hex digits)\n"},
	{OK "tls: {client_crl_file: /crl.pem}\n",
	 "2:7: tls.client_crl_file: it needs tls.client_ca_file: whose revocation lists are they?\n"},
	{OK "queue: {default_provider: q}\n",
	 "2:9: queue.default_provider: \"q\" is not one of the providers; allowed: a name from the section "
	 "providers, or empty\n"},
	{OK "queue: {default_provider: q}\nproviders: {q: {directory: /tmp}}\n", ""},
	{OK "providers: {q: {}}\n", "2:13: providers.q.directory: a provider of type file needs it\n"},
	{OK "providers: {q: {type: pigeon}}\n",
	 "2:23: providers.q.type: \"pigeon\" is not one of: file, sendgrid, ses, mailgun, cakemail, postmark, resend, sparkpost, smtp, sandbox\n"},
	{OK "providers: {q: {type: sendgrid}}\n",
	 "2:13: providers.q.api_key: a provider of type sendgrid needs it\n"},
	{OK "providers: {q: {type: mailgun}}\n",
	 "2:13: providers.q.api_key: a provider of type mailgun needs it\n"
	 "2:13: providers.q.domain: a provider of type mailgun needs it\n"},
	{OK "providers: {q: {type: mailgun, api_key: k, domain: mg.example.com}}\n", ""},
	{OK "providers: {q: {type: mailgun, api_key: k, domain: 'x/../../v3/routes?'}}\n",
	 "2:44: providers.q.domain: \"x/../../v3/routes?\" is not a domain; allowed: such as mg.example.com\n"},
	{OK "providers: {q: {type: mailgun, api_key: k, domain: ..}}\n",
	 "2:44: providers.q.domain: \"..\" is not a domain; allowed: such as mg.example.com\n"},
	{OK "providers: {q: {type: sendgrid, api_key: 'k secret'}}\n",
	 "2:33: providers.q.api_key: it has a space or another character that none has\n"},
	{OK "providers: {q: {type: smtp, host: mx.example, user: u}}\n",
	 "2:13: providers.q.password: providers.q.user needs it\n"},
	{OK "providers: {q: {type: smtp, host: mx.example, password: w}}\n",
	 "2:13: providers.q.user: providers.q.password needs it\n"},
	{OK "providers: {q: {type: resend}}\n", "2:13: providers.q.api_key: a provider of type resend needs it\n"},
	{OK "providers: {q: {type: resend, api_key: k}}\n", ""},
	{OK "providers: {q: {type: sparkpost}}\n", "2:13: providers.q.api_key: a provider of type sparkpost needs it\n"},
	{OK "providers: {q: {type: sparkpost, api_key: k}}\n", ""},
	{OK "providers: {q: {type: smtp}}\n", "2:13: providers.q.host: a provider of type smtp needs it\n"},
	{OK "providers: {q: {type: smtp, host: mx.example, tls: off}}\n",
	 "2:47: providers.q.tls: off is not encrypted; allowed: starttls, implicit, or off to localhost, 127.0.0.1, ::1\n"},
	{OK "providers: {q: {type: smtp, host: 127.0.0.1, tls: off}}\n", ""},
	{OK "providers: {q: {type: ses}}\n",
	 "2:13: providers.q.access_key_id: a provider of type ses needs it\n"
	 "2:13: providers.q.secret_access_key: a provider of type ses needs it\n"},
	{OK "providers: {q: {type: ses, access_key_id: a, secret_access_key: b, region: 'a/b'}}\n",
	 "2:68: providers.q.region: \"a/b\" is not an AWS region; allowed: such as us-east-1\n"},
	{OK "providers: {q: {type: ses, access_key_id: a, secret_access_key: b, session_token: 'c d'}}\n",
	 "2:68: providers.q.session_token: it has a space or another character that none has\n"},
	{OK "providers: {q: {type: ses, access_key_id: a, secret_access_key: b, configuration_set: 'a b'}}\n",
	 "2:68: providers.q.configuration_set: \"a b\" is not a name; allowed: letters, digits, - and _\n"},
	{SG "'https://api.eu.sendgrid.com'}}\n", ""},
	{SG "'https://x:8443/base'}}\n", ""},
	{SG "'http://127.0.0.1:8025'}}\n", ""},
	{SG "'http://[::1]:8025/x'}}\n", ""},
	{SG "'http://localhost'}}\n", ""},
	{SG "'http://127.0.0.1.evil.example'}}\n",
	 "2:45: providers.p.endpoint: http is not encrypted; allowed: https, or http to localhost, 127.0.0.1, "
	 "[::1]\n"},
	{SG "'http://localhost@evil.example'}}\n",
	 "2:45: providers.p.endpoint: it has a user name in it; keys have settings of their own\n"},
	{SG "'ftp://x'}}\n", "2:45: providers.p.endpoint: it is not an https:// URL\n"},
	{SG "'https://'}}\n", "2:45: providers.p.endpoint: it names no host\n"},
	{SG "'https://x:0'}}\n", "2:45: providers.p.endpoint: its port is not between 1 and 65535\n"},
	{SG "'https://x?y'}}\n",
	 "2:45: providers.p.endpoint: it has a ? or # in it; allowed: https://HOST[:PORT][/PATH]\n"},
	{SG "'https://x y'}}\n",
	 "2:45: providers.p.endpoint: it has a character that is not allowed in a URL\n"},
	{OK "queue: {retry_first: 2m, retry_longest: 1m}\n",
	 "2:9: queue.retry_first: it is longer than queue.retry_longest\n"},
	{OK "database: {host: 'db1,db2:x'}\n",
	 "2:12: database.host: \"x\" is not a port (1 to 65535); allowed: HOST[:PORT],..., or a directory\n"},
	{OK "database: {host: 'db1,/run/postgresql'}\n",
	 "2:12: database.host: \"/run/postgresql\" is a directory, which must stand alone; allowed: names and addresses, or one "
	 "directory\n"},
	{OK "database: {host: 'db1, [::1]:5433'}\n", ""},
	{OK "database: {sslmode: verify-full}\n",
	 "2:1: database.ca_file: database.sslmode verify-full needs it\n"},
	{OK "limits: {allow: '10.0.0.0/8, ::1 192.0.2.7'}\n", ""},
	{OK "smtpd: {idempotency_header: X-Request-Id}\n", ""},
	{OK "smtpd: {idempotency_header: ''}\n", ""},
	{OK "smtpd: {idempotency_header: 'X-Key:'}\n",
	 "2:9: smtpd.idempotency_header: \"X-Key:\" is not the name of a field; allowed: printable ASCII without blanks and "
	 "colons, or nothing\n"},
	{OK "redis: {url: 'redis://u:p@10.0.0.1:6379/2'}\n", ""},
	{OK "redis: {url: 'rediss://[2001:db8::1]:6379'}\n", ""},
	{OK "redis: {url: 'rediss://:p@cache.example'}\ndatabase: {host: db.example}\n", ""},
	{OK "redis: {url: 'rediss://:p@cache.example:6379'}\n",
	 "2:9: redis.url: its host is a name, which cannot be looked up while database.host is a directory; allowed: an "
	 "IPv4 or IPv6 address, or a database.host that is a name or an address\n"},
	{OK "redis: {url: 'redis://:p@:6379'}\n", "2:9: redis.url: it names no host\n"},
	{OK "redis: {url: 'http://10.0.0.1'}\n", "2:9: redis.url: it is not a redis:// or rediss:// URL\n"},
	{OK "limits: {allow: '10.0.0.0/8 10.0.0'}\n", "2:10: limits.allow: \"10.0.0\" " NETWORK},
	{"listeners: {a: {proxy_networks: '10.0.0.1/8'}}\n",
	 "1:17: listeners.a.proxy_networks: \"10.0.0.1/8\" names an address within a network; allowed: the network's "
	 "first address, or an address without /\n"},
	{OK "users: {u: {networks: '::/129'}}\n",
	 "2:13: users.u.networks: \"::/129\" has no number of bits from 0 to 128 behind its /\n"},
	{OK "database: {host: ''}\n",
	 " gate.users: database.host is empty, so users cannot be there; allowed: settings, cakemail, or name a "
	 "database\n"
	 "1:13: listeners.a.mode: database.host is empty, so nothing can be queued; allowed: direct, or name a "
	 "database\n"},
	{DIRECT "gate: {users: cakemail}\ndatabase: {host: ''}\n", ""},
	{DIRECT "gate: {users: cakemail}\ndatabase: {host: '', name: '', admin_user: ''}\n", ""},
	{DIRECT "gate: {users: cakemail}\ndatabase: {host: ''}\ntenants: {t: {mode: direct-then-queue}}\n",
	 "4:15: tenants.t.mode: database.host is empty, so nothing can be queued; allowed: direct or listener, or "
	 "name a database\n"},
	{DIRECT "gate: {users: settings}\n",
	 "2:8: warning: gate.users: the section users is empty: nobody can log in\n"},
	{DIRECT "gate: {users: settings}\nusers: {u: {password: secret}}\n",
	 "3:13: users.u.password: it is not a hash; smtp-proxyctl user hash makes one\n"},
	{DIRECT "gate: {users: settings}\nusers: {u: {}}\n",
	 "3:9: users.u.password: a user needs a password (smtp-proxyctl user hash prints its hash) or "
	 "certificates\n"},
	{DIRECT "gate: {users: settings}\nusers: {u: {password: $y$x}}\n", ""},
	{DIRECT "gate: {cakemail_endpoint: 'http://api.example'}\n",
	 "2:8: gate.cakemail_endpoint: http is not encrypted; allowed: https, or http to localhost, 127.0.0.1, "
	 "[::1]\n"},
	{DIRECT "tenants: {t: {provider: p}}\n",
	 "2:15: tenants.t.provider: \"p\" is not one of the providers; allowed: a name from the section providers, "
	 "or empty\n"},
	{DIRECT "providers: {a: {type: sandbox}, b: {type: sandbox}, c: {type: sandbox}}\ntenants: {t: {provider: a, fallbacks: 'b:2, c > a'}}\n",
	 "3:28: tenants.t.fallbacks: \"a\" is not another one of the providers; allowed: such as \"ses > mailgun\"\n"},
	{DIRECT "providers: {a: {type: sandbox}, b: {type: sandbox}}\ntenants: {t: {provider: a, fallbacks: 'b:0'}}\n",
	 "3:28: tenants.t.fallbacks: \"b:0\" has no weight from 1 to 1000\n"},
	{DIRECT "smtpd: {submit_timeout: 41s}\n",
	 "2:9: smtpd.submit_timeout: a listener or tenant has a direct mode, whose answer may take 42s (direct: "
	 "deliver.call_timeout and 12s; direct-then-queue: direct.deadline and 22s); allowed: 42s or more\n"},
	{OK "smtpd: {submit_timeout: 26s}\ntenants: {t: {mode: direct-then-queue}}\n",
	 "2:9: smtpd.submit_timeout: a listener or tenant has a direct mode, whose answer may take 27s (direct: "
	 "deliver.call_timeout and 12s; direct-then-queue: direct.deadline and 22s); allowed: 27s or more\n"},
	{OK "smtpd: {submit_timeout: 1s}\n", ""},
};

static void rules_are_kept(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *said = settings_fixture(str_of(cases[i].text), NULL);

		UNIT_TEXT(said, cases[i].says);
		free(said);
	}
}

static void what_was_refused_is_not_called_missing_too(void)
{
	char *said = settings_fixture(
		STR(OK "providers:\n  q:\n    type: sendgrid\n    api_key: file:/no/such/file\n"), NULL);

	UNIT_TEXT(said, "5:14: providers.q.api_key: cannot read its file /no/such/file: No such file or "
			"directory\n");
	free(said);
}

static void settings_too_large_for_a_child_are_refused(void)
{
	struct buf text = BUF_MAX(1 << 20);
	char *said;

	buf_put_text(&text, OK "providers:\n");
	for (int i = 0; i < 40; i++) {
		buf_printf(&text, "  p%d: {type: sendgrid, api_key: ", i);
		for (int j = 0; j < 4000; j++)
			buf_put_char(&text, 'k');
		buf_put_text(&text, "}\n");
	}
	said = settings_fixture(buf_str(&text), NULL);
	UNIT_TEXT(said, "2:1: providers: all settings together are larger than 131072 bytes\n");
	free(said);
	buf_clear(&text);
}

UNIT_TESTS({"rules that span settings are kept", rules_are_kept},
	   {"what was refused is not called missing too", what_was_refused_is_not_called_missing_too},
	   {"settings too large for a child are refused", settings_too_large_for_a_child_are_refused})
