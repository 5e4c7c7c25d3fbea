/* SPDX-License-Identifier: Apache-2.0
 *
 * Takes a message apart with GMime; the only file that knows it. GMime finds the structure and decodes
 * encoded words, addresses and file names; bodies are decoded here, straight out of the message's bytes.
 * Called by the provider files.
 *
 * The message's own header section is read by mime_headers.c, not by GMime, which would parse every address
 * field at once however long it is.
 */
#include "deliver/mime_message.h"

#include <gmime/gmime.h>
#include <stdlib.h>
#ifdef SP_SANITIZE
#include <sanitizer/lsan_interface.h>
#endif

#include "deliver/mime_charset.h"
#include "deliver/mime_headers.h"
#include "deliver/mime_words.h"
#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"

enum {
	DEPTH_MAX = 20,			/* multiparts in one another; deeper ones are attached as they are */
	FIELD_MAX = 262144,		/* a longer address field is not read */
	DELIMITERS_MAX = 50000,		/* lines that begin with "--" */
	FIELDS_MAX = 20000,		/* of the header: GMime makes half a kilobyte of each */
	PART_FIELDS_MAX = 100000,	/* of all the parts' headers */
	COLONS_MAX = 1000,		/* in an address field: GMime reads "a:a:a:" as groups in groups, recursively */
	CHUNK = 4096,
	TEXT_MAX = 256 << 20,
};

/* What a message owns: pieces that are freed together, and GMime's objects. */
struct piece {
	struct piece *next;
	char bytes[];
};

struct mime_memory {
	struct piece *pieces;
	char *at;
	size_t left;
	struct buf *texts; /* decoded bodies, each on its own */
	unsigned n_texts, size_texts;
	GMimeObject *root;
	GMimeStream *stream;
	GByteArray *array;
	GMimeParser *parser;
};

/* While the parts are gathered. */
struct walk {
	struct mime_message *message;
	struct str body; /* all behind the message's own header section */
	bool is_too_many;
};

/* The subtypes of `message` that are whole messages. */
static const char *const messages[] = {"rfc822", "rfc2822", "global", "news"};

static GMimeParserOptions *options;
static GMimeFormatOptions *with_crlf;

void mime_message_prepare(void)
{
	if (options != NULL)
		return;
	mime_charset_prepare();
#ifdef SP_SANITIZE
	__lsan_disable(); /* GMime does not free the four entries that are replaced below */
#endif
	g_mime_init();
#ifdef SP_SANITIZE
	__lsan_enable();
#endif
	/* A message in the message is a leaf: its own bytes are what is attached, and GMime would parse its address
	 * fields however they nest. */
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
		g_mime_object_register_type("message", messages[i], GMIME_TYPE_PART);
	options = g_mime_parser_options_new();
	with_crlf = g_mime_format_options_new();
	g_mime_format_options_set_newline_format(with_crlf, GMIME_NEWLINE_FORMAT_DOS);
}

/* ---- memory ---- */

static char *take(struct mime_memory *memory, size_t n)
{
	char *p;

	n = (n + 15) & ~(size_t)15;
	if (n > memory->left) {
		size_t size = n > CHUNK ? n : CHUNK;
		struct piece *piece = mem_grow(NULL, sizeof(*piece) + 16 + size);

		piece->next = memory->pieces;
		memory->pieces = piece;
		memory->at = (char *)(((uintptr_t)piece->bytes + 15) & ~(uintptr_t)15);
		memory->left = size;
	}
	p = memory->at;
	memory->at += n;
	memory->left -= n;
	return p;
}

static struct str keep(struct mime_memory *memory, struct str s)
{
	char *copy;

	if (s.n == 0)
		return STR("");
	copy = take(memory, s.n);
	memcpy(copy, s.p, s.n);
	return str_bytes(copy, s.n);
}

