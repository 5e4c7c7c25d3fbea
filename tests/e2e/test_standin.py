# SPDX-License-Identifier: Apache-2.0
"""The stand-ins themselves: they must refuse what the real providers refuse, or the other tests prove nothing."""
import copy
import json
import unittest
from unittest import mock

from tests.support import standin
from tests.support.mail import has_lone_newline
from tests.support.standin import sigv4


class SendGridRules(unittest.TestCase):
    GOOD = {"from": {"email": "a@example.com", "name": "A"},
            "personalizations": [{"to": [{"email": "b@example.net"}], "cc": [{"email": "c@example.net"}]}],
            "subject": "x", "content": [{"type": "text/plain", "value": "t"}, {"type": "text/html", "value": "<p>"}],
            "attachments": [{"content": "eA==", "filename": "a.txt", "type": "text/plain"}], "headers": {"X-A": "1"}}

    @classmethod
    def setUpClass(cls):
        cls.provider = standin.SendGrid()
        cls.addClassCleanup(cls.provider.close)

    def refused(self, **change):
        message = copy.deepcopy(self.GOOD) | change
        with self.assertRaises((standin.Refused, KeyError, TypeError, AttributeError), msg=str(change)):
            self.provider._mail(message)

    def test_a_good_message_is_taken(self):
        self.provider._mail(self.GOOD)

    def test_bad_messages_are_refused(self):
        person = {"to": [{"email": "b@example.net"}]}
        for change in ({"subject": ""}, {"content": []}, {"content": [{"type": "text/plain", "value": ""}]},
                       {"content": list(reversed(self.GOOD["content"]))}, {"headers": {"Subject": "x"}},
                       {"headers": {"X-A": "1", "x-a": "2"}}, {"headers": {"X-A": "ü"}}, {"headers": {"X-A": 1}},
                       {"headers": {"X A": "1"}}, {"personalizations": []}, {"personalizations": [{"to": []}]},
                       {"personalizations": [person | {"cc": []}]},
                       {"personalizations": [person | {"bcc": [{"email": "B@example.net"}]}]},
                       {"from": {"email": "nobody"}}, {"attachments": [{"content": "!", "filename": "a"}]},
                       {"attachments": [{"content": "eA==", "filename": "a", "type": "text/plain; charset=x"}]},
                       {"attachments": [{"content": "eA==", "filename": "a", "disposition": "inline"}]},
                       {"custom_args": {}}, {"custom_args": {"a": 1}}, {"nonsense": 1},
                       {"reply_to": {"email": "a@example.com"}, "reply_to_list": []}):
            self.refused(**change)


class ResendRules(unittest.TestCase):
    GOOD = {"from": "A <a@example.com>", "to": ["B <b@example.net>"], "cc": ["c@example.net"], "subject": "x", "text": "t"}

    def check(self, mail, key="k", path="/emails"):
        headers = {"user-agent": "x", "authorization": f"Bearer {self.provider.key}", "content-type": "application/json",
                   "idempotency-key": key}
        return self.provider.check("POST", path, headers, json.dumps(mail).encode())

    def setUp(self):
        self.provider = standin.Resend()
        self.addCleanup(self.provider.close)

    def test_good_messages_are_taken_and_bad_ones_refused(self):
        self.assertFalse(self.check(self.GOOD)["is_batch"])
        self.assertTrue(self.check([self.GOOD], path="/emails/batch")["is_batch"])
        for change in ({"to": []}, {"to": ["\"B, C\" <b@example.net>"]}, {"from": "=?utf-8?q?x?= <a@example.com>"},
                       {"cc": ["b@example.net"]}, {"subject": ""}, {"headers": {"X": "ü"}}, {"nonsense": 1},
                       {"attachments": [{"content": "", "filename": "a"}]}, {"tags": [{"name": "a b", "value": "c"}]}):
            with self.assertRaises(standin.Refused, msg=change):
                self.check(self.GOOD | change)
        with self.assertRaises(standin.Refused):
            self.check([self.GOOD | {"attachments": [{"content": "eA==", "filename": "a.txt"}]}], path="/emails/batch")

    def test_a_key_is_obeyed_once(self):
        self.provider.known["k"] = (self.check(self.GOOD), b"{}")
        with self.assertRaises(standin.Told):
            self.check(self.GOOD)
        with self.assertRaises(standin.Refused):
            self.check(self.GOOD | {"subject": "y"})

    def test_what_resend_would_drop_is_remembered(self):
        self.check(self.GOOD | {"attachments": [{"content": "eA==", "filename": "a.zip", "content_type": "application/pdf"}]})
        self.assertEqual(len(self.provider.dropped), 1)


