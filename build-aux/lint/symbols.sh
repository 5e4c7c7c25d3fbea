#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# An exported symbol begins with its file's stem, so that it names where it is defined: foo_bar_x is in
# foo_bar.c. Reads the objects of the build tree given (default: the current directory).
build=${1:-.}
cd "$build" || exit 1

status=0
for object in $(find lib master smtpd gate qmgr deliver api cert-renewer ctl client -name '*.o' 2>/dev/null); do
	stem=$(basename "$object" .o)
	stem=${stem##*-}
	case $stem in *_main) continue ;; esac
	for symbol in $(nm -g --defined-only "$object" 2>/dev/null | awk '$2 ~ /[TDBRC]/ {print $3}'); do
		case $object:$symbol in
		*trouble.o:die | *trouble.o:die_with) ;;	# named for how they read
		*/buf.o:reader_*) ;;				# the other half of buf.h
		*/ipc.o:role_name) ;;				# role.def belongs to ipc.h
		*/ipc_body.o:ipc_*) ;;				# the frames' contents
		*:__* | *:asan.* | *:_*) ;;
		*) case $symbol in
			"$stem"*) ;;
			*) echo "$object exports $symbol"; status=1 ;;
			esac ;;
		esac
	done
done
exit $status
