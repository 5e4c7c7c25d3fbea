# SPDX-License-Identifier: Apache-2.0
# Perl's Net::SMTP.
use strict;
use warnings;
use Net::SMTP;

my $implicit = $ENV{SP_TLS} eq 'implicit';
my %tls = (SSL_ca_file => $ENV{SP_CA}, SSL_verifycn_name => $ENV{SP_HOST});
my $smtp = Net::SMTP->new($ENV{SP_HOST}, Port => $ENV{SP_PORT}, Timeout => 60, $implicit ? (SSL => 1, %tls) : ())
    or die "connect: $@";
$implicit or $smtp->starttls(%tls) or die 'STARTTLS: ' . $smtp->message;
$smtp->auth($ENV{SP_USER}, $ENV{SP_PASSWORD}) or die 'AUTH: ' . $smtp->message;
$smtp->mail($ENV{SP_FROM}) or die 'MAIL: ' . $smtp->message;
$smtp->to(split /,/, $ENV{SP_RECIPIENTS}) or die 'RCPT: ' . $smtp->message;
open my $file, '<:raw', $ENV{SP_EML} or die $!;
$smtp->data or die 'DATA: ' . $smtp->message;
while (my $line = <$file>) {
	$line =~ s/\r\n\z/\n/;
	$smtp->datasend($line) or die 'datasend';
}
$smtp->dataend or die 'message: ' . $smtp->message;
$smtp->quit;
