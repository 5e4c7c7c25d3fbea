/* SPDX-License-Identifier: Apache-2.0
 *
 * Every SQL statement of qmgr, once. Each is one transaction. The two that every message costs call the
 * functions of sql/0002_queue_functions.sql, which also says how writes are fenced off from a shard's
 * earlier owner.
 */
#ifndef QMGR_QMGR_SQL_H
#define QMGR_QMGR_SQL_H

#include "lib/base/buf.h"

/* Stores new messages. $1 shard, $2 owner, $3 epoch, then an array a column; $20 how long a key is remembered
 * (microseconds), $21 tenant, $22 message and $23 key of those that have one. One row a message that was not there
 * yet, or repeats the one whose id comes third; at least one: is the shard ours? */
#define QMGR_SQL_STORE \
	"SELECT is_ours, stored_id, earlier_id FROM queue_store($1::int4, $2::text, $3::int8, $4::uuid[], $5::uuid[]," \
	" $6::uuid[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::bool[], $13::bool[]," \
	" $14::int4[], $15::timestamptz[], $16::timestamptz[], $17::bytea[], $18::text[], $19::bool[], $20::int8," \
	" $21::uuid[], $22::uuid[], $23::text[])"

/* Takes back what was stored by a commit whose answer was lost, when the client has been told 451; whole, so
 * that its id can come again. $1 message ids, $2 owner. A row a shard that had some: how many went, how many must stay. */
#define QMGR_SQL_WITHDRAW "SELECT in_shard, n_gone, n_stays FROM queue_withdraw($1::uuid[], $2::text)"

/* Says that we live, renews our leases, looks at all the others. $1 owner, $2 host name, $3 how long
 * (microseconds), $4 shards, $5 their epochs, $6 our nonce, $7 our place, $8 we have not said so before. One row a shard; in
 * each: are we this host (sql/0012_host.sql), and who was it before, seen when? */
#define QMGR_SQL_RENEW \
	"WITH me AS (" \
	" INSERT INTO host AS h (owner, name, seen_at, nonce, place) VALUES ($1::text, $2::text, now(), $6::uuid, $7::text)" \
	" ON CONFLICT (owner) DO UPDATE SET name = excluded.name, seen_at = excluded.seen_at, nonce = excluded.nonce," \
	"  place = excluded.place" \
	" WHERE h.nonce IS NULL OR h.nonce = excluded.nonce OR ($8::bool AND h.place = excluded.place)" \
	"  OR h.seen_at < now() - $3::int8 * interval '1 microsecond'" \
	" RETURNING h.owner)," \
	" locked AS MATERIALIZED (" \
	" SELECT shard FROM shard WHERE owner = $1::text ORDER BY shard FOR NO KEY UPDATE)," \
	" renewed AS (" \
	" UPDATE shard s SET until = now() + $3::int8 * interval '1 microsecond'" \
	" FROM locked l, unnest($4::int4[], $5::int8[]) AS u(shard, epoch)" \
	" WHERE s.shard = l.shard AND s.shard = u.shard AND s.epoch = u.epoch AND s.owner = $1::text" \
	"  AND EXISTS (SELECT FROM me)" \
	" RETURNING s.shard)" \
	" SELECT s.shard::int4, s.owner = $1::text, s.until < now(), r.shard IS NOT NULL, s.epoch, s.wake," \
	"  (SELECT sum(generation)::int8 FROM change WHERE topic IN ('tenant', 'route'))," \
	"  (SELECT count(*) FROM host WHERE owner <> $1::text" \
	"   AND seen_at > now() - $3::int8 * interval '1 microsecond'), s.until = '-infinity'," \
	"  EXISTS (SELECT FROM me), (SELECT name FROM host WHERE owner = $1::text), (SELECT seen_at FROM host WHERE owner = $1::text)" \
	" FROM shard s LEFT JOIN renewed r ON r.shard = s.shard ORDER BY s.shard"

