/* SPDX-License-Identifier: Apache-2.0
 *
 * Talking to a running master over its control socket (master/master_control.c): one line in, one JSON
 * object out. Whatever goes wrong ends the program with a sentence.
 */
#ifndef CTL_CTL_CONTROL_H
#define CTL_CTL_CONTROL_H

#include <json-c/json.h>

#include "ctl/ctl.h"

/* Asks, and returns the answer: the caller's, ended with json_object_put(). `line` has no line feed, and is at most
 * 1,000 octets. Nothing else of `ctl` is needed than its settings; call ctl_end() before it. */
struct json_object *ctl_control_ask(struct ctl *ctl, const char *line);
/* As ctl_control_ask(), but NULL when nobody listens there, or leaves without an answer. */
struct json_object *ctl_control_try(struct ctl *ctl, const char *line);
/* As ctl_control_ask(), for what master hands on to its children by the line's first word ("ban list"; the table is in
 * master/master_ask.c). Returns an array of {"role":"gate","slot":0,"answer":...}, one a process: `answer` is what the
 * process said (an object), or null when it does not run, says nothing in 5 seconds, or says no JSON. */
struct json_object *ctl_control_ask_children(struct ctl *ctl, const char *line);
/* Asks for something to be done; the answer {"done":"LINE"} is good, {"error":"..."} ends the program with it. */
void ctl_control_tell(struct ctl *ctl, const char *line);

/* What an object holds; an empty text, 0, false or NULL when it is not there, or is no such thing. Borrowed. */
const char *ctl_control_text(struct json_object *o, const char *name);
int64_t ctl_control_int(struct json_object *o, const char *name);
bool ctl_control_bool(struct json_object *o, const char *name);
struct json_object *ctl_control_part(struct json_object *o, const char *name);

#endif
