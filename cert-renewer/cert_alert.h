/* SPDX-License-Identifier: Apache-2.0
 *
 * Telling a person (section alerts): a program, a webhook, an SNS topic, each by itself. What fails is tried again twice; in the end the
 * log says that nobody was told.
 *
 * The webhook is posted {"event","certificate","text","failures","not_after","host","at"}, times in seconds since 1970 (not_after 0:
 * there is no certificate); the program has the words EVENT CERTIFICATE TEXT.
 */
#ifndef CERT_RENEWER_CERT_ALERT_H
#define CERT_RENEWER_CERT_ALERT_H

#include "lib/base/str.h"
#include "lib/net/http_client.h"
#include "lib/net/loop.h"
#include "lib/settings/settings.h"

struct aws_sources;
struct cert_alert;

struct cert_alert_config {
	struct loop *loop;
	struct http_client *http;	 /* trusts alerts.ca_file */
	const struct settings *settings; /* replaced with cert_alert_use_settings() */
	const struct aws_sources *aws;	 /* NULL: none */
	const char *host_name;		 /* copied */
};

/* What is told. Copied. */
struct cert_alert_event {
	const char *event; /* "certificate.renewal_failed", "certificate.renewed_again", "certificate.rate_limited", "certificate.clock_wrong" */
	struct str certificate;
	struct str text;   /* a sentence */
	unsigned failures; /* in a row */
	int64_t not_after; /* of the certificate in use, seconds; 0: there is none */
};

/* The config is borrowed for life. */
struct cert_alert *cert_alert_new(const struct cert_alert_config *config);
void cert_alert_use_settings(struct cert_alert *alert, const struct settings *settings);
void cert_alert_free(struct cert_alert **alert);
void cert_alert_tell(struct cert_alert *alert, const struct cert_alert_event *event);

#endif