/* Takes shards that are free or our own. $1 owner, $2 how long, $3 shards, $4 our nonce. One row a shard taken. */
#define QMGR_SQL_TAKE \
	"WITH locked AS MATERIALIZED (" \
	" SELECT shard, owner, epoch, wake FROM shard" \
	" WHERE shard = ANY ($3::int4[]) AND (owner = $1::text OR until < now())" \
	"  AND EXISTS (SELECT FROM host WHERE owner = $1::text AND nonce = $4::uuid)" \
	" ORDER BY shard FOR NO KEY UPDATE)" \
	" UPDATE shard s SET owner = $1::text, epoch = s.epoch + 1," \
	"  until = now() + $2::int8 * interval '1 microsecond'" \
	" FROM locked l WHERE s.shard = l.shard" \
	" RETURNING s.shard::int4, s.epoch, s.wake, l.owner = $1::text"

/* Gives shards up. $1 owner, $2 shards, $3 their epochs. */
#define QMGR_SQL_RELEASE "WITH " QMGR_SQL_RELEASED

/* The same, and we are no host any more: the others may take all, not only what was a fair part beside us. $4 our nonce. */
#define QMGR_SQL_LEAVE "WITH gone AS (DELETE FROM host WHERE owner = $1::text AND nonce = $4::uuid), " QMGR_SQL_RELEASED

#define QMGR_SQL_RELEASED \
	"locked AS MATERIALIZED (" \
	" SELECT shard FROM shard WHERE owner = $1::text ORDER BY shard FOR NO KEY UPDATE)" \
	" UPDATE shard s SET until = '-infinity' FROM locked l, unnest($2::int4[], $3::int8[]) AS u(shard, epoch)" \
	" WHERE s.shard = l.shard AND s.shard = u.shard AND s.epoch = u.epoch AND s.owner = $1::text"

/* What is due soon in a shard, by id. $1 shard, $2 after this id and $3 this part of it, $4 how soon (microseconds), $5 most.
 * The provider when it is pinned to one. */
#define QMGR_SQL_SCAN \
	"SELECT tenant_id, message_id, due_at, attempts, faults, queued_at, part, coalesce(recipients::text, '')," \
	"  CASE WHEN pinned THEN provider ELSE '' END FROM queue" \
	" WHERE shard = $1::int4 AND (message_id, part) > ($2::uuid, $3::int4::int2) AND NOT is_held" \
	"  AND due_at < now() + $4::int8 * interval '1 microsecond'" \
	" ORDER BY shard, message_id, part LIMIT $5::int4"

/* Makes parts of a part. $1 shard, $2 epoch, $3 message, $4 part, $5 attempts, $6 its recipients, $7 lists of them: see
 * sql/0005_parts.sql. */
#define QMGR_SQL_SPLIT \
	"SELECT queue_split($1::int4, $2::int8, $3::uuid, $4::int4, $5::int4, $6::text, $7::text[])"

/* Messages with their content, as much of it as fits. $1 tenants, $2 messages, $3 most bytes. */
#define QMGR_SQL_BODIES \
	"SELECT n, tenant_id, message_id, user_id, session, client, helo, mail_from, recipients, is_8bit, is_utf8," \
	"  size, mail_at, received_at, CASE WHEN up_to - size < $3::int8 THEN content END, coalesce(dsn, '')," \
	"  is_test" \
	" FROM (SELECT u.n, m.*, sum(m.size) OVER (ORDER BY u.n)::int8 AS up_to" \
	"  FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS u(tenant, message, n)" \
	"  JOIN message m ON m.tenant_id = u.tenant AND m.message_id = u.message) AS found ORDER BY n"

/* The row of a message that only an agent's journal knows; its DSN when it has a sender. All shards are
 * named, for the index begins with them. $1 message ids, $2 their parts. */