/* An empty buf that lives as long as the message. Valid until the next call. */
static struct buf *new_text(struct mime_memory *memory)
{
	if (memory->n_texts == memory->size_texts) {
		memory->size_texts = memory->size_texts ? 2 * memory->size_texts : 8;
		memory->texts = mem_grow(memory->texts, memory->size_texts * sizeof(*memory->texts));
	}
	memory->texts[memory->n_texts] = BUF_MAX(TEXT_MAX);
	return &memory->texts[memory->n_texts++];
}

void mime_message_clear(struct mime_message *message)
{
	struct mime_memory *memory = message->memory;
	gsize n;

	if (memory == NULL)
		return;
	g_clear_object(&memory->root);
	g_clear_object(&memory->parser);
	g_clear_object(&memory->stream);
	if (memory->array != NULL) {
		g_byte_array_steal(memory->array, &n); /* the bytes were only borrowed */
		g_byte_array_unref(memory->array);
	}
	while (memory->pieces != NULL) {
		struct piece *piece = memory->pieces;

		memory->pieces = piece->next;
		free(piece);
	}
	for (unsigned i = 0; i < memory->n_texts; i++)
		buf_clear(&memory->texts[i]);
	free(memory->texts);
	free(memory);
	free(message->headers);
	free(message->parts);
	free(message->from.list);
	free(message->reply_to.list);
	free(message->to.list);
	free(message->cc.list);
	*message = (struct mime_message){0};
}

/* ---- header fields ---- */

/* The value on one line: line ends go, other control characters become spaces (RFC 5322, 2.2.3). */
static struct str unfold(struct mime_memory *memory, struct str raw)
{
	char *out = take(memory, raw.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < raw.n; i++) {
		unsigned char c = (unsigned char)raw.p[i];

		if (c == '\r' || c == '\n')
			continue;
		out[n++] = c < ' ' || c == 0x7f ? ' ' : (char)c;
	}
	out[n] = '\0';
	return str_trim(str_bytes(out, n));
}

static struct str keep_unfolded(struct mime_memory *memory, const char *text)
{
	return text == NULL ? STR("") : unfold(memory, str_of(text));
}

/* Decoded to UTF-8. */
static struct str decode(struct mime_memory *memory, struct str value)
{
	char *text, *decoded;
	struct str out;

	if (value.n == 0)
		return STR("");
	text = str_dup(value);
	decoded = g_mime_utils_header_decode_text(options, text);
	out = keep_unfolded(memory, decoded);
	g_free(decoded);
	free(text);
	return out;
}

/* Printable ASCII: a value with other characters in it is encoded (RFC 2047). */
static struct str encode(struct mime_memory *memory, struct str value)
{
	char *text, *encoded;
	struct str out;

	if (str_is_ascii(value))
		return value;
	out = decode(memory, value);
	text = str_dup(out);
	encoded = g_mime_utils_header_encode_text(NULL, text, "utf-8");
	out = keep_unfolded(memory, encoded);
	g_free(encoded);
	free(text);
	return out;
}

static void add_address(struct mime_memory *memory, struct mime_addresses *to, InternetAddress *address)
{
	const char *email = internet_address_mailbox_get_addr(INTERNET_ADDRESS_MAILBOX(address));

	if (email == NULL || email[0] == '\0' || to->n == MIME_MESSAGE_ADDRESSES)
		return;
	if ((to->n & (to->n - 1)) == 0)
		to->list = mem_grow(to->list, (to->n ? 2 * to->n : 1) * sizeof(*to->list));
	to->list[to->n++] = (struct mime_address){
		.name = keep_unfolded(memory, internet_address_get_name(address)),
		.email = keep_unfolded(memory, email),
	};
}

