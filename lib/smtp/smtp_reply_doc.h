/* SPDX-License-Identifier: Apache-2.0
 *
 * man/smtp-proxy-replies.7, made from smtp_replies.def. It is committed; a test compares it with what this writes.
 */
#ifndef LIB_SMTP_SMTP_REPLY_DOC_H
#define LIB_SMTP_SMTP_REPLY_DOC_H

#include "lib/base/buf.h"

/* The manual page, in mdoc. */
void smtp_reply_doc_manual(struct buf *out);

#endif
