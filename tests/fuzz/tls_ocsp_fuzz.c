/* SPDX-License-Identifier: Apache-2.0
 *
 * A responder's answer about a certificate that is always the same, so that the corpus has answers
 * that are good. Nothing but such a one is taken, and never one that has ended.
 */
#include "lib/net/tls_ocsp.h"

#include <string.h>

#include "lib/base/trouble.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The certificate, then its issuer. Their keys are gone. */
#define CERTIFICATE \
	"-----BEGIN CERTIFICATE-----\n" \
	"MIIBtDCCAVqgAwIBAgICEjQwCgYIKoZIzj0EAwIwEjEQMA4GA1UEAwwHRnV6eiBD\n" \
	"QTAgFw0yNjExMjIxMjQyMzZaGA8yMDUxMDcxNDEyNDIzNlowFDESMBAGA1UEAwwJ\n" \
	"ZnV6ei50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEc+2uGs8gvfthh3Zc\n" \
	"UB3uGmpeOtUNVRTM169f/PkYs0YFN7fIp8N0PeAP/gMsRcIn6tumCj6kPvIdqyJv\n" \
	"Frjh0aOBmzCBmDAnBgNVHREEIDAegglmdXp6LnRlc3SCCyouZnV6ei50ZXN0hwTA\n" \
	"AAIBMC0GCCsGAQUFBwEBBCEwHzAdBggrBgEFBQcwAYYRaHR0cDovL29jc3AudGVz\n" \
	"dC8wHwYDVR0jBBgwFoAUUTgtkOlv4aF+wj1gFsIffMg5LzowHQYDVR0OBBYEFAcF\n" \
	"2YZkBrvOzF3kE7s/8KgmzXaPMAoGCCqGSM49BAMCA0gAMEUCIQCR/jCtzQxNHdw6\n" \
	"QwOHwJE4DQBWhx+uA8VKi4WfppaQEgIgJYTWtbHGx3hAVf7p0enosx63YW+MbWXr\n" \
	"RSaHHd7+Aac=\n" \
	"-----END CERTIFICATE-----\n"
#define ISSUER \
	"-----BEGIN CERTIFICATE-----\n" \
	"MIIBezCCASGgAwIBAgIUcaTd96HaV+EhNgOLxvUs0YpA4OgwCgYIKoZIzj0EAwIw\n" \
	"EjEQMA4GA1UEAwwHRnV6eiBDQTAgFw0yNjExMjIxMjQyMzZaGA8yMDUxMDcxNDEy\n" \
	"NDIzNlowEjEQMA4GA1UEAwwHRnV6eiBDQTBZMBMGByqGSM49AgEGCCqGSM49AwEH\n" \
	"A0IABAW6QNK/d6GHc1MIIp1vEeP51VxHxrhpRFVY4A0bvWRg02ZY0u3cu2Kf6y+e\n" \
	"BxG+ke512wZB9lApkHPts7TZMpCjUzBRMB0GA1UdDgQWBBRROC2Q6W/hoX7CPWAW\n" \
	"wh98yDkvOjAfBgNVHSMEGDAWgBRROC2Q6W/hoX7CPWAWwh98yDkvOjAPBgNVHRMB\n" \
	"Af8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIFRGvncCsm0YBOGqLTIRnDkG8d82\n" \
	"8fI28UUdLF+WOt6oAiEAnhL3omr8n5yn5ZzeVt7CFxfIJ/vYMECm/j++eoPBsp4=\n" \
	"-----END CERTIFICATE-----\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int64_t times[] = {0, 1800000000, 4102444800};
	struct str der = str_bytes(data, size);
	struct err err = {""};

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		int64_t until = 0;

		if (tls_ocsp_check(STR(CERTIFICATE ISSUER), der, times[i], &until, &err))
			must(until > times[i]);
		else
			must(err.text[0] != '\0');
		tls_ocsp_check(STR(CERTIFICATE), der, times[i], &until, NULL);
	}
	return 0;
}
