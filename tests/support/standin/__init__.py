# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for the providers: HTTP servers that check what the real ones check, remember every message that they took,
and misbehave when told to. Each provider is a file of its own.

	with SendGrid() as provider:
		provider.misbehave(Fault(status=429, headers={"Retry-After": "2"}), times=1)
		...
		provider.wait(1)          # until one message was accepted
		provider.accepted[0].payload
		provider.violations       # what a real provider would have refused: should be empty
"""
from tests.support.standin.acme import AcmeAuthority, Nonsense
from tests.support.standin.aws import AwsHost, SesOf
from tests.support.standin.cakemail import CakemailApi
from tests.support.standin.mailgun import Mailgun
from tests.support.standin.ocsp import OcspResponder
from tests.support.standin.postmark import Postmark
from tests.support.standin.resend import Resend
from tests.support.standin.s3 import S3
from tests.support.standin.sendgrid import SendGrid
from tests.support.standin.server import Accepted, Fault, Refused, StandIn, Told
from tests.support.standin.ses import Ses
from tests.support.standin.sparkpost import SparkPost
from tests.support.standin.sns import Sns
from tests.support.standin.smtp import Reply, Smarthost

__all__ = [
    "AcmeAuthority", "Nonsense",
    "OcspResponder",
    "Accepted", "Fault", "Refused", "StandIn", "Told",
    "AwsHost", "SesOf",
    "CakemailApi",
    "Mailgun",
    "Postmark",
    "Resend",
    "S3",
    "SendGrid",
    "Ses",
    "Sns",
    "SparkPost",
    "Reply", "Smarthost",
]
