/* SPDX-License-Identifier: Apache-2.0
 *
 * api: health and metrics over HTTP.
 */
#include <stdlib.h>

#include "api/api_http.h"
#include "lib/service/service.h"

static void start(struct service_env *env)
{
	env->state = api_http_new(env->loop, env->settings);
}

static void on_listener(struct service_env *env, uint32_t which, int fd)
{
	(void)which;
	api_http_serve(env->state, fd);
}

static void on_reload(struct service_env *env, const struct settings *old)
{
	(void)old;
	api_http_use_settings(env->state, env->settings);
}

/* Requests take no time: there is nothing to wait for. */
static void on_drain(struct service_env *env)
{
	struct api_http *http = env->state;

	api_http_stop(http);
	api_http_free(&http);
	env->state = NULL;
	service_exit(env);
}

int main(int argc, char **argv)
{
	return service_main(argc, argv,
			    &(struct service){
				    .role = ROLE_API,
				    .start = start,
				    .on_listener = on_listener,
				    .on_reload = on_reload,
				    .on_drain = on_drain,
			    });
}
