-- SPDX-License-Identifier: Apache-2.0
-- What all hosts know of the providers: recipients given to each a day, and which ones operators have suspended.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

CREATE TABLE provider_use (
	provider	text NOT NULL,			-- its key in the settings
	day		date NOT NULL,			-- UTC
	recipients	bigint NOT NULL,
	PRIMARY KEY (provider, day)
) WITH (fillfactor = 50);

CREATE TABLE provider_state (
	provider	text PRIMARY KEY CHECK (length(provider) BETWEEN 1 AND 63),
	suspended_until	timestamptz,			-- NULL: it is not, since changed_at
	reason		text NOT NULL DEFAULT '',
	who		text NOT NULL DEFAULT '',
	changed_at	timestamptz NOT NULL DEFAULT now()
);

-- Adds to the use of providers (days since 1970), and tells how things are: once every two seconds and host.
CREATE FUNCTION provider_exchange(providers text[], days integer[], added bigint[])
RETURNS TABLE (provider text, of_day bigint, of_month bigint, suspended_until timestamptz, reason text, who text,
	changed_at timestamptz) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
	INSERT INTO provider_use AS u (provider, day, recipients)
	SELECT a.provider, date '1970-01-01' + a.day, a.n FROM unnest(providers, days, added) AS a(provider, day, n)
	WHERE a.n <> 0 ORDER BY 1, 2
	ON CONFLICT (provider, day) DO UPDATE SET recipients = u.recipients + excluded.recipients;
	RETURN QUERY
	SELECT a.provider, coalesce(sum(u.recipients) FILTER (WHERE u.day = date '1970-01-01' + a.day), 0)::bigint,
		coalesce(sum(u.recipients), 0)::bigint, s.suspended_until, s.reason, s.who, s.changed_at
	FROM unnest(providers, days) AS a(provider, day)
	LEFT JOIN provider_use u ON u.provider = a.provider
		AND u.day BETWEEN date_trunc('month', (date '1970-01-01' + a.day)::timestamp)::date AND date '1970-01-01' + a.day
	LEFT JOIN provider_state s ON s.provider = a.provider
	GROUP BY a.provider, a.day, s.suspended_until, s.reason, s.who, s.changed_at;
END $$;
REVOKE EXECUTE ON FUNCTION provider_exchange(text[], integer[], bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION provider_exchange(text[], integer[], bigint[]) TO smtp_proxy_queue;
GRANT SELECT, INSERT, UPDATE ON provider_use TO smtp_proxy_queue;
GRANT SELECT ON provider_state TO smtp_proxy_queue;