/* Groups (RFC 5322, 3.4) give their members. */
static void add_list(struct mime_memory *memory, struct mime_addresses *to, InternetAddressList *list, int depth)
{
	int n = list == NULL ? 0 : internet_address_list_length(list);

	for (int i = 0; i < n; i++) {
		InternetAddress *address = internet_address_list_get_address(list, i);

		if (INTERNET_ADDRESS_IS_MAILBOX(address))
			add_address(memory, to, address);
		else if (INTERNET_ADDRESS_IS_GROUP(address) && depth < DEPTH_MAX)
			add_list(memory, to, internet_address_group_get_members(INTERNET_ADDRESS_GROUP(address)),
				 depth + 1);
	}
}

static bool has_too_many_colons(struct str value)
{
	unsigned n = 0;

	for (size_t i = 0; i < value.n; i++)
		n += value.p[i] == ':';
	return n > COLONS_MAX;
}

static void read_addresses(struct mime_memory *memory, struct mime_addresses *to, struct str value)
{
	char *text;
	InternetAddressList *list;

	if (value.n > FIELD_MAX || has_too_many_colons(value))
		return;
	text = str_dup(value);
	list = internet_address_list_parse(options, text);
	add_list(memory, to, list, 0);
	if (list != NULL)
		g_object_unref(list);
	free(text);
}

static void read_field(struct mime_message *m, const struct mime_field *field)
{
	struct str value = unfold(m->memory, field->value);
	struct buf joined = BUF_MAX(4 * value.n + 64);

	if (value.n <= FIELD_MAX)
		value = keep(m->memory, mime_words_join(value, &joined));
	buf_clear(&joined);
	if (str_ieq(field->name, STR("from")))
		read_addresses(m->memory, &m->from, value);
	else if (str_ieq(field->name, STR("reply-to")))
		read_addresses(m->memory, &m->reply_to, value);
	else if (str_ieq(field->name, STR("to")))
		read_addresses(m->memory, &m->to, value);
	else if (str_ieq(field->name, STR("cc")))
		read_addresses(m->memory, &m->cc, value);
	else if (str_ieq(field->name, STR("subject")) && m->subject.n == 0)
		m->subject = decode(m->memory, value);
	if ((m->n_headers & (m->n_headers - 1)) == 0)
		m->headers = mem_grow(m->headers, (m->n_headers ? 2 * m->n_headers : 1) * sizeof(*m->headers));
	m->headers[m->n_headers++] = (struct mime_header){field->name, encode(m->memory, value)};
}

/* *body is what stands behind the header section. False: it has too many fields. */
static bool read_headers(struct mime_message *m, struct str content, struct str *body)
{
	struct mime_field field;
	unsigned n = 0;

	*body = content;
	while (mime_headers_next(body, &field)) {
		if (++n > FIELDS_MAX)
			return false;
		if (m->n_headers < MIME_MESSAGE_FIELDS)
			read_field(m, &field);
	}
	return true;
}

/* ---- parts ---- */

static struct mime_part *add_part(struct walk *walk, enum mime_role role, struct str type)
{
	struct mime_message *m = walk->message;
	struct mime_part *part;

	if (m->n_parts == MIME_MESSAGE_PARTS) {
		walk->is_too_many = true;
		return NULL;
	}
	if ((m->n_parts & (m->n_parts - 1)) == 0)
		m->parts = mem_grow(m->parts, (m->n_parts ? 2 * m->n_parts : 1) * sizeof(*m->parts));
	part = &m->parts[m->n_parts++];
	*part = (struct mime_part){.role = role, .type = type};
	return part;
}

/* The bytes of a stream that GMime made: a piece of the message, or memory of its own. */
static struct str stream_bytes(GMimeStream *stream)
{
	GByteArray *array;
	gint64 end;

	if (!GMIME_IS_STREAM_MEM(stream))
		return STR("");
	array = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(stream));
	end = stream->bound_end < 0 || stream->bound_end > (gint64)array->len ? (gint64)array->len : stream->bound_end;
	if (stream->bound_start >= end)
		return STR("");
	return str_bytes(array->data + stream->bound_start, (size_t)(end - stream->bound_start));
}

