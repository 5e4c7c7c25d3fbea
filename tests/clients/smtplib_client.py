# SPDX-License-Identifier: Apache-2.0
"""Python's smtplib and email."""
import os
import pathlib
import smtplib
import ssl
from email.message import EmailMessage

env = os.environ
content = pathlib.Path(env["SP_CONTENT"])


def text(name):
    return (content / name).read_text(encoding="utf-8")


m = EmailMessage()
m["From"] = f"Zoë Sender <{env['SP_FROM']}>"
m["To"], m["Cc"], m["Bcc"] = env["SP_TO"], env["SP_CC"], env["SP_BCC"]
m["Subject"] = text("subject.txt")
m.set_content(text("text.txt"))
m.add_alternative(text("body.html"), subtype="html")
m.get_payload()[1].add_related((content / "logo.png").read_bytes(), "image", "png", cid=f"<{env['SP_CID']}>",
                               filename="logo.png", disposition="inline")
m.add_attachment((content / "attachment.pdf").read_bytes(), "application", "pdf", filename=env["SP_FILE_NAME"])

context = ssl.create_default_context(cafile=env["SP_CA"])
if env["SP_TLS"] == "implicit":
    s = smtplib.SMTP_SSL(env["SP_HOST"], int(env["SP_PORT"]), context=context)
else:
    s = smtplib.SMTP(env["SP_HOST"], int(env["SP_PORT"]))
    s.starttls(context=context)
with s:
    s.login(env["SP_USER"], env["SP_PASSWORD"])
    s.send_message(m)
