-- SPDX-License-Identifier: Apache-2.0
-- What the cert-renewers of all hosts share: who renews a certificate now, the answers to challenges, which certificate is the
-- newest. Few rows, and short-lived; the clock is the database's. Spans are microseconds. What a host says is not believed: it has
-- a thousand names at most (two orders at a time, of a hundred names each, are two hundred), what is past its time and not forgotten
-- yet among them; which names there are, and for how long, is qmgr's matter (qmgr_share.c).
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

CREATE TABLE share (
	name	text PRIMARY KEY,
	value	text NOT NULL,
	owner	text NOT NULL,			-- the host's id
	until	timestamptz NOT NULL
);

CREATE INDEX share_owner ON share (owner);

-- May the host have this name, which may be its already?
CREATE FUNCTION share_has_place(in_name text, in_owner text) RETURNS boolean
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
	SELECT EXISTS (SELECT FROM share s WHERE s.name = in_name AND s.owner = in_owner)
	       OR (SELECT count(*) FROM (SELECT FROM share s WHERE s.owner = in_owner LIMIT 1000) AS its) < 1000
$$;

-- Takes the name, or keeps it. What there is now: of another host when that one was first.
CREATE FUNCTION share_lock(in_name text, in_owner text, in_value text, in_lifetime bigint, OUT is_ours boolean, OUT holder text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '2s' AS $$
BEGIN
	INSERT INTO share AS s (name, value, owner, until)
	SELECT in_name, in_value, in_owner, clock_timestamp() + in_lifetime * interval '1 microsecond'
	WHERE share_has_place(in_name, in_owner)
	ON CONFLICT (name) DO UPDATE SET value = excluded.value, owner = excluded.owner, until = excluded.until
	WHERE s.owner = excluded.owner OR s.until < clock_timestamp();
	is_ours := FOUND;
	SELECT s.value INTO holder FROM share s WHERE s.name = in_name;
END $$;

CREATE FUNCTION share_unlock(in_name text, in_owner text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '2s' AS $$
BEGIN
	DELETE FROM share s WHERE s.name = in_name AND s.owner = in_owner;
	RETURN FOUND;
END $$;

-- False: the host has too many.
CREATE FUNCTION share_put(in_name text, in_owner text, in_value text, in_lifetime bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '2s' AS $$
BEGIN
	INSERT INTO share (name, value, owner, until)
	SELECT in_name, in_value, in_owner, clock_timestamp() + in_lifetime * interval '1 microsecond'
	WHERE share_has_place(in_name, in_owner)
	ON CONFLICT (name) DO UPDATE SET value = excluded.value, owner = excluded.owner, until = excluded.until;
	RETURN FOUND;
END $$;

CREATE FUNCTION share_get(in_name text) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
	SELECT s.value FROM share s WHERE s.name = in_name AND s.until >= now()
$$;

CREATE FUNCTION share_delete(in_name text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '2s' AS $$
BEGIN
	DELETE FROM share s WHERE s.name = in_name;
	RETURN FOUND;
END $$;

-- Deletes what is past its time, at most a thousand rows; what another host is at stays.
CREATE FUNCTION share_forget() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
	n bigint;
BEGIN
	DELETE FROM share WHERE name = ANY (ARRAY(
		SELECT s.name FROM share s WHERE s.until < clock_timestamp() LIMIT 1000 FOR UPDATE SKIP LOCKED));
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN n;
END $$;

REVOKE EXECUTE ON FUNCTION share_has_place, share_lock, share_unlock, share_put, share_get, share_delete, share_forget FROM PUBLIC;
GRANT EXECUTE ON FUNCTION share_lock, share_unlock, share_put, share_get, share_delete, share_forget TO smtp_proxy_queue;
