#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The manual pages are well-formed. Skipped where there is no mandoc.
command -v mandoc >/dev/null || exit 77
exec mandoc -Tlint -W error "$srcdir"/man/*.[1-8]
