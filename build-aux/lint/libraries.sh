#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# One outside library, one wrapping file: who may include whose header. What is not listed here fails.
cd "$(dirname "$0")/../.." || exit 1

allowed() {
	case $1 in
	event2/*) echo "lib/net/loop.c api/api_http.c" ;;
	openssl/*) echo "lib/net/tls.c lib/net/tls_certificate.c lib/net/tls_server.c lib/net/tls_identity.c lib/net/tls_acme.c lib/net/tls_key.c lib/net/tls_ocsp.c lib/net/tls_openssl.h lib/net/digest.c lib/net/seal.c" ;;
	hiredis/*) echo "lib/net/redis.c" ;;
	libpq-fe.h) echo "lib/queue/pg.c" ;;
	curl/*) echo "lib/net/http_client.c" ;;
	yaml.h) echo "lib/settings/settings_yaml.c" ;;
	seccomp.h) echo "lib/service/service_calls.c" ;;
	crypt.h) echo "lib/queue/password.c" ;;
	gmime/* | glib.h) echo "deliver/mime_message.c" ;;
	json-c/*) echo "lib/base/json_read.c deliver/provider_*.c ctl/*.c ctl/ctl_control.h api/*.c cert-renewer/acme_json.c cert-renewer/cert_state.c" ;;
	*) echo any ;;
	esac
}

status=0
for file in $(git ls-files -co --exclude-standard '*.c' '*.h' | grep -v '^tests/'); do
	for include in $(sed -n 's/^#include <\([^>]*\)>.*/\1/p' "$file"); do
		found=no
		for pattern in $(allowed "$include"); do
			# shellcheck disable=SC2254
			case $file in $pattern) found=yes ;; esac
			[ "$pattern" = any ] && found=yes
		done
		[ $found = yes ] || { echo "$file: <$include> belongs in $(allowed "$include")"; status=1; }
	done
done
exit $status
