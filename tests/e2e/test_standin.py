# SPDX-License-Identifier: Apache-2.0
"""The stand-ins themselves: they must refuse what the real providers refuse, or the other tests prove nothing."""
import copy
import unittest
from unittest import mock

from tests.support import standin
from tests.support.mail import has_lone_newline
from tests.support.standin import ses


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
        with mock.patch.object(ses.time, "time", lambda: ses.amz_time("20150830T123601Z")):
            return provider.check("POST", path, headers, body)

    def test_the_published_signature_is_right_and_others_are_not(self):
        self.assertIsNotNone(self.check())
        for change in ({"signature": self.SIGNATURE[:-1] + "5"}, {"body": self.BODY.replace(b"b@", b"c@")},
                       {"path": "/v2/email/other"}, {"date": "20150830T123601Z"}, {"date": "20150830T143600Z"}):
            with self.assertRaises(standin.Refused, msg=change):
                self.check(**change)

    def test_lone_newlines_are_seen(self):
        self.assertFalse(has_lone_newline(b"a\r\n\r\nb\r\n"))
        for text in (b"a\nb", b"a\rb", b"a\r\r\nb", b"a\r\n\nb"):
            self.assertTrue(has_lone_newline(text))


if __name__ == "__main__":
    unittest.main()
