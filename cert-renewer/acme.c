/* SPDX-License-Identifier: Apache-2.0
 *
 * The account as a whole: it begins, and it ends with all that is under way.
 */
#include "cert-renewer/acme.h"

#include <stdlib.h>

#include "cert-renewer/acme_account.h"
#include "lib/base/mem.h"

static void on_timer(void *ctx)
{
	acme_account_look_after(ctx);
}

struct acme *acme_new(const struct acme_config *config)
{
	struct acme *acme = mem_zero(sizeof(*acme));

	acme->directory = mem_text(config->directory);
	acme->agrees = config->agrees;
	acme->contact = str_dup(config->contact);
	acme->eab_key_id = str_dup(config->eab_key_id);
	acme->eab_key = BUF_MAX(4096);
	buf_put_str(&acme->eab_key, config->eab_key);
	acme->on_account = config->on_account;
	acme->ctx = config->ctx;
	acme->session.loop = config->loop;
	acme->session.http = config->http;
	acme->session.http_is_fine = str_starts(str_of(acme->directory), STR("http://"));
	acme->session.key = config->key;
	if (config->account.n > 0)
		acme->session.account = str_dup(config->account);
	acme->timer = loop_timer_new(config->loop, on_timer, acme);
	return acme;
}

void acme_free(struct acme **acme)
{
	struct acme_failure failure;
	struct acme *a = *acme;

	if (a == NULL)
		return;
	acme_call_cancel(&a->call);
	acme_reply_fail(&failure, "the account is being changed: try again");
	while (a->ops != NULL)
		a->ops->kind->fail(a->ops, &failure);
	loop_timer_free(&a->timer);
	free(a->session.account);
	free(a->session.directory);
	buf_clear_secret(&a->eab_key);
	free(a->eab_key_id);
	free(a->contact);
	free(a->directory);
	mem_free(acme);
}
