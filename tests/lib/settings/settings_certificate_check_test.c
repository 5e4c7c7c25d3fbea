/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules of certificates, acme, aws and alerts, each with a file that keeps it and one that breaks it.
 */
#include <stdlib.h>

#include "lib/settings/settings_certificate_check.h"
#include "tests/lib/settings/settings_fixture.h"
#include "tests/support/unit.h"

#define OK "listeners: {a: {}}\n"
#define AGREES "acme: {agree_to_terms: true, dns_hook: /hook, directory: 'https://ca.test/dir'}\n"
#define NAMES OK AGREES "certificates: {c: {from: acme, challenge: dns-01, names: "
#define BAD_NAME(text, why) "3:51: certificates.c.names: \"" text "\" is not a DNS name: " why "; allowed: such as mail.example.com\n"
#define CHARACTER \
	"it has a character that none has: allowed are lower-case letters, digits and -; other letters are written as xn--..."
#define BLANKS "several names have blanks between them, nothing else"
#define LABEL "a part between its dots is empty, or longer than 63 characters"
#define L63 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"
#define CONTACT "is not an email address; allowed: such as \"admin@example.com ops@example.com\"\n"
#define SERVER "is not the address of a name server; allowed: ADDRESS or ADDRESS:PORT, such as \"192.0.2.53 [2001:db8::53]:5353\"\n"
#define S3 "is not a place in S3; allowed: s3://BUCKET or s3://BUCKET/PREFIX, with letters, digits, - _ . in it\n"
#define TOPIC "is not the ARN of a topic; allowed: such as arn:aws:sns:us-east-1:123456789012:NAME\n"

