#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Functions without bounds, or that hide errors, and marks of unfinished work.
cd "$(dirname "$0")/../.." || exit 1

status=0
files=$(git ls-files -co --exclude-standard '*.c' '*.h')
if grep -nE '(^|[^a-zA-Z0-9_])(strcpy|strcat|sprintf|vsprintf|strncpy|strncat|strtok|gets|atoi|atol|alloca|strtol|strtoul|scanf|sscanf|system|popen|tmpnam|mktemp)\(' $files; then
	echo "banned: use lib/base/str.h, lib/base/buf.h"
	status=1
fi
if grep -nE '\b(TODO|FIXME|XXX)\b|^#if 0' $files; then
	echo "banned: finish it, or say in an issue what is missing"
	status=1
fi
for file in $(echo "$files" | grep -v '\.def$'); do
	head -n 1 "$file" | grep -q 'SPDX-License-Identifier' || { echo "$file: no SPDX line"; status=1; }
done
exit $status
