#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# HACKING.md is a map that is true: every file it names exists, and every folder with C code is in it.
cd "$(dirname "$0")/../.." || exit 1

status=0
for name in $(grep -o '`[a-zA-Z0-9_./-]*\.\(c\|h\|def\|sql\|sh\|py\|md\)`' HACKING.md ARCHITECTURE.md README.md |
	sed 's/.*`\(.*\)`/\1/' | grep -v 'NAME\|SUBJECT\|foo_bar' | sort -u); do
	[ -e "$name" ] || git ls-files -co --exclude-standard | grep -q "/$name\$" ||
		{ echo "the documents name $name, which is not there"; status=1; }
done
for folder in $(git ls-files -co --exclude-standard '*.c' | grep -v '^tests/' | xargs -n1 dirname | sort -u); do
	grep -q "\`$folder/" HACKING.md || { echo "HACKING.md does not name $folder/"; status=1; }
done
exit $status