/* How many digits of the last group of four are there, when their padding is missing; else 0. */
static size_t unpadded_digits(struct str text)
{
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '=')
			return 0;
		n += g_ascii_isalnum(text.p[i]) || text.p[i] == '+' || text.p[i] == '/';
	}
	return n % 4;
}

/* The part's body without its transfer encoding. Bytes that need no decoding are not copied. */
static struct str decoded_body(struct mime_memory *memory, GMimePart *part)
{
	GMimeDataWrapper *wrapper = g_mime_part_get_content(part);
	GMimeContentEncoding encoding;
	GMimeEncoding state;
	struct buf *out;
	struct str raw;
	char *to;

	if (wrapper == NULL)
		return STR("");
	encoding = g_mime_data_wrapper_get_encoding(wrapper);
	raw = stream_bytes(g_mime_data_wrapper_get_stream(wrapper));
	if (raw.n == 0 || (encoding != GMIME_CONTENT_ENCODING_BASE64 &&
			   encoding != GMIME_CONTENT_ENCODING_QUOTEDPRINTABLE &&
			   encoding != GMIME_CONTENT_ENCODING_UUENCODE))
		return raw;
	out = new_text(memory);
	g_mime_encoding_init_decode(&state, encoding);
	to = buf_room(out, g_mime_encoding_outlen(&state, raw.n) + 8);
	if (to == NULL)
		return raw;
	buf_added(out, g_mime_encoding_step(&state, raw.p, raw.n, to));
	/* GMime throws an unpadded last group away. */
	if (encoding == GMIME_CONTENT_ENCODING_BASE64 && unpadded_digits(raw) > 1)
		buf_added(out, g_mime_encoding_step(&state, "==", 4 - unpadded_digits(raw), buf_room(out, 8)));
	buf_added(out, g_mime_encoding_flush(&state, "", 0, buf_room(out, 8)));
	return buf_str(out);
}

/* Anything of GMime's as it was written, headers and all. */
static struct str written(struct mime_memory *memory, GMimeObject *object)
{
	char *text = g_mime_object_to_string(object, with_crlf);
	struct buf *out = new_text(memory);

	buf_put_text(out, text);
	g_free(text);
	return buf_str(out);
}

/* A media type as providers take it: lower case, no parameters, nothing strange. A field that names none is
 * as if it were not there (RFC 2045, 5.2). */
static struct str plain_type(struct mime_memory *memory, GMimeObject *object)
{
	const char *field = g_mime_object_get_header(object, "Content-Type");
	struct str value = str_first(str_of(field), str_find(str_of(field), ';'));
	char *text = g_mime_content_type_get_mime_type(g_mime_object_get_content_type(object));
	struct str type = keep(memory, str_of(text));
	char *p = (char *)(uintptr_t)type.p;

	g_free(text);
	if (field != NULL && str_find(value, '/') == value.n)
		return STR("text/plain");
	for (size_t i = 0; i < type.n; i++) {
		if (p[i] >= 'A' && p[i] <= 'Z')
			p[i] = (char)(p[i] + 'a' - 'A');
		if (p[i] <= ' ' || p[i] > '~' || p[i] == ';' || p[i] == ',')
			return STR("application/octet-stream");
	}
	return type;
}

static bool is_multipart(GMimeObject *object, const char *subtype)
{
	return object != NULL && GMIME_IS_MULTIPART(object) &&
	       g_mime_content_type_is_type(g_mime_object_get_content_type(object), "multipart", subtype);
}

/* What a leaf is for. `parent` is the multipart around it, or NULL. */
static enum mime_role role_of(GMimePart *part, GMimeObject *parent, struct str type, struct str name)
{
	GMimeContentDisposition *disposition = g_mime_object_get_content_disposition(GMIME_OBJECT(part));
	const char *word = disposition == NULL ? NULL : g_mime_content_disposition_get_disposition(disposition);
	bool is_attached = word != NULL && str_ieq(str_of(word), STR("attachment"));
	bool is_inline = word != NULL && str_ieq(str_of(word), STR("inline"));
	bool has_id = g_mime_part_get_content_id(part) != NULL;

