-- SPDX-License-Identifier: PostgreSQL
--
-- Functions are VOLATILE: what they answer changes whenever a service is heard, in the middle of a
-- statement too, and the first call for a host takes a reference. They are PARALLEL RESTRICTED, since the
-- references are the session's, and a parallel worker is none. All are STRICT: no host, no answer.
--
-- Whoever may call is_enabled, explain, acquire, wait_ready or refresh can make the server send requests:
-- nobody but superusers may, until they GRANT it. What is only shown is for pg_monitor. release gives back
-- what the session has, and is for all.

\echo Use "CREATE EXTENSION hostflags" to load this file. \quit

-- A schema of that name may be there already. Whoever owns it can put functions of his own beside these, which
-- others would call, or drop it with all that is in it.
DO $check$
DECLARE
  place CONSTANT pg_catalog.oid := '@extschema@'::pg_catalog.regnamespace;
  owner pg_catalog.name;
BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_proc WHERE pronamespace OPERATOR(pg_catalog.=) place) THEN
    RAISE EXCEPTION 'there are functions in schema "@extschema@" already, which may be taken for those of the extension'
      USING ERRCODE = 'duplicate_function', HINT = 'Look at them, and drop them or move them to another schema.';
  END IF;
  SELECT r.rolname INTO owner FROM pg_catalog.pg_namespace n
    JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) n.nspowner
    WHERE n.oid OPERATOR(pg_catalog.=) place AND NOT r.rolsuper;
  IF owner IS NOT NULL THEN
    RAISE WARNING 'schema "@extschema@" belongs to role "%", which can add functions to it, and drop it', owner
      USING HINT = 'ALTER SCHEMA @extschema@ OWNER TO a superuser, unless that is meant.';
  END IF;
END $check$;

COMMENT ON SCHEMA @extschema@ IS 'per-host feature flags (extension hostflags)';

-- ---- reading ----

CREATE FUNCTION is_enabled(host text, flag text) RETURNS boolean
  AS 'MODULE_PATHNAME', 'hf_sql_is_enabled' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION is_enabled(text, text) IS
  'whether the flag is on for the host; never waits, and takes a reference of this session to the host';

CREATE FUNCTION explain(
    host text, flag text,
    OUT enabled boolean, OUT reason text, OUT state text, OUT age interval, OUT next_refresh interval,
    OUT last_error text)
  AS 'MODULE_PATHNAME', 'hf_sql_explain' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION explain(text, text) IS
  'what is_enabled answers, and why; takes a reference of this session to the host';

-- ---- references ----

CREATE FUNCTION acquire(host text) RETURNS void
  AS 'MODULE_PATHNAME', 'hf_sql_acquire' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION acquire(text) IS
  'takes a reference of this session to the host, if there is none: its flags are asked for, and kept fresh';

CREATE FUNCTION release(host text) RETURNS boolean
  AS 'MODULE_PATHNAME', 'hf_sql_release' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION release(text) IS
  'gives the reference of this session to the host back; false: there was none';

CREATE FUNCTION wait_ready(host text, timeout interval DEFAULT '10s') RETURNS boolean
  AS 'MODULE_PATHNAME', 'hf_sql_wait_ready' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION wait_ready(text, interval) IS
  'takes a reference and waits until the host''s service was heard; false: it was not within the timeout';

CREATE FUNCTION refresh(host text) RETURNS boolean
  AS 'MODULE_PATHNAME', 'hf_sql_refresh' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION refresh(text) IS
  'has the host''s service asked now; false: it was asked less than a second ago, or said Retry-After';

