/* SPDX-License-Identifier: Apache-2.0
 *
 * The sources are asked in the order of AWS's SDKs: environment (unless AWS_PROFILE is set), shared files, web identity
 * (EKS: STS AssumeRoleWithWebIdentity), container (ECS, EKS Pod Identity), instance (EC2, IMDSv2). `default` takes the
 * first that is set up; one that is set up and fails is a failure, for the next could be somebody else.
 * Facts from the AWS SDKs for JavaScript (credential-provider-*) and from botocore.
 */
#include "lib/aws/aws_credentials.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/aws/aws_ini.h"
#include "lib/aws/aws_xml.h"
#include "lib/base/clock.h"
#include "lib/base/date.h"
#include "lib/base/encode.h"
#include "lib/base/json_read.h"
#include "lib/base/mem.h"
#include "lib/base/network.h"
#include "lib/base/trouble.h"
#include "lib/settings/settings.h"

enum { WORDS_MAX = 300, TRIES = 3, HEADER_MAX = 15000, ROLE_MAX = 128 };

/* As settings.def has them: a request must be able to be signed with what passes here. */
enum { ID_MAX = 128, SECRET_MAX = 1024 };

#define METADATA_TIMEOUT CLOCK_SECOND

/* What the answer that comes is one to. */
enum at {
	START,
	CREDENTIALS_FILE,
	CONFIG_FILE,
	IDENTITY_FILE,
	STS,
	CONTAINER_FILE,
	CONTAINER,
	INSTANCE_TOKEN,
	INSTANCE_ROLE,
	INSTANCE_KEYS,
};

/* The order of `default`. */
enum link { ENVIRONMENT, FILES, IDENTITY, IN_CONTAINER, INSTANCE };

static const char *variable(const struct aws_credentials *c, enum aws_variable which)
{
	return c->sources->variable[which];
}

/* ---- the end ---- */

static bool is_key(struct str text, size_t most)
{
	return text.n > 0 && text.n <= most && str_is_printable(text) && str_find(text, ' ') == text.n;
}

static enum aws_credentials_step fail(struct aws_credentials *c, bool is_passing, unsigned status, const char *what, struct str why)
{
	snprintf(c->why, sizeof(c->why), "no AWS credentials: %s%s%.*s", what, why.n > 0 ? ": " : "",
		 STR_ARG(str_first(why, WORDS_MAX)));
	c->status = status;
	c->is_passing = is_passing;
	return AWS_CREDENTIALS_FAILED;
}

/* It is the operator's or the account's: trying again does not help soon. */
static enum aws_credentials_step refused(struct aws_credentials *c, unsigned status, const char *what, struct str why)
{
	return fail(c, false, status, what, why);
}

static enum aws_credentials_step unreachable(struct aws_credentials *c, unsigned status, const char *what, struct str why)
{
	return fail(c, true, status, what, why);
}

static enum aws_credentials_step have(struct aws_credentials *c, const struct aws_credentials_keys *keys, int64_t expires_at,
				      const char *where)
{
	if (!is_key(keys->access_key_id, ID_MAX) || !is_key(keys->secret_access_key, SECRET_MAX) ||
	    (keys->session_token.n > 0 && !is_key(keys->session_token, HEADER_MAX)))
		return refused(c, 0, "there is no usable key (one is missing, too long, or has a character that none has)",
			       str_of(where));
	if (expires_at <= c->now)
		return refused(c, 0, "they have expired", str_of(where));
	/* Room for all of it: what grows leaves copies behind. */
	buf_room(&c->keys, keys->access_key_id.n + keys->secret_access_key.n + keys->session_token.n + 2);
	buf_put_str(&c->keys, keys->access_key_id);
	buf_put_char(&c->keys, '\n');
	buf_put_str(&c->keys, keys->secret_access_key);
	buf_put_char(&c->keys, '\n');
	buf_put_str(&c->keys, keys->session_token);
	c->expires_at = expires_at;
	return AWS_CREDENTIALS_DONE;
}

bool aws_credentials_keys(struct str text, struct aws_credentials_keys *keys)
{
	return str_next(&text, '\n', &keys->access_key_id) && str_next(&text, '\n', &keys->secret_access_key) &&
	       str_next(&text, '\n', &keys->session_token);
}

/* ---- requests ---- */