	if (!is_attached && str_starts(type, STR("text/"))) {
		bool is_form = parent == NULL || is_multipart(parent, "alternative");

		if (str_eq(type, STR("text/plain")) && (name.n == 0 || is_form))
			return MIME_TEXT;
		if (str_eq(type, STR("text/html")) && (name.n == 0 || is_form))
			return MIME_HTML;
		if (is_form)
			return MIME_ALTERNATIVE;
	}
	if (has_id && !is_attached && (is_inline || is_multipart(parent, "related") || word == NULL))
		return MIME_INLINE;
	return MIME_ATTACHMENT;
}

/* The field's value on one line, when there are encoded words in it that had to be joined (mime_words.h); the caller frees
 * it. Else NULL. */
static char *joined_field(struct mime_memory *memory, GMimePart *part, const char *field)
{
	GMimeHeader *header = g_mime_header_list_get_header(g_mime_object_get_header_list(GMIME_OBJECT(part)), field);
	struct str raw = header == NULL ? STR("") : keep_unfolded(memory, g_mime_header_get_raw_value(header)), joined;
	struct buf out = BUF_MAX(4 * raw.n + 64);
	char *text = NULL;

	joined = mime_words_join(raw, &out);
	if (joined.p != raw.p)
		text = str_dup(joined);
	buf_clear(&out);
	return text;
}

/* Encoded words have no place in a parameter (RFC 2047, 5), and many write them there. */
static struct str file_name(struct mime_memory *memory, GMimePart *part)
{
	struct str name = keep_unfolded(memory, g_mime_part_get_filename(part));
	char *disposition = joined_field(memory, part, "Content-Disposition"), *type = joined_field(memory, part, "Content-Type");
	const char *found = NULL;

	if (disposition != NULL) {
		GMimeContentDisposition *read = g_mime_content_disposition_parse(options, disposition);

		found = g_mime_content_disposition_get_parameter(read, "filename");
		name = found != NULL ? keep_unfolded(memory, found) : name;
		g_object_unref(read);
	}
	if (type != NULL && g_mime_object_get_content_disposition_parameter(GMIME_OBJECT(part), "filename") == NULL) {
		GMimeContentType *read = g_mime_content_type_parse(options, type);

		found = g_mime_content_type_get_parameter(read, "name");
		name = found != NULL ? keep_unfolded(memory, found) : name;
		g_object_unref(read);
	}
	free(disposition);
	free(type);
	return name;
}

static void add_leaf(struct walk *walk, GMimePart *leaf, GMimeObject *parent)
{
	struct mime_memory *memory = walk->message->memory;
	struct str type = plain_type(memory, GMIME_OBJECT(leaf));
	struct str name = file_name(memory, leaf);
	const char *charset = g_mime_content_type_get_parameter(
		g_mime_object_get_content_type(GMIME_OBJECT(leaf)), "charset");
	struct mime_part *part = add_part(walk, role_of(leaf, parent, type, name), type);
	struct str body;
	bool is_lossy;

	if (part == NULL)
		return;
	part->name = name;
	part->content_id = keep_unfolded(memory, g_mime_part_get_content_id(leaf));
	part->body = decoded_body(memory, leaf);
	if (part->role <= MIME_ALTERNATIVE) {
		part->body = mime_charset_to_utf8(part->body, str_of(charset), new_text(memory), NULL);
	} else if (charset != NULL && str_starts(type, STR("text/"))) {
		/* The charset parameter will be lost on the way, so the bytes must be UTF-8, if they can be. */
		body = mime_charset_to_utf8(part->body, str_of(charset), new_text(memory), &is_lossy);
		if (!is_lossy)
			part->body = body;
	}
}

