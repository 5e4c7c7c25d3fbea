/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of master/master_lock.c: one master at a time, and only in directories that others cannot change.
 */
#include "master/master_lock.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lib/base/mem.h"
#include "tests/support/unit.h"

static char base[] = "/tmp/master-lock-XXXXXX", run_dir[64], state_dir[64];
static struct settings *settings;

static void set_path(char **path, const char *to)
{
	mem_free(path);
	*path = mem_text(to);
}

static void make_directories(void)
{
	UNIT_TRUE(mkdtemp(base) != NULL);
	snprintf(run_dir, sizeof(run_dir), "%s/run", base);
	snprintf(state_dir, sizeof(state_dir), "%s/state", base);
	settings = settings_new();
	set_path(&settings->instance.run_dir, run_dir);
	set_path(&settings->instance.state_dir, state_dir);
}

static bool is_taken(struct err *err)
{
	int lock = master_lock_take(settings, err);

	if (lock < 0)
		return false;
	master_lock_end(settings, lock);
	return true;
}

static void a_second_master_is_refused(void)
{
	struct err err = {""};
	int lock = master_lock_take(settings, &err);

	UNIT_TRUE(lock >= 0);
	UNIT_TRUE(!is_taken(&err));
	UNIT_TRUE(strstr(err.text, "is running already") != NULL);
	master_lock_end(settings, lock);
	UNIT_TRUE(is_taken(&err));
}

static void directories_that_others_may_change_are_refused(void)
{
	const char *const paths[] = {run_dir, state_dir};
	struct err err = {""};

	for (int i = 0; i < 2; i++) {
		UNIT_INT(chmod(paths[i], 0757), 0);
		UNIT_TRUE(!is_taken(&err));
		UNIT_INT(chmod(paths[i], 0755), 0);
		if (geteuid() != 0)
			continue;
		UNIT_INT(chmod(paths[i], 0775), 0);
		UNIT_TRUE(!is_taken(&err));
		UNIT_INT(chmod(paths[i], 0755), 0);
		UNIT_INT(chown(paths[i], 65534, 65534), 0);
		UNIT_TRUE(!is_taken(&err));
		UNIT_TRUE(strstr(err.text, "must belong to root") != NULL);
		UNIT_INT(chown(paths[i], 0, 0), 0);
	}
	UNIT_TRUE(is_taken(&err));
}

static void remove_directories(void)
{
	settings_free(&settings);
	UNIT_INT(rmdir(run_dir), 0);
	UNIT_INT(rmdir(state_dir), 0);
	UNIT_INT(rmdir(base), 0);
}

UNIT_TESTS({"start", make_directories}, {"a second master is refused", a_second_master_is_refused},
	   {"directories that others may change are refused", directories_that_others_may_change_are_refused},
	   {"stop", remove_directories})
