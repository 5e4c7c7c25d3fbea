#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The documents are a map that is true: every file they name exists, every folder with C code is in HACKING.md, every
# subcommand of smtp-proxyctl is in its manual.
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
# The manual has every subcommand.
sed -n 's/^CTL("\([^"]*\)".*/\1/p' ctl/ctl_commands.def | while read -r words; do
	grep -q "^\.It Cm $words\( \|\$\)" man/smtp-proxyctl.8 || echo "smtp-proxyctl(8) does not have: $words"
done | grep . && status=1
exit $status