static void add_written(struct walk *walk, GMimeObject *object, struct str type, const char *fallback_name)
{
	struct mime_memory *memory = walk->message->memory;
	const char *name = g_mime_object_get_content_disposition_parameter(object, "filename");
	struct mime_part *part = add_part(walk, MIME_ATTACHMENT, type);

	if (part == NULL)
		return;
	if (name == NULL)
		name = g_mime_object_get_content_type_parameter(object, "name");
	part->name = keep_unfolded(memory, name != NULL ? name : fallback_name);
	part->body = written(memory, object);
}

static bool is_message(GMimeObject *object)
{
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
		if (g_mime_content_type_is_type(g_mime_object_get_content_type(object), "message", messages[i]))
			return true;
	return false;
}

static void add_message(struct walk *walk, GMimePart *leaf)
{
	struct mime_memory *memory = walk->message->memory;
	struct str name = file_name(memory, leaf);
	struct mime_part *part = add_part(walk, MIME_ATTACHMENT, STR("message/rfc822"));

	if (part == NULL)
		return;
	part->name = name.n > 0 ? name : STR("message.eml");
	part->body = decoded_body(memory, leaf);
}

/* A multipart in which no boundary was found: its bytes are all there is to read. */
static void add_prologue(struct walk *walk, GMimeMultipart *multipart, bool is_whole)
{
	struct str text = is_whole ? walk->body : str_of(g_mime_multipart_get_prologue(multipart));
	struct mime_memory *memory = walk->message->memory;
	struct mime_part *part;

	if (text.n == 0)
		return;
	part = add_part(walk, MIME_TEXT, STR("text/plain"));
	if (part != NULL)
		part->body = mime_charset_to_utf8(keep(memory, text), STR(""), new_text(memory), NULL);
}

/* S/MIME has its signature about the content, or beside it, or encrypts it: all in one leaf. */
static void note_seal(struct mime_message *m, GMimeObject *object)
{
	GMimeContentType *type = g_mime_object_get_content_type(object);

	m->is_signed |= g_mime_content_type_is_type(type, "multipart", "signed");
	m->is_encrypted |= g_mime_content_type_is_type(type, "multipart", "encrypted") ||
			   g_mime_content_type_is_type(type, "application", "pkcs7-mime") ||
			   g_mime_content_type_is_type(type, "application", "x-pkcs7-mime");
}

static void gather(struct walk *walk, GMimeObject *object, GMimeObject *parent, int depth)
{
	if (object == NULL || walk->is_too_many)
		return;
	note_seal(walk->message, object);
	if (GMIME_IS_MULTIPART(object)) {
		int n = g_mime_multipart_get_count(GMIME_MULTIPART(object));

		if (depth == DEPTH_MAX) {
			add_written(walk, object, STR("application/octet-stream"), "nested.mime");
			return;
		}
		if (n == 0)
			add_prologue(walk, GMIME_MULTIPART(object), parent == NULL);
		for (int i = 0; i < n; i++)
			gather(walk, g_mime_multipart_get_part(GMIME_MULTIPART(object), i), object, depth + 1);
	} else if (GMIME_IS_PART(object) && is_message(object)) {
		add_message(walk, GMIME_PART(object));
	} else if (GMIME_IS_PART(object)) {
		add_leaf(walk, GMIME_PART(object), parent);
	}
}

static struct mime_part *first_of(const struct mime_message *m, enum mime_role role)
{
	for (unsigned i = 0; i < m->n_parts; i++)
		if (m->parts[i].role == role)
			return &m->parts[i];
	return NULL;
}

static void append_text(struct buf *all, struct str more)
{
	if (all->n > 0 && all->p[all->n - 1] != '\n')
		buf_put_text(all, "\r\n");
	buf_put_str(all, more);
}

/* A provider takes one text and one html. More texts of a message without html are one text (footers of
 * mailing lists); every other one is attached, so that none is lost. */