#define QMGR_SQL_LOOK_UP \
	"SELECT u.n, q.tenant_id, q.shard::int4, s.epoch, q.attempts, q.faults, q.queued_at, m.session, m.mail_at," \
	"  m.recipients, coalesce(q.recipients::text, ''), CASE WHEN q.pinned THEN q.provider ELSE '' END," \
	"  CASE WHEN m.mail_from <> '' THEN coalesce(m.dsn, '') ELSE '' END" \
	" FROM unnest($1::uuid[], $2::int4[]) WITH ORDINALITY AS u(message_id, part, n)" \
	" JOIN queue q ON q.shard = ANY (ARRAY(SELECT n::smallint FROM generate_series(0, 63) AS n))" \
	"  AND q.message_id = u.message_id AND q.part = u.part JOIN shard s ON s.shard = q.shard" \
	" LEFT JOIN message m ON m.tenant_id = q.tenant_id AND m.message_id = q.message_id"

/* Records outcomes. An array a column: $1 shards, $2 epochs, $3 message ids, $4 parts, $5 what follows (enum qmgr_next), $6
 * attempt, $7 faults, $8 due again, $9 a later attempt was recorded, $10 recipients and $11 pin as they were, $12 who stays, $13
 * pin, $14 provider, $15 provider's id, $16 last error, $17 started, $18 answered, $19 the content is to be kept. What became of
 * recipients, any number an outcome: $20 of which (from 1), $21 state, $22 recipients, $23 code, $24 status, $25 reason. What is
 * told in the history: $26 of which, $27 kind, $28 recipients' indices, $29 code, $30 status, $31 reason. One row an outcome: its
 * number from 1, was the shard held under that epoch, is it recorded, does an operator hold it, is the row another than the
 * one on which it was decided (then nothing is recorded). */
#define QMGR_SQL_RECORD \
	"SELECT number, is_leased, is_done, is_held_now, is_other FROM queue_record($1::int4[], $2::int8[], $3::uuid[]," \
	" $4::int4[], $5::int4[], $6::int4[], $7::int4[], $8::timestamptz[], $9::bool[], $10::text[], $11::text[]," \
	" $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::timestamptz[], $18::timestamptz[]," \
	" $19::bool[], $20::int4[], $21::text[], $22::text[], $23::int4[], $24::text[], $25::text[], $26::int4[]," \
	" $27::text[], $28::text[], $29::int4[], $30::text[], $31::text[])" \
	" WITH ORDINALITY AS r(is_leased, is_done, is_held_now, is_other, number)"

/* Another owner's shard was changed under it: it must read it again. $1 shards. */
#define QMGR_SQL_WAKE "UPDATE shard SET wake = wake + 1 WHERE shard = ANY ($1::int4[])"

/* Spans as microseconds. */
#define QMGR_SQL_TENANTS \
	"SELECT tenant_id, name, provider, on_unknown = 'hold', is_test, redirect_to, bounce_from," \
	" (extract(epoch FROM retry_first) * 1000000)::int8, (extract(epoch FROM retry_longest) * 1000000)::int8," \
	" (extract(epoch FROM max_age) * 1000000)::int8, max_attempts::int8," \
	" (extract(epoch FROM keep_messages) * 1000000)::int8," \
	" (extract(epoch FROM idempotency_window) * 1000000)::int8," \
	" (SELECT string_agg(c.provider || ' ' || encode(c.sealed, 'hex'), E'\\n') FROM provider_credential c" \
	"  WHERE c.tenant_id = tenant.tenant_id) FROM tenant"

/* What the hosts share of providers. $1 providers, $2 a day for each (since 1970), $3 recipients to add to that day. One row a
 * provider: the day's and its month's recipients, and what an operator said of it. */
#define QMGR_SQL_PROVIDERS \
	"SELECT provider, of_day, of_month, suspended_until, coalesce(reason, ''), coalesce(who, ''), changed_at" \
	" FROM provider_exchange($1::text[], $2::int4[], $3::int8[])"

#define QMGR_SQL_ROUTES \
	"SELECT tenant_id, targets, sender_domain, recipient_domain, header_name, header_pattern, user_id FROM route" \
	" ORDER BY tenant_id, position"

#define QMGR_SQL_PARTITIONS \
	"SELECT make_partitions((now() AT TIME ZONE 'UTC')::date + n) FROM generate_series(0, 3) AS n"