class MailgunRules(unittest.TestCase):
    def test_forms_that_are_not_as_they_should_be_are_refused(self):
        provider = standin.Mailgun()
        self.addCleanup(provider.close)
        to = b'--b\r\nContent-Disposition: form-data; name="to"\r\n\r\nx@y\r\n'
        message = b'--b\r\nContent-Disposition: form-data; name="message"; filename="m"\r\n\r\nFrom: a\r\n\r\n.\r\n'
        kind = "multipart/form-data; boundary=b"
        self.assertEqual(provider._mail(provider._form(kind, to + message + b"--b--\r\n"))["to"], ["x@y"])
        for kind, body in (("application/json", to), (kind, to + message), (kind, to + b"--b--\r\n"),
                           (kind, message + b"--b--\r\n"), (kind, to + message.replace(b'; filename="m"', b"") + b"--b--\r\n"),
                           (kind, to + message.replace(b"From: a", b"From: a\r\nBcc: x") + b"--b--\r\n")):
            with self.assertRaises(standin.Refused, msg=body):
                provider._mail(provider._form(kind, body))


class SparkPostRules(unittest.TestCase):
    def test_transmissions_that_are_not_as_they_should_be_are_refused(self):
        provider = standin.SparkPost()
        self.addCleanup(provider.close)

        def transmission(text="From: a@b\r\n\r\n{{.}}", **change):
            return {"options": {"transactional": True}, "recipients": [{"address": {"email": "x@y"}}],
                    "content": {"email_rfc822": text}} | change
        provider._transmission(transmission())
        for bad in (transmission("From: a@b\r\nSubject: {{x}}\r\n\r\n."), transmission("From: ü\r\n\r\n."), transmission("\r\n."),
                    transmission("From: a@b\n\n."), transmission(recipients=[]), transmission(nonsense=1),
                    transmission(recipients=[{"address": {"email": "x y@z"}}])):
            with self.assertRaises(standin.Refused, msg=bad):
                provider._transmission(bad)


class SesSignature(unittest.TestCase):
    """Against a vector that another implementation computed."""

    BODY = (b'{"Content":{"Raw":{"Data":"RnJvbTogYUBleGFtcGxlLmNvbQ0KDQpoaQ=="}},'
            b'"Destination":{"ToAddresses":["b@example.com"]}}')
    SIGNATURE = "332881b78df425b216d957c348437e93324380140e7a746b716d884367716634"

    def check(self, signature=SIGNATURE, body=BODY, path="/v2/email/outbound-emails", date="20150830T123600Z"):
        provider = standin.Ses(region="us-east-1")
        self.addCleanup(provider.close)
        provider.access_key_id, provider.secret_key = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
        headers = {"host": "email.us-east-1.amazonaws.com", "content-type": "application/json", "x-amz-date": date,
                   "authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/ses/aws4_request, "
                                    f"SignedHeaders=content-type;host;x-amz-date, Signature={signature}"}
        with mock.patch.object(sigv4.time, "time", lambda: sigv4.amz_time("20150830T123601Z")):
            return provider.check("POST", path, headers, body)

    def test_the_published_signature_is_right_and_others_are_not(self):
        self.assertIsNotNone(self.check())
        for change in ({"signature": self.SIGNATURE[:-1] + "5"}, {"body": self.BODY.replace(b"b@", b"c@")},
                       {"path": "/v2/email/other"}, {"date": "20150830T123601Z"}, {"date": "20150830T143600Z"}):
            with self.assertRaises(standin.Refused, msg=change):
                self.check(**change)

class S3Signature(unittest.TestCase):
    """Against the examples of the S3 API Reference ("Authenticating Requests: Using the Authorization Header")."""

    PUT = ("PUT", "/test%24file.text", b"Welcome to Amazon S3.", "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
           {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY",
            "x-amz-content-sha256": "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"})
    GET = ("GET", "/test.txt", b"", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
           {"range": "bytes=0-9", "x-amz-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"})

    def check(self, method, path, body, signature, more, **unsigned):
        provider = standin.S3(region="us-east-1")
        self.addCleanup(provider.close)
        provider.access_key_id, provider.secret_key = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
        headers = {"host": "examplebucket.s3.amazonaws.com", "x-amz-date": "20130524T000000Z"} | more
        headers["authorization"] = ("AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
                                    f"SignedHeaders={';'.join(sorted(headers))},Signature={signature}")
        with mock.patch.object(sigv4.time, "time", lambda: sigv4.amz_time("20130524T000001Z")):
            provider.check_signature(method, path, headers | unsigned, body)

    def test_the_published_signatures_are_right_and_others_are_not(self):
        for method, path, body, signature, more in (self.PUT, self.GET):
            self.check(method, path, body, signature, more)
            for change in ((method, path + "x", body, signature, more), (method, path, body + b".", signature, more),
                           (method, path, body, signature[:-1] + "0", more)):
                with self.assertRaises(standin.Refused, msg=change):
                    self.check(*change)
        with self.assertRaises(standin.Refused, msg="a header of AWS' that is not signed"):
            self.check(*self.GET, **{"x-amz-acl": "public-read"})


class Newlines(unittest.TestCase):
    def test_lone_newlines_are_seen(self):
        self.assertFalse(has_lone_newline(b"a\r\n\r\nb\r\n"))
        for text in (b"a\nb", b"a\rb", b"a\r\r\nb", b"a\r\n\nb"):
            self.assertTrue(has_lone_newline(text))


if __name__ == "__main__":
    unittest.main()
