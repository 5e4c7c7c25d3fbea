/* SPDX-License-Identifier: Apache-2.0
 *
 * A line of a list of suppressed addresses: CSV (RFC 4180) or a JSON object, as suppression export prints them. Pure.
 */
#ifndef CTL_CTL_SUPPRESSION_LINE_H
#define CTL_CTL_SUPPRESSION_LINE_H

#include <stdbool.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

enum { CTL_SUPPRESSION_REASON_MAX = 400 };

enum ctl_suppression_cell { CTL_SUPPRESSION_ADDRESS, CTL_SUPPRESSION_WHY, CTL_SUPPRESSION_SOURCE, CTL_SUPPRESSION_CELLS };

/* Each is the caller's to free; "": not given. */
struct ctl_suppression_line {
	char *cell[CTL_SUPPRESSION_CELLS];
};

/* The one spelling of an address or @domain, which the caller frees; NULL: it is neither. */
char *ctl_suppression_line_address(struct str text, struct err *err);
/* A line without its end. False: it is malformed, and *out is empty. */
bool ctl_suppression_line_read(struct str line, struct ctl_suppression_line *out, struct err *err);
/* Is it the line of CSV that names the columns? */
bool ctl_suppression_line_is_head(struct str line);
void ctl_suppression_line_clear(struct ctl_suppression_line *line);

#endif
