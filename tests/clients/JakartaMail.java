// SPDX-License-Identifier: Apache-2.0
// Jakarta Mail; `java -cp ... JakartaMail.java` compiles and runs it.
import jakarta.mail.Authenticator;
import jakarta.mail.Message;
import jakarta.mail.PasswordAuthentication;
import jakarta.mail.Session;
import jakarta.mail.Transport;
import jakarta.mail.internet.InternetAddress;
import jakarta.mail.internet.MimeBodyPart;
import jakarta.mail.internet.MimeMessage;
import jakarta.mail.internet.MimeMultipart;
import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.Properties;

public class JakartaMail {
	static String env(String name) {
		return System.getenv(name);
	}

	static String text(String name) throws Exception {
		return Files.readString(new File(env("SP_CONTENT"), name).toPath(), StandardCharsets.UTF_8);
	}

	static MimeBodyPart holding(MimeMultipart multipart) throws Exception {
		MimeBodyPart part = new MimeBodyPart();
		part.setContent(multipart);
		return part;
	}

	public static void main(String[] args) throws Exception {
		boolean implicit = env("SP_TLS").equals("implicit");
		String protocol = implicit ? "smtps" : "smtp";
		Properties p = new Properties();
		p.put("mail.transport.protocol.rfc822", protocol);
		p.put("mail." + protocol + ".host", env("SP_HOST"));
		p.put("mail." + protocol + ".port", env("SP_PORT"));
		p.put("mail." + protocol + ".auth", "true");
		p.put("mail." + protocol + ".ssl.checkserveridentity", "true");
		p.put("mail.smtp.starttls.required", "true");
		p.put("mail.smtp.starttls.enable", "true");
		p.put("mail.mime.encodefilename", "true");
		Session session = Session.getInstance(p, new Authenticator() {
			protected PasswordAuthentication getPasswordAuthentication() {
				return new PasswordAuthentication(env("SP_USER"), env("SP_PASSWORD"));
			}
		});

		MimeBodyPart plain = new MimeBodyPart();
		plain.setText(text("text.txt"), "UTF-8");
		MimeBodyPart html = new MimeBodyPart();
		html.setText(text("body.html"), "UTF-8", "html");
		MimeBodyPart image = new MimeBodyPart();
		image.attachFile(new File(env("SP_CONTENT"), "logo.png"), "image/png", "base64");
		image.setContentID("<" + env("SP_CID") + ">");
		image.setDisposition(MimeBodyPart.INLINE);
		MimeBodyPart attachment = new MimeBodyPart();
		attachment.attachFile(new File(env("SP_CONTENT"), "attachment.pdf"), "application/pdf", "base64");
		attachment.setFileName(env("SP_FILE_NAME"));

		MimeMultipart related = new MimeMultipart("related", html, image);
		MimeMultipart alternative = new MimeMultipart("alternative", plain, holding(related));
		MimeMessage m = new MimeMessage(session);
		m.setFrom(new InternetAddress(env("SP_FROM"), "Zoë Sender", "UTF-8"));
		m.setRecipients(Message.RecipientType.TO, InternetAddress.parse(env("SP_TO")));
		m.setRecipients(Message.RecipientType.CC, InternetAddress.parse(env("SP_CC")));
		m.setRecipients(Message.RecipientType.BCC, InternetAddress.parse(env("SP_BCC")));
		m.setSubject(text("subject.txt"), "UTF-8");
		m.setContent(new MimeMultipart("mixed", holding(alternative), attachment));
		Transport.send(m);
	}
}