REVOKE ALL ON FUNCTION is_enabled(text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION explain(text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION acquire(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION wait_ready(text, interval) FROM PUBLIC;
REVOKE ALL ON FUNCTION refresh(text) FROM PUBLIC;

-- ---- views ----

CREATE FUNCTION show_hosts(
    OUT host text, OUT port integer, OUT scheme text, OUT sessions bigint, OUT state text, OUT age interval,
    OUT ttl interval, OUT next_refresh interval, OUT retry_after interval, OUT requests bigint,
    OUT not_modified bigint, OUT failures bigint, OUT failures_in_a_row bigint, OUT last_error text,
    OUT http_status integer, OUT last_message text)
  RETURNS SETOF record
  AS 'MODULE_PATHNAME', 'hf_sql_hosts' LANGUAGE C VOLATILE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION show_hosts() IS 'the rows of the view hosts';

CREATE VIEW hosts AS SELECT * FROM show_hosts();
COMMENT ON VIEW hosts IS 'the hosts that the cache knows';
COMMENT ON COLUMN hosts.host IS 'its name or address, in normal form';
COMMENT ON COLUMN hosts.port IS 'that of its flag service';
COMMENT ON COLUMN hosts.scheme IS 'https or http';
COMMENT ON COLUMN hosts.sessions IS 'how many sessions have a reference to it';
COMMENT ON COLUMN hosts.state IS 'unknown, fresh, stale (past its TTL, and still answered) or expired';
COMMENT ON COLUMN hosts.age IS 'since the service last confirmed its values; NULL: never';
COMMENT ON COLUMN hosts.ttl IS 'how long its values are fresh; NULL: there are none';
COMMENT ON COLUMN hosts.next_refresh IS 'from now; 0: in flight or due; NULL: not planned';
COMMENT ON COLUMN hosts.retry_after IS 'what is left of a Retry-After';
COMMENT ON COLUMN hosts.requests IS 'how many there were since the host is known';
COMMENT ON COLUMN hosts.not_modified IS 'how many of these were answered 304';
COMMENT ON COLUMN hosts.failures IS 'how many of these failed';
COMMENT ON COLUMN hosts.failures_in_a_row IS 'how many failed since the latest success';
COMMENT ON COLUMN hosts.last_error IS 'how the latest request failed; NULL: it did not';
COMMENT ON COLUMN hosts.http_status IS 'of the latest answer; NULL: there was none';
COMMENT ON COLUMN hosts.last_message IS 'what the latest failure was; in full for members of pg_read_all_settings';

CREATE FUNCTION show_flags(
    OUT host text, OUT port integer, OUT scheme text, OUT flag text, OUT enabled boolean, OUT reason text)
  RETURNS SETOF record
  AS 'MODULE_PATHNAME', 'hf_sql_flags' LANGUAGE C VOLATILE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION show_flags() IS 'the rows of the view flags';

CREATE VIEW flags AS SELECT * FROM show_flags();
COMMENT ON VIEW flags IS 'what is answered for each flag of each host that the cache knows, and why';
COMMENT ON COLUMN flags.host IS 'as in hosts';
COMMENT ON COLUMN flags.port IS 'as in hosts';
COMMENT ON COLUMN flags.scheme IS 'as in hosts';
COMMENT ON COLUMN flags.flag IS 'a name in hostflags.flags';
COMMENT ON COLUMN flags.enabled IS 'the answer';
COMMENT ON COLUMN flags.reason IS 'static (what the service said), stale, default, override or disabled';

CREATE FUNCTION show_stats(
    OUT hosts bigint, OUT max_hosts bigint, OUT connections bigint, OUT max_connections bigint,
    OUT in_flight bigint, OUT requests bigint, OUT not_modified bigint, OUT failures bigint,
    OUT refused_name bigint, OUT refused_not_allowed bigint, OUT refused_hosts_full bigint,
    OUT refused_connections_full bigint, OUT evictions bigint, OUT worker_pid integer)
  RETURNS SETOF record
  AS 'MODULE_PATHNAME', 'hf_sql_stats' LANGUAGE C VOLATILE STRICT PARALLEL SAFE ROWS 1;
COMMENT ON FUNCTION show_stats() IS 'the row of the view stats';

CREATE VIEW stats AS SELECT * FROM show_stats();
COMMENT ON VIEW stats IS 'sums over all hosts since the server began or last recovered from a crash';
COMMENT ON COLUMN stats.hosts IS 'how many the cache knows';
COMMENT ON COLUMN stats.max_hosts IS 'how many it has room for';
COMMENT ON COLUMN stats.connections IS 'references of all sessions';
COMMENT ON COLUMN stats.max_connections IS 'how many it has room for';
COMMENT ON COLUMN stats.in_flight IS 'requests on their way';
COMMENT ON COLUMN stats.requests IS 'requests that have ended';
COMMENT ON COLUMN stats.not_modified IS 'how many of these were answered 304';
COMMENT ON COLUMN stats.failures IS 'how many of these failed';
COMMENT ON COLUMN stats.refused_name IS 'attempts to take a reference that a malformed name made fail';
COMMENT ON COLUMN stats.refused_not_allowed IS 'the same: a host that hostflags.allowed_hosts does not name';
COMMENT ON COLUMN stats.refused_hosts_full IS 'the same: hostflags.max_hosts were in use';
COMMENT ON COLUMN stats.refused_connections_full IS 'the same: hostflags.max_connections were in use';
COMMENT ON COLUMN stats.evictions IS 'idle hosts that made room for others in a full table';
COMMENT ON COLUMN stats.worker_pid IS 'the process of the worker; NULL: there is none at present';

REVOKE ALL ON FUNCTION show_hosts() FROM PUBLIC;
REVOKE ALL ON FUNCTION show_flags() FROM PUBLIC;
REVOKE ALL ON FUNCTION show_stats() FROM PUBLIC;
REVOKE ALL ON hosts, flags, stats FROM PUBLIC;
GRANT USAGE ON SCHEMA @extschema@ TO pg_monitor;
GRANT EXECUTE ON FUNCTION show_hosts(), show_flags(), show_stats() TO pg_monitor;
GRANT SELECT ON hosts, flags, stats TO pg_monitor;
