/* SPDX-License-Identifier: Apache-2.0
 *
 * The sources are asked in the order of AWS's SDKs: environment (unless AWS_PROFILE is set), shared files, web identity
 * (EKS: STS AssumeRoleWithWebIdentity), container (ECS, EKS Pod Identity), instance (EC2, IMDSv2). `default` takes the
 * first that is set up; one that is set up and fails is a failure, for the next could be somebody else.
 * Facts from the AWS SDKs for JavaScript (credential-provider-*) and from botocore.
 */
#include "deliver/provider_aws.h"

#include "deliver/aws_ini.h"
#include "deliver/aws_sources.h"
#include "deliver/aws_sts.h"
#include "deliver/provider_json.h"
#include "lib/base/clock.h"
#include "lib/base/encode.h"
#include "lib/base/network.h"

enum { WORDS_MAX = 300, TRIES = 3, HEADER_MAX = 15000, ROLE_MAX = 128 };

/* As settings.def has them: a request must be able to be signed with what passes here. */
enum { ID_MAX = 128, SECRET_MAX = 1024 };

#define METADATA_TIMEOUT CLOCK_SECOND

/* What the answer that comes is one to. */
enum step {
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

static const char *variable(const struct provider_fetch *fetch, enum aws_variable which)
{
	return fetch->aws->variable[which];
}

bool provider_aws_wants_token(const struct settings_provider *settings)
{
	return settings->aws_credentials != AWS_SETTINGS;
}

/* ---- the end ---- */

static bool is_key(struct str text, size_t most)
{
	return text.n > 0 && text.n <= most && str_is_printable(text) && str_find(text, ' ') == text.n;
}

/* It is the operator's or the account's: nobody's message is to blame, and trying again does not help soon. */
static enum provider_step refused(struct provider_fetch *fetch, unsigned status, const char *what, struct str why)
{
	provider_verdict_set(&fetch->verdict, IPC_OUTCOME_PROVIDER_FAULT, status, "4.7.8", "no AWS credentials: %s%s%.*s", what,
			     why.n > 0 ? ": " : "", STR_ARG(str_first(why, WORDS_MAX)));
	fetch->verdict.about = IPC_ABOUT_CREDENTIAL;
	return PROVIDER_STEP_FAILED;
}

static enum provider_step unreachable(struct provider_fetch *fetch, unsigned status, const char *what, struct str why)
{
	provider_verdict_set(&fetch->verdict, IPC_OUTCOME_TRANSIENT, status, "4.4.1", "no AWS credentials: %s%s%.*s", what,
			     why.n > 0 ? ": " : "", STR_ARG(str_first(why, WORDS_MAX)));
	fetch->verdict.about = IPC_ABOUT_PROVIDER;
	return PROVIDER_STEP_FAILED;
}

static enum provider_step have(struct provider_fetch *fetch, const struct provider_aws_keys *keys, int64_t expires_at,
			       const char *where)
{
	if (!is_key(keys->access_key_id, ID_MAX) || !is_key(keys->secret_access_key, SECRET_MAX) ||
	    (keys->session_token.n > 0 && !is_key(keys->session_token, HEADER_MAX)))
		return refused(fetch, 0, "there is no usable key (one is missing, too long, or has a character that none has)",
			       str_of(where));
	if (expires_at <= fetch->now)
		return refused(fetch, 0, "they have expired", str_of(where));
	/* Room for all of it: what grows leaves copies behind. */
	buf_room(&fetch->token, keys->access_key_id.n + keys->secret_access_key.n + keys->session_token.n + 2);
	buf_put_str(&fetch->token, keys->access_key_id);
	buf_put_char(&fetch->token, '\n');
	buf_put_str(&fetch->token, keys->secret_access_key);
	buf_put_char(&fetch->token, '\n');
	buf_put_str(&fetch->token, keys->session_token);
	fetch->expires_at = expires_at;
	return PROVIDER_STEP_DONE;
}

bool provider_aws_keys(struct str token, struct provider_aws_keys *keys)
{
	return str_next(&token, '\n', &keys->access_key_id) && str_next(&token, '\n', &keys->secret_access_key) &&
	       str_next(&token, '\n', &keys->session_token);
}

/* ---- environment ---- */

static enum provider_step from_environment(struct provider_fetch *fetch)
{
	const struct provider_aws_keys keys = {
		str_of(variable(fetch, AWS_VARIABLE_ACCESS_KEY_ID)),
		str_of(variable(fetch, AWS_VARIABLE_SECRET_ACCESS_KEY)),
		str_of(variable(fetch, AWS_VARIABLE_SESSION_TOKEN)),
	};