static void settle_bodies(struct mime_message *m)
{
	struct mime_part *text = first_of(m, MIME_TEXT), *html = first_of(m, MIME_HTML);
	struct buf *all = NULL; /* one for all of them: a thousand texts must not be copied a thousand times */
	unsigned kept = 0;

	for (unsigned i = 0; i < m->n_parts; i++) {
		struct mime_part *part = &m->parts[i];

		if (part->role == MIME_TEXT && part != text && html == NULL) {
			if (all == NULL) {
				all = new_text(m->memory);
				buf_put_str(all, text->body);
			}
			append_text(all, part->body);
			text->body = buf_str(all);
			continue;
		}
		if ((part->role == MIME_TEXT && part != text) || (part->role == MIME_HTML && part != html))
			part->role = MIME_ATTACHMENT;
		m->parts[kept++] = *part;
	}
	m->n_parts = kept;
}

/* A part with a content id that was sent as an attachment, but that the html shows, is inline. */
static void settle_inline(struct mime_message *m)
{
	const struct mime_part *html = first_of(m, MIME_HTML);

	for (unsigned i = 0; html != NULL && i < m->n_parts; i++) {
		struct mime_part *part = &m->parts[i];

		if (part->role == MIME_ATTACHMENT && part->content_id.n > 0 &&
		    memmem(html->body.p, html->body.n, part->content_id.p, part->content_id.n) != NULL)
			part->role = MIME_INLINE;
	}
}

/* Lines that may part parts, and header fields of the parts behind them: what GMime may be made to build. */
static bool has_too_many_parts(struct str rest)
{
	unsigned delimiters = 0, fields = 0;
	bool in_header = false;

	while (rest.n > 0 && delimiters <= DELIMITERS_MAX && fields <= PART_FIELDS_MAX) {
		struct str line = str_first(rest, str_find(rest, '\n'));

		rest = str_from(rest, line.n + 1);
		if (str_starts(line, STR("--"))) {
			delimiters++;
			in_header = true;
		} else if (line.n == 0 || (line.n == 1 && line.p[0] == '\r')) {
			in_header = false;
		} else if (in_header && str_find(line, ':') < line.n) {
			fields++;
		}
	}
	return delimiters > DELIMITERS_MAX || fields > PART_FIELDS_MAX;
}

/* Gives the bytes to GMime, borrowed, and has it find the structure. */
static void parse(struct mime_memory *memory, struct str content)
{
	memory->array = g_byte_array_new_take((guint8 *)(uintptr_t)content.p, content.n);
	memory->stream = g_mime_stream_mem_new_with_byte_array(memory->array);
	g_mime_stream_mem_set_owner(GMIME_STREAM_MEM(memory->stream), FALSE);
	memory->parser = g_mime_parser_new_with_stream(memory->stream);
	memory->root = g_mime_parser_construct_part(memory->parser, options);
}

bool mime_message_parse(struct mime_message *m, struct str content)
{
	struct walk walk = {.message = m, .body = content};
	struct mime_part *part;

	must(options != NULL);
	*m = (struct mime_message){.memory = mem_zero(sizeof(*m->memory))};
	if (content.n == 0)
		return true;
	if (content.n > UINT32_MAX || has_too_many_parts(content))
		return false;
	if (!read_headers(m, content, &walk.body))
		return false;
	if (m->n_headers == 0)
		walk.body = content;
	else
		parse(m->memory, content);
	gather(&walk, m->memory->root, NULL, 0);
	if (m->n_parts == 0 && walk.body.n > 0) {
		/* No header section, or GMime made nothing of it. */
		part = add_part(&walk, MIME_TEXT, STR("text/plain"));
		part->body = mime_charset_to_utf8(walk.body, STR(""), new_text(m->memory), NULL);
	}
	settle_bodies(m);
	settle_inline(m);
	return !walk.is_too_many;
}
