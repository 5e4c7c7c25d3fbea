/* SPDX-License-Identifier: Apache-2.0
 *
 * The newer key first, then the one before it.
 */
#include "deliver/deliver_credential.h"

#include "lib/base/mem.h"
#include "lib/net/seal.h"

static bool open_with(const char *key_text, struct str label, struct str sealed, struct buf *text, struct err *err)
{
	struct seal_key key;
	bool is_open;

	if (key_text[0] == '\0' || !seal_key_parse(str_of(key_text), &key, err))
		return false;
	is_open = seal_open(&key, label, sealed, text, err);
	mem_wipe(&key, sizeof(key));
	return is_open;
}

bool deliver_credential_open(const struct settings *settings, const struct settings_provider *row, const struct ipc_job *job,
			     struct settings_credential *out, struct err *err)
{
	struct buf text = BUF_MAX(IPC_CREDENTIAL_MAX), label = BUF_MAX(256);
	struct err why = {"the settings have no credentials.key"};
	bool is_good;

	*out = (struct settings_credential){.provider = *row};
	settings_credential_label(&job->message.tenant, job->provider, &label);
	is_good = open_with(settings->credentials.key, buf_str(&label), job->credential, &text, &why) ||
		  open_with(settings->credentials.old_key, buf_str(&label), job->credential, &text, &why);
	if (!is_good)
		err_set(err, "the tenant's credential for %s cannot be opened: %s", row->key, why.text);
	else if (!settings_credential_apply(out, row, buf_str(&text), &why))
		is_good = err_set(err, "the tenant's credential for %s is not good: %s", row->key, why.text);
	buf_clear(&label);
	buf_clear_secret(&text);
	return is_good;
}