	return have(fetch, &keys, INT64_MAX, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment");
}

/* ---- files ---- */

static enum provider_step read_file(struct provider_fetch *fetch, enum step step, enum aws_file which)
{
	fetch->step = step;
	fetch->source = which;
	return PROVIDER_STEP_READ;
}

static struct str profile_of(const struct provider_fetch *fetch)
{
	const char *name = variable(fetch, AWS_VARIABLE_PROFILE);

	return name != NULL ? str_of(name) : STR("default");
}

static bool find_keys(struct str text, struct str section, struct provider_aws_keys *keys)
{
	*keys = (struct provider_aws_keys){0};
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

static enum provider_step chain(struct provider_fetch *fetch, struct provider_request *request, enum link from);

static enum provider_step after_files(struct provider_fetch *fetch, struct provider_request *request)
{
	if (fetch->settings->aws_credentials == AWS_DEFAULT)
		return chain(fetch, request, IDENTITY);
	return refused(fetch, 0, "the shared files have no keys for the profile", profile_of(fetch));
}

static enum provider_step from_file(struct provider_fetch *fetch, const struct provider_answer *answer,
				    struct provider_request *request)
{
	struct buf section = BUF_MAX(1024);
	struct provider_aws_keys keys;
	enum provider_step next;
	const char *way;

	if (fetch->step == CONFIG_FILE && !str_eq(profile_of(fetch), STR("default")))
		buf_put_text(&section, "profile ");
	buf_put_str(&section, profile_of(fetch));
	way = answer->status == 0 ? NULL : unknown_way(answer->body, buf_str(&section));
	if (answer->status != 0 && find_keys(answer->body, buf_str(&section), &keys))
		next = have(fetch, &keys, INT64_MAX, "the shared files");
	else if (way != NULL)
		next = refused(fetch, 0, "the profile wants what smtp-proxy does not do", str_of(way));
	else if (fetch->step == CREDENTIALS_FILE)
		next = read_file(fetch, CONFIG_FILE, AWS_FILE_CONFIG);
	else
		next = after_files(fetch, request);
	buf_clear(&section);
	return next;
}

/* ---- answers ---- */

/* {"Code":"Success","AccessKeyId":...,"Expiration":...} of containers and instances. */
static enum provider_step from_json(struct provider_fetch *fetch, const struct provider_answer *answer, const char *where)
{
	struct json_object *body = provider_json_read(answer->body);
	struct provider_aws_keys keys;
	enum provider_step next;
	int64_t expires_at = INT64_MAX;
	struct str code, expires;

	keys = (struct provider_aws_keys){provider_json_get_text(body, "AccessKeyId"), provider_json_get_text(body, "SecretAccessKey"),
					  provider_json_get_text(body, "Token")};
	code = provider_json_get_text(body, "Code");
	expires = provider_json_get_text(body, "Expiration");
	if (answer->status != 200 || (code.n > 0 && !str_eq(code, STR("Success"))))
		next = refused(fetch, answer->status, where, code.n > 0 ? code : STR("it refused"));
	else if (expires.n > 0 && !aws_sts_time(expires, &expires_at))
		next = unreachable(fetch, answer->status, where, STR("its answer cannot be understood"));
	else
		next = have(fetch, &keys, expires_at, where);
	provider_json_put_secret(body);
	return next;
}

/* No answer, or one of a server in trouble. */
static bool is_passing(const struct provider_answer *answer)
{
	return answer->status == 0 || answer->status == 429 || answer->status >= 500;
}

static enum provider_step give_up(struct provider_fetch *fetch, const struct provider_answer *answer, const char *where)
{
	return unreachable(fetch, answer->status, where,
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

static enum provider_step ask(struct provider_fetch *fetch, struct provider_request *request, enum step step,
			      const char *method, struct buf *url)
{
	fetch->step = step;
	request->method = method;
	request->url = buf_take_text(url);
	return PROVIDER_STEP_ASK;
}

/* ---- web identity ---- */

static enum provider_step ask_sts(struct provider_fetch *fetch, const struct provider_answer *file,
				  struct provider_request *request)
{
	const char *endpoint = variable(fetch, AWS_VARIABLE_STS_ENDPOINT), *session = variable(fetch, AWS_VARIABLE_ROLE_SESSION_NAME);
	struct str token = str_trim(str_first(file->body, str_find(file->body, '\n')));
	struct buf url = BUF_MAX(4096);
	const char *region = fetch->settings->region;

	if (file->status == 0)
		return refused(fetch, 0, "the web identity token", file->body);
	if (!is_key(token, HEADER_MAX))
		return refused(fetch, 0, "the web identity token's file has no token in it", STR(""));
	if (endpoint != NULL && !is_allowed_url(str_of(endpoint), NULL, 0))
		return refused(fetch, 0, "AWS_ENDPOINT_URL_STS is not https, nor http to this host", STR(""));
	if (endpoint != NULL)
		buf_put_text(&url, endpoint);
	else
		buf_printf(&url, "https://sts.%s.amazonaws.com%s/", region, str_starts(str_of(region), STR("cn-")) ? ".cn" : "");
	buf_room(&request->body, 3 * token.n + 4096);
	buf_put_text(&request->body, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=");
	encode_percent(&request->body, str_of(variable(fetch, AWS_VARIABLE_ROLE_ARN)), "-._~");
	buf_put_text(&request->body, "&RoleSessionName=");
	encode_percent(&request->body, session != NULL ? str_of(session) : STR("smtp-proxy"), "-._~");
	buf_put_text(&request->body, "&WebIdentityToken=");
	encode_percent(&request->body, token, "-._~");
	provider_request_header(request, "Content-Type: application/x-www-form-urlencoded");
	provider_request_header(request, "Accept: text/xml");
	return ask(fetch, request, STS, "POST", &url);
}

static enum provider_step from_sts(struct provider_fetch *fetch, const struct provider_answer *answer)
{
	struct str code = STR(""), message = STR(""), expires = STR("");
	struct provider_aws_keys keys = {0};
	int64_t expires_at;

	if (answer->status != 200) {
		aws_sts_element(answer->body, "Code", &code);
		aws_sts_element(answer->body, "Message", &message);
		/* The identity's provider could not be reached from there. */
		if (is_passing(answer) || str_eq(code, STR("IDPCommunicationError")) || str_eq(code, STR("Throttling"))) {
			if (++fetch->tries < TRIES)
				return read_file(fetch, IDENTITY_FILE, AWS_FILE_WEB_IDENTITY);
			return give_up(fetch, answer, "STS");
		}
		/* Not STS's own words: a proxy or filter on the way refused. */
		if (code.n == 0 && message.n == 0)
			return unreachable(fetch, answer->status, "STS", STR("something on the way to it refused"));
		return refused(fetch, answer->status, "STS refused the web identity", message.n > 0 ? message : code);
	}
	if (!aws_sts_element(answer->body, "AccessKeyId", &keys.access_key_id) ||
	    !aws_sts_element(answer->body, "SecretAccessKey", &keys.secret_access_key) ||
	    !aws_sts_element(answer->body, "SessionToken", &keys.session_token) ||
	    !aws_sts_element(answer->body, "Expiration", &expires) || !aws_sts_time(expires, &expires_at))
		return unreachable(fetch, answer->status, "STS", STR("its answer cannot be understood"));
	keys.session_token = str_trim(keys.session_token);
	return have(fetch, &keys, expires_at, "STS");
}

/* ---- container ---- */

static enum provider_step ask_container(struct provider_fetch *fetch, const struct provider_answer *file,
					struct provider_request *request)
{
	static const char *const hosts[] = {"169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"};
	const char *relative = variable(fetch, AWS_VARIABLE_CONTAINER_RELATIVE_URI),
		   *full = variable(fetch, AWS_VARIABLE_CONTAINER_FULL_URI);
	struct str token = str_of(variable(fetch, AWS_VARIABLE_CONTAINER_TOKEN));
	struct buf url = BUF_MAX(4096);

	if (file != NULL && file->status == 0)
		return refused(fetch, 0, "the container's authorization token", file->body);
	if (file != NULL)
		token = str_ends(file->body, STR("\n")) ? str_first(file->body, file->body.n - 1) : file->body;
	if (token.n >= HEADER_MAX || !str_is_printable(token) || (file != NULL && token.n == 0))
		return refused(fetch, 0, "the container's authorization token is no header's value", STR(""));
	if (relative != NULL) {
		buf_put_text(&url, "http://169.254.170.2");
		buf_put_text(&url, relative[0] == '/' ? "" : "/");
	}
	buf_put_text(&url, relative != NULL ? relative : full);
	if (url.is_full || !is_allowed_url(buf_str(&url), hosts, sizeof(hosts) / sizeof(hosts[0]))) {
		buf_clear(&url);
		return refused(fetch, 0, "the container's URI is not https, nor http to where containers' credentials are",
			       STR(""));
	}
	request->timeout = METADATA_TIMEOUT;
	provider_request_header(request, "Accept: application/json");
	if (token.n > 0)
		provider_request_header(request, "Authorization: %.*s", STR_ARG(token));
	return ask(fetch, request, CONTAINER, "GET", &url);
}

static enum provider_step begin_container(struct provider_fetch *fetch, struct provider_request *request)
{
	if (aws_sources_has(fetch->aws, AWS_FILE_CONTAINER_TOKEN))
		return read_file(fetch, CONTAINER_FILE, AWS_FILE_CONTAINER_TOKEN);
	return ask_container(fetch, NULL, request);
}

/* ---- instance ---- */

#define ROLES "/latest/meta-data/iam/security-credentials/"

static bool is_true(const char *value)
{
	return value != NULL && !str_ieq(str_of(value), STR("false"));
}

/* False: the operator's endpoint is none that we go to. */
static bool put_instance_url(const struct provider_fetch *fetch, struct buf *url, const char *path)
{
	static const char *const hosts[] = {"169.254.169.254", "[fd00:ec2::254]"};
	const char *endpoint = variable(fetch, AWS_VARIABLE_INSTANCE_ENDPOINT),
		   *mode = variable(fetch, AWS_VARIABLE_INSTANCE_ENDPOINT_MODE);
	bool is_ipv6 = mode != NULL && str_ieq(str_of(mode), STR("ipv6"));
	struct str base = str_of(endpoint != NULL ? endpoint : is_ipv6 ? "http://[fd00:ec2::254]" : "http://169.254.169.254");

	while (str_ends(base, STR("/")))
		base.n--;
	buf_put_str(url, base);
	buf_put_text(url, path);
	return is_allowed_url(base, hosts, sizeof(hosts) / sizeof(hosts[0]));
}

/* `work` is IMDSv2's token; empty: version 1. */
static enum provider_step ask_instance(struct provider_fetch *fetch, struct provider_request *request, enum step step,
				       struct str role)
{
	struct buf url = BUF_MAX(4096);

	if (!put_instance_url(fetch, &url, step == INSTANCE_TOKEN ? "/latest/api/token" : ROLES)) {
		buf_clear(&url);
		return refused(fetch, 0, "AWS_EC2_METADATA_SERVICE_ENDPOINT is not https, nor http to where instances' metadata are",
			       STR(""));
	}
	buf_put_str(&url, role);
	request->timeout = METADATA_TIMEOUT;
	if (step == INSTANCE_TOKEN) {
		provider_request_header(request, "X-aws-ec2-metadata-token-ttl-seconds: 21600");
		provider_request_header(request, "Content-Type:"); /* none */
	} else if (fetch->work.n > 0) {
		provider_request_header(request, "X-aws-ec2-metadata-token: %.*s", STR_ARG(buf_str(&fetch->work)));
	}
	return ask(fetch, request, step, step == INSTANCE_TOKEN ? "PUT" : "GET", &url);
}

static enum provider_step take_instance_token(struct provider_fetch *fetch, const struct provider_answer *answer,
					      struct provider_request *request)
{
	unsigned status = answer->status;
	struct str token = str_trim(answer->body);

	buf_clear_secret(&fetch->work);
	if (status == 200) {
		if (!is_key(token, HEADER_MAX))
			return unreachable(fetch, status, "the instance's metadata", STR("its token cannot be understood"));
		buf_put_str(&fetch->work, token);
		return ask_instance(fetch, request, INSTANCE_ROLE, STR(""));
	}
	if (status > 0 && is_passing(answer) && ++fetch->tries < TRIES)
		return ask_instance(fetch, request, INSTANCE_TOKEN, STR(""));
	/* Not there in version 2, or too far away for it: its answers die at the first router. */
	if (status != 0 && status != 403 && status != 404 && status != 405)
		return is_passing(answer) ? give_up(fetch, answer, "the instance's metadata")
					  : refused(fetch, status, "the instance's metadata gave no token", STR(""));
	if (is_true(variable(fetch, AWS_VARIABLE_INSTANCE_V1_DISABLED)))
		return status == 0 ? give_up(fetch, answer, "the instance's metadata")
				   : refused(fetch, status, "the instance's metadata gave no token", STR(""));
	return ask_instance(fetch, request, INSTANCE_ROLE, STR(""));
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

static enum provider_step take_instance(struct provider_fetch *fetch, const struct provider_answer *answer,
					struct provider_request *request)
{
	static const char where[] = "the instance's metadata";
	struct str role;

	/* Nobody is there at all. */
	if (answer->status == 0 && fetch->work.n == 0)
		return give_up(fetch, answer, where);
	/* The token has gone bad, or this is an instance that wants version 2 after all. */
	if ((answer->status == 401 || is_passing(answer)) && ++fetch->tries < TRIES)
		return ask_instance(fetch, request, INSTANCE_TOKEN, STR(""));
	if (is_passing(answer))
		return give_up(fetch, answer, where);
	if (fetch->step == INSTANCE_KEYS)
		return from_json(fetch, answer, where);
	if (answer->status == 404)
		return refused(fetch, 404, "the instance has no role", STR(""));
	if (answer->status != 200 || !role_of(answer->body, &role))
		return refused(fetch, answer->status, where, STR("they name no role"));
	return ask_instance(fetch, request, INSTANCE_KEYS, role);
}

/* ---- all of them ---- */

static bool is_set_up(const struct provider_fetch *fetch, enum link link)
{
	switch (link) {
	case ENVIRONMENT:
		return variable(fetch, AWS_VARIABLE_ACCESS_KEY_ID) != NULL && variable(fetch, AWS_VARIABLE_PROFILE) == NULL;
	case FILES:
		return aws_sources_has(fetch->aws, AWS_FILE_CREDENTIALS) || aws_sources_has(fetch->aws, AWS_FILE_CONFIG);
	case IDENTITY:
		return aws_sources_has(fetch->aws, AWS_FILE_WEB_IDENTITY) && variable(fetch, AWS_VARIABLE_ROLE_ARN) != NULL;
	case IN_CONTAINER:
		return variable(fetch, AWS_VARIABLE_CONTAINER_RELATIVE_URI) != NULL ||
		       variable(fetch, AWS_VARIABLE_CONTAINER_FULL_URI) != NULL;
	case INSTANCE:
		return !is_true(variable(fetch, AWS_VARIABLE_INSTANCE_DISABLED));
	}
	return false;
}

static enum provider_step begin(struct provider_fetch *fetch, struct provider_request *request, enum link link)
{
	switch (link) {
	case ENVIRONMENT:
		return from_environment(fetch);
	case FILES:
		return read_file(fetch, CREDENTIALS_FILE, AWS_FILE_CREDENTIALS);
	case IDENTITY:
		return read_file(fetch, IDENTITY_FILE, AWS_FILE_WEB_IDENTITY);
	case IN_CONTAINER:
		return begin_container(fetch, request);
	case INSTANCE:
		return ask_instance(fetch, request, INSTANCE_TOKEN, STR(""));
	}
	return PROVIDER_STEP_FAILED;
}

static enum provider_step chain(struct provider_fetch *fetch, struct provider_request *request, enum link from)
{
	for (enum link link = from; link <= INSTANCE; link++)
		if (is_set_up(fetch, link))
			return begin(fetch, request, link);
	return refused(fetch, 0, "none of their sources is set up", STR(""));
}

static enum provider_step start(struct provider_fetch *fetch, struct provider_request *request)
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
	int wanted = fetch->settings->aws_credentials;

	if (fetch->aws == NULL)
		return refused(fetch, 0, "aws_credentials was changed: smtp-proxy has to be started again", STR(""));
	if (wanted == AWS_DEFAULT)
		return chain(fetch, request, ENVIRONMENT);
	/* A profile that is named goes before the environment only where both are looked at. */
	if (is_set_up(fetch, only[wanted].link) ||
	    (wanted == AWS_ENVIRONMENT && variable(fetch, AWS_VARIABLE_ACCESS_KEY_ID) != NULL))
		return begin(fetch, request, only[wanted].link);
	return refused(fetch, 0, only[wanted].missing, STR(""));
}

enum provider_step provider_aws_fetch(struct provider_fetch *fetch, const struct provider_answer *answer,
				      struct provider_request *request)
{
	switch ((enum step)fetch->step) {
	case START:
		return start(fetch, request);
	case CREDENTIALS_FILE:
	case CONFIG_FILE:
		return from_file(fetch, answer, request);
	case IDENTITY_FILE:
		return ask_sts(fetch, answer, request);
	case STS:
		return from_sts(fetch, answer);
	case CONTAINER_FILE:
		return ask_container(fetch, answer, request);
	case CONTAINER:
		if (is_passing(answer) && ++fetch->tries < TRIES)
			return begin_container(fetch, request);
		return is_passing(answer) ? give_up(fetch, answer, "the container's credentials")
					  : from_json(fetch, answer, "the container's credentials");
	case INSTANCE_TOKEN:
		return take_instance_token(fetch, answer, request);
	case INSTANCE_ROLE:
	case INSTANCE_KEYS:
		return take_instance(fetch, answer, request);
	}
	return PROVIDER_STEP_FAILED;
}
