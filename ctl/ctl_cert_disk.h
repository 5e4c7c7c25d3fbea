/* SPDX-License-Identifier: Apache-2.0
 *
 * The certificates of the settings as they are on this host's disk: files, and cert-renewer's store. For all who look at them:
 * smtp-proxyctl cert and doctor; whether the service runs or not.
 */
#ifndef CTL_CTL_CERT_DISK_H
#define CTL_CTL_CERT_DISK_H

#include <sys/stat.h>

#include "lib/net/tls_certificate.h"
#include "lib/settings/settings.h"

enum ctl_cert_found {
	CTL_CERT_READ,
	CTL_CERT_MISSING, /* not obtained yet */
	CTL_CERT_DENIED,  /* whoever asks may not read it */
	CTL_CERT_BAD,
};

enum { CTL_CERT_PATH = 4096, CTL_CERT_WHY = CTL_CERT_PATH + 768 };

struct ctl_cert_disk {
	const char *key; /* "tls.certificate_file", or in the section certificates; borrowed from the settings */
	const struct settings_certificate *settings; /* NULL: tls.certificate_file */
	bool is_acme;
	enum ctl_cert_found found;
	char path[CTL_CERT_PATH];
	char why[CTL_CERT_WHY]; /* a sentence, unless it was read */
	struct stat st;		/* of the file with the private key, if READ */
	struct tls_certificate seen; /* if READ; it may have expired */
};

/* When somebody has to look at it, in seconds before its end. */
struct ctl_cert_limits {
	int64_t warning, critical;
};

/* tls.certificate_file, if any, then those of the section certificates. */
size_t ctl_cert_disk_count(const struct settings *settings);
void ctl_cert_disk_read(const struct settings *settings, size_t i, struct ctl_cert_disk *out);
/* Whole days; below 0: it has ended. */
int64_t ctl_cert_disk_days(const struct tls_certificate *certificate, int64_t now);
/* 14 and 7 days; of one that does not live long a fifth and a tenth of its life, which is after its renewal. */
struct ctl_cert_limits ctl_cert_disk_limits(const struct tls_certificate *certificate);

#endif
