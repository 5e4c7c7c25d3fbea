-- SPDX-License-Identifier: Apache-2.0
-- Machines that were made from one image have one host id, and each would take the other's shards for its own. So a host says
-- which process of it lives; another process takes its place when it has not been seen for a lease's time, or was begun at the
-- same place, which is where only its successor can be.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

ALTER TABLE host
	ADD nonce uuid,				-- of the process; NULL: none has said so yet
	ADD place text NOT NULL DEFAULT '';	-- the kernel's boot id, and the device and inode of the file host_id
