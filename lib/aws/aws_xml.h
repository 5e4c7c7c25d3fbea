/* SPDX-License-Identifier: Apache-2.0
 *
 * What AWS says in XML (STS, S3, SNS). Pure.
 */
#ifndef LIB_AWS_AWS_XML_H
#define LIB_AWS_AWS_XML_H

#include <stdbool.h>

#include "lib/base/str.h"

/* The text of the first element of this name that has text only. False: there is none. */
bool aws_xml_element(struct str xml, const char *name, struct str *text);

#endif