static void put_header(struct aws_credentials_request *request, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put_header(struct aws_credentials_request *request, const char *format, ...)
{
	struct buf text = BUF_MAX(HEADER_MAX + 256);
	va_list args;

	va_start(args, format);
	must(buf_vprintf(&text, format, args));
	va_end(args);
	must(request->n_headers < AWS_CREDENTIALS_HEADERS_MAX);
	request->headers[request->n_headers++] = buf_take_text(&text);
}

void aws_credentials_request_clear(struct aws_credentials_request *request)
{
	mem_free_secret(&request->url);
	for (unsigned i = 0; i < request->n_headers; i++)
		mem_free_secret(&request->headers[i]);
	request->n_headers = 0;
	request->timeout = 0;
	buf_clear_secret(&request->body);
}

/* ---- environment ---- */

static enum aws_credentials_step from_environment(struct aws_credentials *c)
{
	const struct aws_credentials_keys keys = {
		str_of(variable(c, AWS_VARIABLE_ACCESS_KEY_ID)),
		str_of(variable(c, AWS_VARIABLE_SECRET_ACCESS_KEY)),
		str_of(variable(c, AWS_VARIABLE_SESSION_TOKEN)),
	};

	return have(c, &keys, INT64_MAX, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment");
}

/* ---- files ---- */

static enum aws_credentials_step read_file(struct aws_credentials *c, enum at step, enum aws_file which)
{
	c->step = step;
	c->file = which;
	return AWS_CREDENTIALS_READ;
}

static struct str profile_of(const struct aws_credentials *c)
{
	const char *name = variable(c, AWS_VARIABLE_PROFILE);

	return name != NULL ? str_of(name) : STR("default");
}

static bool find_keys(struct str text, struct str section, struct aws_credentials_keys *keys)
{
	*keys = (struct aws_credentials_keys){0};
	aws_ini_find(text, section, "aws_session_token", &keys->session_token);
	return aws_ini_find(text, section, "aws_access_key_id", &keys->access_key_id) &&
	       aws_ini_find(text, section, "aws_secret_access_key", &keys->secret_access_key);
}

/* What a profile may say that we do not do, or NULL. */
static const char *unknown_way(struct str text, struct str section)
{
	static const char *const ways[] = {"role_arn", "credential_process", "sso_session", "sso_start_url", "login_session"};
	struct str value;

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (aws_ini_find(text, section, ways[i], &value))
			return ways[i];
	return NULL;
}

static enum aws_credentials_step chain(struct aws_credentials *c, struct aws_credentials_request *request, enum link from);

static enum aws_credentials_step after_files(struct aws_credentials *c, struct aws_credentials_request *request)
{
	if (c->source == AWS_DEFAULT)
		return chain(c, request, IDENTITY);
	return refused(c, 0, "the shared files have no keys for the profile", profile_of(c));
}

static enum aws_credentials_step from_file(struct aws_credentials *c, const struct aws_credentials_answer *answer,
					   struct aws_credentials_request *request)
{
	struct buf section = BUF_MAX(1024);
	struct aws_credentials_keys keys;
	enum aws_credentials_step next;
	const char *way;

	if (c->step == CONFIG_FILE && !str_eq(profile_of(c), STR("default")))
		buf_put_text(&section, "profile ");
	buf_put_str(&section, profile_of(c));
	way = answer->status == 0 ? NULL : unknown_way(answer->body, buf_str(&section));
	if (answer->status != 0 && find_keys(answer->body, buf_str(&section), &keys))
		next = have(c, &keys, INT64_MAX, "the shared files");
	else if (way != NULL)
		next = refused(c, 0, "the profile wants what smtp-proxy does not do", str_of(way));
	else if (c->step == CREDENTIALS_FILE)
		next = read_file(c, CONFIG_FILE, AWS_FILE_CONFIG);
	else
		next = after_files(c, request);
	buf_clear(&section);
	return next;
}

/* ---- answers ---- */

static bool read_time(struct str text, int64_t *wall)
{
	int64_t seconds;

	if (!date_read_rfc3339(text, &seconds))
		return false;
	*wall = seconds * CLOCK_SECOND;
	return true;
}

/* {"Code":"Success","AccessKeyId":...,"Expiration":...} of containers and instances. */
static enum aws_credentials_step from_json(struct aws_credentials *c, const struct aws_credentials_answer *answer,
					   const char *where)
{
	struct json_object *body = json_read(answer->body);
	struct aws_credentials_keys keys;
	enum aws_credentials_step next;
	int64_t expires_at = INT64_MAX;
	struct str code, expires;

	keys = (struct aws_credentials_keys){json_read_text(body, "AccessKeyId"), json_read_text(body, "SecretAccessKey"),
					  json_read_text(body, "Token")};
	code = json_read_text(body, "Code");
	expires = json_read_text(body, "Expiration");
	if (answer->status != 200 || (code.n > 0 && !str_eq(code, STR("Success"))))
		next = refused(c, answer->status, where, code.n > 0 ? code : STR("it refused"));
	else if (expires.n > 0 && !read_time(expires, &expires_at))
		next = unreachable(c, answer->status, where, STR("its answer cannot be understood"));
	else
		next = have(c, &keys, expires_at, where);
	json_read_end_secret(body);
	return next;
}

/* No answer, or one of a server in trouble. */
static bool is_passing(const struct aws_credentials_answer *answer)
{
	return answer->status == 0 || answer->status == 429 || answer->status >= 500;
}

static enum aws_credentials_step give_up(struct aws_credentials *c, const struct aws_credentials_answer *answer, const char *where)
{
	return unreachable(c, answer->status, where,
			   answer->status == 0 ? answer->body : STR("it is in trouble"));
}

/* http to the hosts where such things are, and to this one; https to any. */
static bool is_allowed_url(struct str url, const char *const *hosts, size_t n)
{
	bool is_https = str_starts(url, STR("https://"));
	struct str rest, host;

	if ((!is_https && !str_starts(url, STR("http://"))) || !is_key(url, HEADER_MAX))
		return false;
	rest = str_from(url, is_https ? 8 : 7);
	host = str_first(rest, str_find(rest, '/'));
	if (host.n == 0 || str_find(host, '@') < host.n || str_find(host, '?') < host.n || str_find(host, '#') < host.n)
		return false;
	if (is_https)
		return true;
	host = host.p[0] == '[' ? str_first(host, str_find(host, ']') + 1) : str_first(host, str_find(host, ':'));
	for (size_t i = 0; i < n; i++)
		if (str_eq(host, str_of(hosts[i])))
			return true;
	return network_is_this_host(host);
}

static enum aws_credentials_step ask(struct aws_credentials *c, struct aws_credentials_request *request, enum at step,
				     const char *method, struct buf *url)
{
	c->step = step;
	request->method = method;
	request->url = buf_take_text(url);
	return AWS_CREDENTIALS_ASK;
}

/* ---- web identity ---- */

static enum aws_credentials_step ask_sts(struct aws_credentials *c, const struct aws_credentials_answer *file,
					 struct aws_credentials_request *request)
{
	const char *endpoint = variable(c, AWS_VARIABLE_STS_ENDPOINT), *session = variable(c, AWS_VARIABLE_ROLE_SESSION_NAME);
	struct str token = str_trim(str_first(file->body, str_find(file->body, '\n')));
	struct buf url = BUF_MAX(4096);
	const char *region = c->region;

	if (file->status == 0)
		return refused(c, 0, "the web identity token", file->body);
	if (!is_key(token, HEADER_MAX))
		return refused(c, 0, "the web identity token's file has no token in it", STR(""));
	if (endpoint != NULL && !is_allowed_url(str_of(endpoint), NULL, 0))
		return refused(c, 0, "AWS_ENDPOINT_URL_STS is not https, nor http to this host", STR(""));
	if (endpoint != NULL)
		buf_put_text(&url, endpoint);
	else
		buf_printf(&url, "https://sts.%s.amazonaws.com%s/", region, str_starts(str_of(region), STR("cn-")) ? ".cn" : "");
	buf_room(&request->body, 3 * token.n + 4096);
	buf_put_text(&request->body, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=");
	encode_percent(&request->body, str_of(variable(c, AWS_VARIABLE_ROLE_ARN)), "-._~");
	buf_put_text(&request->body, "&RoleSessionName=");
	encode_percent(&request->body, session != NULL ? str_of(session) : STR("smtp-proxy"), "-._~");
	buf_put_text(&request->body, "&WebIdentityToken=");
	encode_percent(&request->body, token, "-._~");
	put_header(request, "Content-Type: application/x-www-form-urlencoded");
	put_header(request, "Accept: text/xml");
	return ask(c, request, STS, "POST", &url);
}

static enum aws_credentials_step from_sts(struct aws_credentials *c, const struct aws_credentials_answer *answer)
{
	struct str code = STR(""), message = STR(""), expires = STR("");
	struct aws_credentials_keys keys = {0};
	int64_t expires_at;

	if (answer->status != 200) {
		aws_xml_element(answer->body, "Code", &code);
		aws_xml_element(answer->body, "Message", &message);
		/* The identity's provider could not be reached from there. */
		if (is_passing(answer) || str_eq(code, STR("IDPCommunicationError")) || str_eq(code, STR("Throttling"))) {
			if (++c->tries < TRIES)
				return read_file(c, IDENTITY_FILE, AWS_FILE_WEB_IDENTITY);
			return give_up(c, answer, "STS");
		}
		/* Not STS's own words: a proxy or filter on the way refused. */
		if (code.n == 0 && message.n == 0)
			return unreachable(c, answer->status, "STS", STR("something on the way to it refused"));
		return refused(c, answer->status, "STS refused the web identity", message.n > 0 ? message : code);
	}
	if (!aws_xml_element(answer->body, "AccessKeyId", &keys.access_key_id) ||
	    !aws_xml_element(answer->body, "SecretAccessKey", &keys.secret_access_key) ||
	    !aws_xml_element(answer->body, "SessionToken", &keys.session_token) ||
	    !aws_xml_element(answer->body, "Expiration", &expires) || !read_time(expires, &expires_at))
		return unreachable(c, answer->status, "STS", STR("its answer cannot be understood"));
	keys.session_token = str_trim(keys.session_token);
	return have(c, &keys, expires_at, "STS");
}

/* ---- container ---- */

static enum aws_credentials_step ask_container(struct aws_credentials *c, const struct aws_credentials_answer *file,
					       struct aws_credentials_request *request)
{
	static const char *const hosts[] = {"169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"};
	const char *relative = variable(c, AWS_VARIABLE_CONTAINER_RELATIVE_URI),
		   *full = variable(c, AWS_VARIABLE_CONTAINER_FULL_URI);
	struct str token = str_of(variable(c, AWS_VARIABLE_CONTAINER_TOKEN));
	struct buf url = BUF_MAX(4096);

	if (file != NULL && file->status == 0)
		return refused(c, 0, "the container's authorization token", file->body);
	if (file != NULL)
		token = str_ends(file->body, STR("\n")) ? str_first(file->body, file->body.n - 1) : file->body;
	if (token.n >= HEADER_MAX || !str_is_printable(token) || (file != NULL && token.n == 0))
		return refused(c, 0, "the container's authorization token is no header's value", STR(""));
	if (relative != NULL) {
		buf_put_text(&url, "http://169.254.170.2");
		buf_put_text(&url, relative[0] == '/' ? "" : "/");
	}
	buf_put_text(&url, relative != NULL ? relative : full);
	if (url.is_full || !is_allowed_url(buf_str(&url), hosts, sizeof(hosts) / sizeof(hosts[0]))) {
		buf_clear(&url);
		return refused(c, 0, "the container's URI is not https, nor http to where containers' credentials are",
			       STR(""));
	}
	request->timeout = METADATA_TIMEOUT;
	put_header(request, "Accept: application/json");
	if (token.n > 0)
		put_header(request, "Authorization: %.*s", STR_ARG(token));
	return ask(c, request, CONTAINER, "GET", &url);
}

static enum aws_credentials_step begin_container(struct aws_credentials *c, struct aws_credentials_request *request)
{
	if (aws_sources_has(c->sources, AWS_FILE_CONTAINER_TOKEN))
		return read_file(c, CONTAINER_FILE, AWS_FILE_CONTAINER_TOKEN);
	return ask_container(c, NULL, request);
}

/* ---- instance ---- */

#define ROLES "/latest/meta-data/iam/security-credentials/"

static bool is_true(const char *value)
{
	return value != NULL && !str_ieq(str_of(value), STR("false"));
}

/* False: the operator's endpoint is none that we go to. */
static bool put_instance_url(const struct aws_credentials *c, struct buf *url, const char *path)
{
	static const char *const hosts[] = {"169.254.169.254", "[fd00:ec2::254]"};
	const char *endpoint = variable(c, AWS_VARIABLE_INSTANCE_ENDPOINT),
		   *mode = variable(c, AWS_VARIABLE_INSTANCE_ENDPOINT_MODE);
	bool is_ipv6 = mode != NULL && str_ieq(str_of(mode), STR("ipv6"));
	struct str base = str_of(endpoint != NULL ? endpoint : is_ipv6 ? "http://[fd00:ec2::254]" : "http://169.254.169.254");

	while (str_ends(base, STR("/")))
		base.n--;
	buf_put_str(url, base);
	buf_put_text(url, path);
	return is_allowed_url(base, hosts, sizeof(hosts) / sizeof(hosts[0]));
}

/* `work` is IMDSv2's token; empty: version 1. */
static enum aws_credentials_step ask_instance(struct aws_credentials *c, struct aws_credentials_request *request, enum at step,
					      struct str role)
{
	struct buf url = BUF_MAX(4096);

	if (!put_instance_url(c, &url, step == INSTANCE_TOKEN ? "/latest/api/token" : ROLES)) {
		buf_clear(&url);
		return refused(c, 0, "AWS_EC2_METADATA_SERVICE_ENDPOINT is not https, nor http to where instances' metadata are",
			       STR(""));
	}
	buf_put_str(&url, role);
	request->timeout = METADATA_TIMEOUT;
	if (step == INSTANCE_TOKEN) {
		put_header(request, "X-aws-ec2-metadata-token-ttl-seconds: 21600");
		put_header(request, "Content-Type:"); /* none */
	} else if (c->work.n > 0) {
		put_header(request, "X-aws-ec2-metadata-token: %.*s", STR_ARG(buf_str(&c->work)));
	}
	return ask(c, request, step, step == INSTANCE_TOKEN ? "PUT" : "GET", &url);
}

static enum aws_credentials_step take_instance_token(struct aws_credentials *c, const struct aws_credentials_answer *answer,
						     struct aws_credentials_request *request)
{
	unsigned status = answer->status;
	struct str token = str_trim(answer->body);

	buf_clear_secret(&c->work);
	if (status == 200) {
		if (!is_key(token, HEADER_MAX))
			return unreachable(c, status, "the instance's metadata", STR("its token cannot be understood"));
		buf_put_str(&c->work, token);
		return ask_instance(c, request, INSTANCE_ROLE, STR(""));
	}
	if (status > 0 && is_passing(answer) && ++c->tries < TRIES)
		return ask_instance(c, request, INSTANCE_TOKEN, STR(""));
	/* Not there in version 2, or too far away for it: its answers die at the first router. */
	if (status != 0 && status != 403 && status != 404 && status != 405)
		return is_passing(answer) ? give_up(c, answer, "the instance's metadata")
					  : refused(c, status, "the instance's metadata gave no token", STR(""));
	if (is_true(variable(c, AWS_VARIABLE_INSTANCE_V1_DISABLED)))
		return status == 0 ? give_up(c, answer, "the instance's metadata")
				   : refused(c, status, "the instance's metadata gave no token", STR(""));
	return ask_instance(c, request, INSTANCE_ROLE, STR(""));
}

/* The name of the instance's role: a line. */
static bool role_of(struct str body, struct str *role)
{
	*role = str_trim(str_first(body, str_find(body, '\n')));
	if (str_ends(*role, STR("\r")))
		role->n--;
	for (size_t i = 0; i < role->n; i++) {
		char c = role->p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && strchr("+=,.@_-", c) == NULL)
			return false;
	}
	return role->n > 0 && role->n <= ROLE_MAX && str_find(*role, '\0') == role->n;
}

static enum aws_credentials_step take_instance(struct aws_credentials *c, const struct aws_credentials_answer *answer,
					       struct aws_credentials_request *request)
{
	static const char where[] = "the instance's metadata";
	struct str role;

	/* Nobody is there at all. */
	if (answer->status == 0 && c->work.n == 0)
		return give_up(c, answer, where);
	/* The token has gone bad, or this is an instance that wants version 2 after all. */
	if ((answer->status == 401 || is_passing(answer)) && ++c->tries < TRIES)
		return ask_instance(c, request, INSTANCE_TOKEN, STR(""));
	if (is_passing(answer))
		return give_up(c, answer, where);
	if (c->step == INSTANCE_KEYS)
		return from_json(c, answer, where);
	if (answer->status == 404)
		return refused(c, 404, "the instance has no role", STR(""));
	if (answer->status != 200 || !role_of(answer->body, &role))
		return refused(c, answer->status, where, STR("they name no role"));
	return ask_instance(c, request, INSTANCE_KEYS, role);
}

/* ---- all of them ---- */

static bool is_set_up(const struct aws_credentials *c, enum link link)
{
	switch (link) {
	case ENVIRONMENT:
		return variable(c, AWS_VARIABLE_ACCESS_KEY_ID) != NULL && variable(c, AWS_VARIABLE_PROFILE) == NULL;
	case FILES:
		return aws_sources_has(c->sources, AWS_FILE_CREDENTIALS) || aws_sources_has(c->sources, AWS_FILE_CONFIG);
	case IDENTITY:
		return aws_sources_has(c->sources, AWS_FILE_WEB_IDENTITY) && variable(c, AWS_VARIABLE_ROLE_ARN) != NULL;
	case IN_CONTAINER:
		return variable(c, AWS_VARIABLE_CONTAINER_RELATIVE_URI) != NULL ||
		       variable(c, AWS_VARIABLE_CONTAINER_FULL_URI) != NULL;
	case INSTANCE:
		return !is_true(variable(c, AWS_VARIABLE_INSTANCE_DISABLED));
	}
	return false;
}

static enum aws_credentials_step begin(struct aws_credentials *c, struct aws_credentials_request *request, enum link link)
{
	switch (link) {
	case ENVIRONMENT:
		return from_environment(c);
	case FILES:
		return read_file(c, CREDENTIALS_FILE, AWS_FILE_CREDENTIALS);
	case IDENTITY:
		return read_file(c, IDENTITY_FILE, AWS_FILE_WEB_IDENTITY);
	case IN_CONTAINER:
		return begin_container(c, request);
	case INSTANCE:
		return ask_instance(c, request, INSTANCE_TOKEN, STR(""));
	}
	return AWS_CREDENTIALS_FAILED;
}

static enum aws_credentials_step chain(struct aws_credentials *c, struct aws_credentials_request *request, enum link from)
{
	for (enum link link = from; link <= INSTANCE; link++)
		if (is_set_up(c, link))
			return begin(c, request, link);
	return refused(c, 0, "none of their sources is set up", STR(""));
}

static enum aws_credentials_step start(struct aws_credentials *c, struct aws_credentials_request *request)
{
	static const struct {
		enum link link;
		const char *missing;
	} only[] = {
		[AWS_ENVIRONMENT] = {ENVIRONMENT, "AWS_ACCESS_KEY_ID is not set"},
		[AWS_FILE] = {FILES, "there are no shared files (~/.aws/credentials, ~/.aws/config)"},
		[AWS_CONTAINER] = {IN_CONTAINER, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and _FULL_URI are not set"},
		[AWS_WEB_IDENTITY] = {IDENTITY, "AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN are not both set"},
		[AWS_INSTANCE] = {INSTANCE, "AWS_EC2_METADATA_DISABLED is set"},
	};
	int wanted = c->source;

	if (c->sources == NULL)
		return refused(c, 0, "where they come from was changed: smtp-proxy has to be started again", STR(""));
	if (wanted == AWS_DEFAULT)
		return chain(c, request, ENVIRONMENT);
	/* A profile that is named goes before the environment only where both are looked at. */
	if (is_set_up(c, only[wanted].link) ||
	    (wanted == AWS_ENVIRONMENT && variable(c, AWS_VARIABLE_ACCESS_KEY_ID) != NULL))
		return begin(c, request, only[wanted].link);
	return refused(c, 0, only[wanted].missing, STR(""));
}

enum aws_credentials_step aws_credentials_step(struct aws_credentials *c, const struct aws_credentials_answer *answer,
					       struct aws_credentials_request *request)
{
	switch ((enum at)c->step) {
	case START:
		return start(c, request);
	case CREDENTIALS_FILE:
	case CONFIG_FILE:
		return from_file(c, answer, request);
	case IDENTITY_FILE:
		return ask_sts(c, answer, request);
	case STS:
		return from_sts(c, answer);
	case CONTAINER_FILE:
		return ask_container(c, answer, request);
	case CONTAINER:
		if (is_passing(answer) && ++c->tries < TRIES)
			return begin_container(c, request);
		return is_passing(answer) ? give_up(c, answer, "the container's credentials")
					  : from_json(c, answer, "the container's credentials");
	case INSTANCE_TOKEN:
		return take_instance_token(c, answer, request);
	case INSTANCE_ROLE:
	case INSTANCE_KEYS:
		return take_instance(c, answer, request);
	}
	return AWS_CREDENTIALS_FAILED;
}