static const struct {
	const char *text, *says;
} cases[] = {
	/* files */
	{OK "certificates: {c: {certificate_file: /c.pem}}\n", ""},
	{OK "certificates: {a@key: {certificate_file: /c.pem}}\n", ""},
	{OK "certificates: {c: {}}\n",
	 "2:16: certificates.c.certificate_file: it is missing; or say from: acme, and it is obtained\n"},
	{OK "certificates: {c: {from: ACME}}\n", "2:26: certificates.c.from: \"ACME\" is not one of: files, acme\n"},
	{OK "certificates: {c: acme}\n",
	 "2:19: certificates.c: a single value; settings, indented below its name, are needed\n"},
	{OK "tls: {certificate_file: ''}\n",
	 "2:7: tls.certificate_file: it is empty, and so is the section certificates; one of them must name a certificate\n"},
	{OK "tls: {certificate_file: ''}\ncertificates: {c: {certificate_file: /c.pem}}\n", ""},
	{OK AGREES "tls: {certificate_file: ''}\ncertificates: {c: {from: acme}}\n", ""},
	{OK "tls: {certificate_file: '', key_file: /k, ocsp_file: /o}\ncertificates: {c: {certificate_file: /c.pem}}\n",
	 "2:29: tls.key_file: it is the key of tls.certificate_file, which is empty\n"
	 "2:43: tls.ocsp_file: it is about tls.certificate_file, which is empty\n"},
	{OK "tls: {certificate_file: tls.pem}\n",
	 "2:25: tls.certificate_file: \"tls.pem\" is not an absolute path (one that begins with /)\n"},
	/* one from acme */
	{OK AGREES "certificates: {mail.example.com: {from: acme}, b-_.9: {from: acme, names: b.test}}\n", ""},
	{OK AGREES "certificates: {c+: {from: acme, names: b.test}}\n",
	 "3:16: certificates.c+: its key is the name of a directory; allowed: letters, digits, - _ . and no dot at the beginning "
	 "(its DNS names may stand in names)\n"},
	{OK AGREES "certificates: {.accounts: {from: acme, names: b.test}}\n",
	 "3:16: certificates..accounts: its key is the name of a directory; allowed: letters, digits, - _ . and no dot at the beginning "
	 "(its DNS names may stand in names)\n"},
	{OK AGREES "certificates: {c: {from: acme, certificate_file: /c, key_file: /k, ocsp_file: /o}}\n",
	 "3:32: certificates.c.certificate_file: a certificate from acme is kept below instance.state_dir; leave it out, or say from: "
	 "files\n"
	 "3:54: certificates.c.key_file: a certificate from acme is kept below instance.state_dir; leave it out, or say from: files\n"
	 "3:68: certificates.c.ocsp_file: a certificate from acme is kept below instance.state_dir; leave it out, or say from: "
	 "files\n"},
	{OK "certificates: {c.t: {from: acme}}\n",
	 " acme.agree_to_terms: certificates.c.t is from acme, and the authority gives none without your agreement to its terms of "
	 "service; allowed: true, when you have read them\n"},
	{OK "acme: {agree_to_terms: true, directory: 'https://ca.test/dir'}\ncertificates: {c: {from: acme, challenge: dns-01}}\n",
	 "3:32: certificates.c.challenge: dns-01 needs acme.dns_hook or acme.dns_server\n"},
	/* its names */
	{NAMES "'a.test  xn--mnchen-3ya.example 9-9.b " L63 ".test *.a.test'}}\n", ""},
	{OK "acme: {agree_to_terms: true, directory: 'https://ca.test/dir'}\ncertificates: {post: {from: acme}}\n", ""},
	{OK "acme: {agree_to_terms: true, directory: letsencrypt-staging}\ncertificates: {post: {from: acme}}\n",
	 "3:16: warning: certificates.post.names: \"post\" has no domain, and acme.directory gives certificates for public names only; "
	 "the DNS names stand in names, or are the key\n"},
	{NAMES "'a.test b.test a.test'}}\n", "3:51: certificates.c.names: \"a.test\" stands there twice\n"},
	{NAMES "Mail.test}}\n", BAD_NAME("Mail.test", CHARACTER)},
	{NAMES "b\xc3\xbc" "cher.test}}\n", BAD_NAME("b\xc3\xbc" "cher.test", CHARACTER)},
	{NAMES "a_b.test}}\n", BAD_NAME("a_b.test", CHARACTER)},
	{NAMES "'a,b.test'}}\n", BAD_NAME("a,b.test", BLANKS)},
	{NAMES "'a.test; b.test'}}\n", BAD_NAME("a.test;", BLANKS)},
	{NAMES "'a.*.test'}}\n", BAD_NAME("a.*.test", CHARACTER)},
	{NAMES "'*.*.test'}}\n", BAD_NAME("*.*.test", CHARACTER)},
	{NAMES "'*'}}\n", BAD_NAME("*", CHARACTER)},
	{NAMES "'*.'}}\n", BAD_NAME("*.", LABEL)},
	{NAMES "a.test.}}\n", BAD_NAME("a.test.", LABEL)},
	{NAMES ".test}}\n", BAD_NAME(".test", LABEL)},
	{NAMES "-a.test}}\n", BAD_NAME("-a.test", "a part begins or ends with -")},
	{NAMES "a-.test}}\n", BAD_NAME("a-.test", "a part begins or ends with -")},
	{NAMES "192.0.2.1}}\n", BAD_NAME("192.0.2.1", "it ends with a number, as addresses do")},
	{NAMES "'x" L63 ".test'}}\n", BAD_NAME("x" L63, LABEL)},
	{NAMES "'" L63 "." L63 "." L63 "." L63 ".x'}}\n", BAD_NAME(L63 ".", "it is longer than 253 characters")},
	{OK AGREES "certificates: {c: {from: acme, names: '*.a.test'}}\n",
	 "3:32: certificates.c.names: \"*.a.test\" has a wildcard, for which authorities take no other challenge than dns-01\n"},
	{OK AGREES "certificates: {My_Cert: {from: acme}}\n",
	 "3:16: certificates.My_Cert.names: \"My_Cert\" is not a DNS name: " CHARACTER "; allowed: such as mail.example.com\n"},
	/* the authority */
	{OK "acme: {directory: letsencrypt-staging, check_time: '23:59', contact: 'a@b.test c@d.test'}\n", ""},
	{OK "acme: {directory: 'https://acme.example:14000/dir'}\n", ""},
	{OK "acme: {directory: 'http://127.0.0.1/dir'}\n", ""},
	{OK "acme: {directory: 'http://ca.example/dir'}\n",
	 "2:8: acme.directory: http is not encrypted; allowed: https, or http to localhost, 127.0.0.1, [::1]; allowed: letsencrypt, "
	 "letsencrypt-staging, or the URL of an authority's directory\n"},
	{OK "acme: {directory: zerossl}\n",
	 "2:8: acme.directory: it is not an https:// URL; allowed: letsencrypt, letsencrypt-staging, or the URL of an authority's "
	 "directory\n"},
	{OK "acme: {check_time: '24:00'}\n", "2:8: acme.check_time: \"24:00\" is not a time of day; allowed: HH:MM, such as 02:00\n"},
	{OK "acme: {check_time: '2:00'}\n", "2:8: acme.check_time: \"2:00\" is not a time of day; allowed: HH:MM, such as 02:00\n"},
	{OK "acme: {contact: 'mailto:a@b.test'}\n", "2:8: acme.contact: \"mailto:a@b.test\" " CONTACT},
	{OK "acme: {contact: 'a@b.test,c@d.test'}\n", "2:8: acme.contact: \"a@b.test,c@d.test\" " CONTACT},
	{OK "acme: {contact: '@b.test'}\n", "2:8: acme.contact: \"@b.test\" " CONTACT},
	{OK "acme: {contact: admin}\n", "2:8: acme.contact: \"admin\" " CONTACT},
	{OK "acme: {eab_key_id: kid, eab_key: zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W}\n", ""},
	{OK "acme: {eab_key_id: kid}\n", "2:1: acme.eab_key: acme.eab_key_id needs it\n"},
	{OK "acme: {eab_key: c2VjcmV0}\n", "2:1: acme.eab_key_id: acme.eab_key needs it\n"},
	{OK "acme: {eab_key_id: kid, eab_key: 'not+64/'}\n",
	 "2:25: acme.eab_key: it is not base64url; allowed: letters, digits, - and _, without = at its end\n"},
	/* ports */
	{OK "acme: {http_address: localhost}\n",
	 "2:8: acme.http_address: \"localhost\" is not an IPv4 or IPv6 address; allowed: such as 0.0.0.0, ::\n"},
	{OK "acme: {alpn_address: x}\n", "2:8: acme.alpn_address: \"x\" is not an IPv4 or IPv6 address; allowed: such as 0.0.0.0, ::\n"},
	{"listeners: {a: {port: 443}}\nacme: {agree_to_terms: true}\ncertificates: {c.t: {from: acme}}\n", ""},
	{"listeners: {a: {port: 443}}\nacme: {agree_to_terms: true}\ncertificates: {c.t: {from: acme, challenge: tls-alpn-01}}\n",
	 "2:1: acme.alpn_port: port 443 is taken by listeners.a already\n"},
	{"listeners: {a: {port: 80, address: 127.0.0.1}}\nacme: {agree_to_terms: true, http_address: 127.0.0.2}\n"
	 "certificates: {c.t: {from: acme}}\n", ""},
	{OK "acme: {agree_to_terms: true, http_port: 8080}\ncertificates: {c.t: {from: acme}}\n",
	 "2:30: acme.http_port: port 8080 is api.port's already\n"},
	{OK "acme: {agree_to_terms: true, http_port: 443}\ncertificates: {c.t: {from: acme}, d.t: {from: acme, challenge: tls-alpn-01}}\n",
	 "2:1: acme.alpn_port: port 443 is acme.http_port's already\n"},
	{OK "acme: {agree_to_terms: true, http_port: 0, alpn_port: 0}\ncertificates: {c.t: {from: acme}, d.t: {from: acme, challenge: "
	    "tls-alpn-01}}\n", ""},
	/* the DNS */
	{OK "acme: {dns_server: 'ns.example:5353', dns_zone: example.com, dns_key_name: Key_1., dns_key: c2VjcmV0, dns_check: '192.0.2.1 "
	    "[2001:db8::1]:53 192.0.2.2:5353 2001:db8::2'}\n", ""},
	{OK "acme: {dns_hook: /hook, dns_server: ns.example}\n",
	 "2:25: acme.dns_server: there is acme.dns_hook too; allowed: one of them\n"},
	{OK "acme: {dns_server: 'a, b'}\n", "2:8: acme.dns_server: \"a, b\" is not a name server; allowed: HOST or HOST:PORT\n"},
	{OK "acme: {dns_server: 'a:0'}\n", "2:8: acme.dns_server: \"a:0\" is not a name server; allowed: HOST or HOST:PORT\n"},
	{OK "acme: {dns_zone: 'a b'}\n", "2:8: acme.dns_zone: \"a b\" is not the name of a zone; allowed: such as example.com\n"},
	{OK "acme: {dns_key: c2VjcmV0}\n", "2:1: acme.dns_key_name: acme.dns_key needs it\n"},
	{OK "acme: {dns_key_name: k}\n", "2:1: acme.dns_key: acme.dns_key_name needs it\n"},
	{OK "acme: {dns_key_name: k, dns_key: c2VjcmV}\n", "2:25: acme.dns_key: it is not base64\n"},
	{OK "acme: {dns_key_name: 'k\"', dns_key: c2VjcmV0}\n",
	 "2:8: acme.dns_key_name: \"k\"\" is not the name of a key; allowed: letters, digits, - _ .\n"},
	{OK "acme: {dns_check: '::1 ::2 ::3 ::4 ::5 ::6 ::7 ::8 ::9'}\n",
	 "2:8: acme.dns_check: it has 9 name servers; allowed: 8 at most\n"},
	{OK "acme: {dns_check: 'ns.example'}\n", "2:8: acme.dns_check: \"ns.example\" " SERVER},
	/* copies and alerts */
	{OK "acme: {backup_s3: 's3://my-bucket.x/a/b_c.d/'}\nalerts: {webhook: 'https://hooks.test/x?key=1&token=2', sns_topic: "
	    "'arn:aws-us-gov:sns:us-gov-west-1:123456789012:My_Topic-1'}\naws: {s3_endpoint: 'http://127.0.0.1:9000'}\n", ""},
	{OK "acme: {backup_s3: 's3://B'}\n", "2:8: acme.backup_s3: \"s3://B\" " S3},
	{OK "acme: {backup_s3: 's3://bucket/../x'}\n", "2:8: acme.backup_s3: \"s3://bucket/../x\" " S3},
	{OK "acme: {backup_s3: 's3://bucket/a//x'}\n", "2:8: acme.backup_s3: \"s3://bucket/a//x\" " S3},
	{OK "acme: {backup_s3: 'bucket'}\n", "2:8: acme.backup_s3: \"bucket\" " S3},
	{OK "alerts: {sns_topic: 'arn:aws:sqs:us-east-1:123456789012:q'}\n",
	 "2:10: alerts.sns_topic: \"arn:aws:sqs:us-east-1:123456789012:q\" " TOPIC},
	{OK "alerts: {sns_topic: 'arn:aws:sns:us-east-1:12345678901:q'}\n",
	 "2:10: alerts.sns_topic: \"arn:aws:sns:us-east-1:12345678901:q\" " TOPIC},
	{OK "alerts: {sns_topic: 'arn:aws:sns:us-east-1:123456789012:q:sub'}\n",
	 "2:10: alerts.sns_topic: \"arn:aws:sns:us-east-1:123456789012:q:sub\" " TOPIC},
	{OK "alerts: {webhook: 'http://hooks.test/s3cret'}\n",
	 "2:10: alerts.webhook: http is not encrypted; allowed: https, or http to localhost, 127.0.0.1, [::1]\n"},
	{OK "alerts: {webhook: 'https://hooks.test/?a b'}\n", "2:10: alerts.webhook: it has a character that is not allowed in a URL\n"},
	{OK "acme: {backup_s3: 's3://bucket'}\naws: {credentials: settings}\n",
	 "3:1: aws.access_key_id: aws.credentials is settings: it is needed\n"
	 "3:1: aws.secret_access_key: aws.credentials is settings: it is needed\n"},
	{OK "aws: {region: 'us east', session_token: 'a b', sns_endpoint: 'ftp://x'}\n",
	 "2:7: aws.region: \"us east\" is not an AWS region; allowed: such as us-east-1\n"
	 "2:26: aws.session_token: it has a space or another character that none has\n"
	 "2:48: aws.sns_endpoint: it is not an https:// URL\n"},
};

static void rules_are_kept(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *said = settings_fixture(str_of(cases[i].text), NULL);

		UNIT_TEXT(said, cases[i].says);
		free(said);
	}
}

static void so_many_names_and_no_more(void)
{
	for (int most = SETTINGS_CERTIFICATE_NAMES; most <= SETTINGS_CERTIFICATE_NAMES + 1; most++) {
		struct buf text = BUF_MAX(1 << 16);
		char *said;

		buf_put_text(&text, NAMES "'");
		for (int i = 0; i < most; i++)
			buf_printf(&text, "n%d.example.com ", i);
		buf_put_text(&text, "'}}\n");
		said = settings_fixture(buf_str(&text), NULL);
		UNIT_TEXT(said, most == SETTINGS_CERTIFICATE_NAMES
					? "" : "3:51: certificates.c.names: it has 101 names; allowed: 100, more go into another certificate\n");
		free(said);
		buf_clear(&text);
	}
}

UNIT_TESTS({"the rules of certificates are kept", rules_are_kept}, {"so many names and no more", so_many_names_and_no_more})
