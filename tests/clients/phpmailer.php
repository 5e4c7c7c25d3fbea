<?php
// SPDX-License-Identifier: Apache-2.0
// PHPMailer, as its manual shows it.
require 'libphp-phpmailer/autoload.php';

use PHPMailer\PHPMailer\PHPMailer;

$content = getenv('SP_CONTENT');
$mail = new PHPMailer(true);
$mail->isSMTP();
$mail->Host = getenv('SP_HOST');
$mail->Port = (int) getenv('SP_PORT');
$mail->SMTPSecure = getenv('SP_TLS') === 'implicit' ? PHPMailer::ENCRYPTION_SMTPS : PHPMailer::ENCRYPTION_STARTTLS;
$mail->SMTPAuth = true;
$mail->Username = getenv('SP_USER');
$mail->Password = getenv('SP_PASSWORD');
$mail->SMTPOptions = ['ssl' => ['cafile' => getenv('SP_CA'), 'verify_peer' => true, 'verify_peer_name' => true]];
$mail->CharSet = PHPMailer::CHARSET_UTF8;
$mail->setFrom(getenv('SP_FROM'), 'Zoë Sender');
foreach (explode(',', getenv('SP_TO')) as $to) {
	$mail->addAddress(trim($to));
}
$mail->addCC(getenv('SP_CC'));
$mail->addBCC(getenv('SP_BCC'));
$mail->Subject = file_get_contents("$content/subject.txt");
$mail->Body = file_get_contents("$content/body.html");
$mail->AltBody = file_get_contents("$content/text.txt");
$mail->isHTML(true);
$mail->addEmbeddedImage("$content/logo.png", getenv('SP_CID'), 'logo.png');
$mail->addAttachment("$content/attachment.pdf", getenv('SP_FILE_NAME'), PHPMailer::ENCODING_BASE64, 'application/pdf');
$mail->send();