/* Retention, a step: see sql/0009_retention.sql. $1 queue.keep_messages, $2 keep_logs, $3 keep_dead, $4 most rows, $5 and $6 after which
 * tenant and message it goes on. */
#define QMGR_SQL_KEEP_ROWS \
	"SELECT is_free, coalesce(n_keys, 0), coalesce(n_dead, 0), coalesce(n_messages, 0), coalesce(n_logs, 0), at_tenant, at_message" \
	" FROM keep_rows($1::int8, $2::int8, $3::int8, $4::int4, $5::uuid, $6::uuid)"
/* $1 queue.keep_messages, $2 keep_logs, $3 in which partition it goes on, $4 from which block. */
#define QMGR_SQL_KEEP_PARTITIONS \
	"SELECT dropped, n_gone, coalesce(at_name, ''), coalesce(at_block, 0) FROM keep_partitions($1::int8, $2::int8, $3::text, $4::int8)"

/* Delivery reports: see sql/0011_bounce.sql. What time makes a fact. $1 bounces.delay_after, 0: none; $2 most. */
#define QMGR_SQL_COME_DUE "SELECT CASE WHEN $1::int8 > 0 THEN report_delays($1::int8, $2::int4) ELSE 0 END, bounces_due($2::int4)"
/* $1 most messages, $2 bounces.per_hour. */
#define QMGR_SQL_REPORT_DUE \
	"SELECT tenant_id, message_id, reports, bounce_from, mail_from, dsn, received_at, content, indices, addresses, actions, codes," \
	" statuses, reasons FROM report_due($1::int4, $2::int8)"
/* $1 shard, $2 owner, $3 epoch, $4 tenant, $5 message, $6 what is told, as it was given; $7 the report's id, $8 to, $9 the
 * same in its one spelling, $10 8bit, $11 UTF-8, $12 content, $13 bounces.per_hour. */
#define QMGR_SQL_REPORT_STORE \
	"SELECT report_store($1::int4, $2::text, $3::int8, $4::uuid, $5::uuid, $6::text, $7::uuid, $8::text, $9::text, $10::bool," \
	" $11::bool, $12::bytea, $13::int8)"

/* What the cert-renewers share: see sql/0013_share.sql. $1 name; $2 owner, $3 value, $4 lifetime (microseconds) for
 * those that want them. Yes or no, and a value. */
#define QMGR_SQL_SHARE_LOCK "SELECT is_ours, holder FROM share_lock($1::text, $2::text, $3::text, $4::int8)"
#define QMGR_SQL_SHARE_UNLOCK "SELECT share_unlock($1::text, $2::text), ''"
#define QMGR_SQL_SHARE_PUT "SELECT share_put($1::text, $2::text, $3::text, $4::int8), ''"
#define QMGR_SQL_SHARE_GET "SELECT v IS NOT NULL, v FROM share_get($1::text) AS v"
#define QMGR_SQL_SHARE_DELETE "SELECT share_delete($1::text), ''"
#define QMGR_SQL_SHARE_FORGET "SELECT share_forget()"

#define QMGR_SQL_FORGET_HOSTS "DELETE FROM host WHERE seen_at < now() - interval '1 day'"

/* Messages of our shards that are not sent. $1 shards. */
#define QMGR_SQL_COUNT "SELECT count(*) FROM queue WHERE shard = ANY ($1::int4[])"

/* Texts as a Postgres array literal: {"a","b"}; a column of arrays is passed as a text[] of these. */
void qmgr_sql_put_element(struct buf *out, struct str text);
void qmgr_sql_put_array(struct buf *out, const struct str *texts, unsigned n);
/* Well-formed UTF-8 without NUL, as Postgres wants it: other bytes become '?'. */
void qmgr_sql_put_text(struct buf *out, struct str text);
/* May go into a text column as it is. */
bool qmgr_sql_is_text(struct str text);
/* The statement was refused for what is in its rows (SQLSTATE classes 22, 23, 54), not for the state of
 * the server: without the bad row it will do. */
bool qmgr_sql_is_bad_row(const char *sqlstate);

#endif
