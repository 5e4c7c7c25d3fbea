#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# An include points only downwards: which folder may include which, as text. A breach is printed and fails.
cd "$(dirname "$0")/../.." || exit 1

allowed() {
	case $1 in
	lib/base) echo "lib/base" ;;
	lib/smtp | lib/settings) echo "lib/base" ;;
	lib/net) echo "lib/base" ;;
	lib/ipc) echo "lib/base lib/net" ;;
	lib/queue) echo "lib/base lib/smtp lib/net lib/settings" ;;
	lib/aws) echo "lib/base lib/net lib/settings" ;;
	lib/service) echo "lib/base lib/smtp lib/net lib/ipc lib/settings" ;;
	*) echo "lib/base lib/smtp lib/settings lib/net lib/ipc lib/queue lib/service lib/aws" ;;
	esac
}

status=0
for file in $(git ls-files -co --exclude-standard '*.c' '*.h' | grep -v '^tests/'); do
	folder=${file%/*}
	for include in $(sed -n 's/^#include "\(.*\)\/[^\/]*".*/\1/p' "$file" | sort -u); do
		[ "$include" = "$folder" ] && continue
		case " $(allowed "$folder") " in
		*" $include "*) ;;
		*) echo "$file: $folder may not include $include"; status=1 ;;
		esac
	done
	# Full paths from the top only.
	if grep -n '^#include "[^/]*"' "$file"; then
		echo "$file: an include without its folder"
		status=1
	fi
done
exit $status
