/* SPDX-License-Identifier: Apache-2.0
 *
 * What is the same for all providers that are told a message in pieces. Pure; called by their files.
 */
#include "deliver/provider_pieces.h"

#include <stdio.h>

#include "deliver/provider_json.h"

enum { VALUE_MAX = 1 << 20 };

/* What the reader of the message will not find, and might have wanted. */
static void note_losses(const struct provider_pieces *pieces, const struct provider_call *call, struct provider_request *request)
{
	static const char *const missed[] = {"date", "dkim-signature", "x-smtpapi", "received", "return-path"};
	const struct mime_message *mime = &pieces->mime;

	provider_request_note(call, request, "the message is put together anew: boundaries, encodings and the parts' own header "
					     "fields are not the client's");
	if (mime->from.n > 1)
		provider_request_note(call, request, "From: only the first of %u authors is shown", mime->from.n);
	if (mime->subject.n == 0)
		provider_request_note(call, request, "Subject: it is empty, and one is required: %.*s is sent",
				      STR_ARG(pieces->subject));
	for (unsigned i = 0; i < mime->n_parts; i++)
		if (provider_pieces_is_file(&mime->parts[i]) && mime->parts[i].body.n == 0)
			provider_request_note(call, request, "attachment %.*s: it is empty, and gets a line end in it",
					      STR_ARG(mime->parts[i].name));
	for (size_t i = 0; i < sizeof(missed) / sizeof(missed[0]); i++)
		for (unsigned k = 0; k < mime->n_headers; k++)
			if (str_ieq(mime->headers[k].name, str_of(missed[i]))) {
				provider_request_note(call, request, "%.*s: not passed on", STR_ARG(mime->headers[k].name));
				break;
			}
}

bool provider_pieces_take(struct provider_pieces *pieces, const struct provider_call *call, const char *name,
			  struct provider_request *request, struct provider_verdict *verdict)
{
	struct mime_message *mime = &pieces->mime;

	*pieces = (struct provider_pieces){.from = {STR(""), call->message->mail_from}};
	if (!provider_fits(call, name, verdict))
		return false;
	if (!mime_message_parse(mime, call->message->content))
		return provider_unfit(verdict, name, "5.6.0", "it has too many header fields, or more than 1000 MIME parts");
	if (mime->is_encrypted)
		return provider_unfit(verdict, name, "5.6.1", "it is encrypted, and would be taken apart");
	if (mime->is_signed)
		return provider_unfit(verdict, name, "5.6.1", "it is signed, and would be taken apart: no signature outlives that");
	if (mime->from.n > 0)
		pieces->from = mime->from.list[0];
	if (pieces->from.email.n == 0)
		return provider_unfit(verdict, name, "5.6.0", "it has no sender, neither in From nor in the envelope");
	/* RFC 6531: local part and domain must be ASCII (the domain's form with xn-- is). */
	if (!str_is_ascii(pieces->from.email))
		return provider_unfit(verdict, name, "5.6.7", "the sender's address is not ASCII, and it takes no other");
	pieces->subject = mime->subject.n > 0 ? mime->subject : STR("(no subject)");
	note_losses(pieces, call, request);
	return true;
}

void provider_pieces_clear(struct provider_pieces *pieces)
{
	mime_message_clear(&pieces->mime);
}

/* ---- header fields ---- */

/* X-SMTPAPI and their like would be orders to a provider, among them other recipients than the envelope's. */
bool provider_pieces_is_dropped(struct str name)
{
	static const char *const names[] = {
		"received", "dkim-signature", "to", "from", "subject", "reply-to", "cc", "bcc",
		"mime-version", "date", "return-path", "authentication-results", "received-spf",
		"delivered-to", "x-original-to", "x-smtpapi", "x-envelope-from", "x-envelope-to", "domainkey-signature",
	};
	static const char *const prefixes[] = {"content-", "resent-", "arc-"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (str_ieq(name, str_of(names[i])))
			return true;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (str_istarts(name, str_of(prefixes[i])))
			return !str_ieq(name, STR("content-language"));
	return false;
}

/* Fields of which a message has one (RFC 5322, 3.6): of repeated ones the first counts. */
static bool is_single(struct str name)
{
	static const char *const names[] = {"message-id", "in-reply-to", "sender", "references", "list-unsubscribe-post"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (str_ieq(name, str_of(names[i])))
			return true;
	return false;
}

static bool is_repeated(const struct mime_message *mime, unsigned at)
{
	for (unsigned i = 0; i < at; i++)
		if (str_ieq(mime->headers[i].name, mime->headers[at].name))
			return true;
	return false;
}

bool provider_pieces_next_field(const struct mime_message *mime, bool (*is_dropped)(struct str name),
				struct provider_pieces_field *field)
{
	if (field->value.max == 0)
		field->value = BUF_MAX(VALUE_MAX);
	buf_reset(&field->value);
	while (field->next < mime->n_headers) {
		unsigned at = field->next++;
		const struct mime_header *header = &mime->headers[at];

		if (is_dropped(header->name) || header->value.n == 0 || is_repeated(mime, at))
			continue;
		field->name = header->name;
		buf_put_str(&field->value, header->value);
		for (unsigned i = at + 1; i < mime->n_headers && !is_single(header->name); i++) {
			if (!str_ieq(mime->headers[i].name, header->name))
				continue;
			buf_put_text(&field->value, ", ");
			buf_put_str(&field->value, mime->headers[i].value);
		}
		return true;
	}
	buf_clear(&field->value);
	return false;
}

/* ---- attachments ---- */

/* The first row of a type is what its files are called, the first of an extension what they are. */
static const struct {
	const char *type, *extension;
} known[] = {
	{"text/plain", "txt"}, {"text/plain", "text"}, {"text/plain", "log"}, {"text/html", "html"}, {"text/html", "htm"},
	{"text/calendar", "ics"}, {"text/csv", "csv"}, {"text/css", "css"}, {"text/vcard", "vcf"}, {"text/markdown", "md"},
	{"text/x-amp-html", "html"},
	{"image/jpeg", "jpg"}, {"image/jpeg", "jpeg"}, {"image/png", "png"}, {"image/gif", "gif"}, {"image/svg+xml", "svg"},
	{"image/webp", "webp"}, {"image/bmp", "bmp"}, {"image/tiff", "tif"}, {"image/tiff", "tiff"}, {"image/x-icon", "ico"},
	{"audio/mpeg", "mp3"}, {"audio/wav", "wav"}, {"audio/ogg", "ogg"}, {"video/mp4", "mp4"}, {"video/mpeg", "mpeg"},
	{"video/quicktime", "mov"},
	{"application/pdf", "pdf"}, {"application/zip", "zip"}, {"application/gzip", "gz"}, {"application/x-tar", "tar"},
	{"application/json", "json"}, {"application/xml", "xml"}, {"application/rtf", "rtf"}, {"application/msword", "doc"},
	{"application/vnd.ms-excel", "xls"}, {"application/vnd.ms-powerpoint", "ppt"},
	{"application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"},
	{"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"},
	{"application/vnd.openxmlformats-officedocument.presentationml.presentation", "pptx"},
	{"application/vnd.oasis.opendocument.text", "odt"}, {"application/vnd.oasis.opendocument.spreadsheet", "ods"},
	{"message/rfc822", "eml"}, {"application/pgp-signature", "asc"}, {"application/pkcs7-signature", "p7s"},
	{"application/octet-stream", "bin"},
};

const char *provider_pieces_extension(struct str type)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (str_eq(type, str_of(known[i].type)))
			return known[i].extension;
	return NULL;
}

const char *provider_pieces_type(struct str file_name)
{
	struct str extension = file_name;

	while (str_find(extension, '.') < extension.n)
		extension = str_from(extension, str_find(extension, '.') + 1);
	if (extension.n == file_name.n)
		return NULL;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (str_ieq(extension, str_of(known[i].extension)))
			return known[i].type;
	return NULL;
}

void provider_pieces_put_headers(struct buf *out, const struct mime_message *mime, bool (*is_dropped)(struct str name))
{
	struct provider_pieces_field field = {0};
	unsigned n = 0;

	while (provider_pieces_next_field(mime, is_dropped, &field)) {
		if (n++ == 0)
			provider_json_member(out, "headers");
		buf_put_char(out, n == 1 ? '{' : ',');
		provider_json_text(out, field.name);
		buf_put_char(out, ':');
		provider_json_text(out, buf_str(&field.value));
	}
	if (n > 0)
		buf_put_char(out, '}');
}

bool provider_pieces_is_file(const struct mime_part *part)
{
	return part->role == MIME_INLINE || part->role == MIME_ATTACHMENT;
}

struct str provider_pieces_bytes(const struct mime_part *part)
{
	return part->body.n > 0 ? part->body : STR("\n");
}

void provider_pieces_file_name(const struct mime_part *part, unsigned number, struct buf *out)
{
	const char *extension = provider_pieces_extension(part->type);

	if (part->name.n > 0)
		buf_put_str(out, part->name);
	else
		buf_printf(out, "attachment-%u.%s", number, extension != NULL ? extension : "bin");
}
