-- What there is, and how it is declared. The service knows that telemetry is on, for *.example.com; beta it does
-- not send.
CREATE EXTENSION hostflags;
\pset format unaligned
SELECT p.proname, pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result,
       p.provolatile, p.proparallel, p.proisstrict
FROM pg_proc p WHERE p.pronamespace = 'hostflags'::regnamespace ORDER BY p.proname;
\pset format aligned
-- nothing without a comment
SELECT pg_describe_object(classid, objid, 0) FROM pg_depend
WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
  AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'hostflags')
  AND obj_description(objid, classid::regclass::name) IS NULL
  AND classid NOT IN ('pg_type'::regclass);
SELECT attrelid::regclass, attname FROM pg_attribute
WHERE attrelid IN ('hostflags.hosts'::regclass, 'hostflags.flags'::regclass, 'hostflags.stats'::regclass)
  AND attnum > 0 AND col_description(attrelid, attnum) IS NULL;
SELECT obj_description('hostflags'::regnamespace, 'pg_namespace');

-- the parameters: what SHOW, ALTER SYSTEM and a reload know of them
\pset format unaligned
SELECT substr(name, 11) AS parameter, context, vartype, unit, min_val, max_val, boot_val, enumvals
FROM pg_settings WHERE name LIKE 'hostflags.%' ORDER BY name COLLATE "C";
\pset format aligned

-- nothing is known yet, and nobody waits
SELECT state, reason, enabled, age, last_error FROM hostflags.explain('nobody.invalid', 'beta');
SELECT hostflags.wait_ready('a.example.com', '20s');
SELECT hostflags.is_enabled('a.example.com', 'telemetry'), hostflags.is_enabled('a.example.com', 'beta');
SELECT enabled, reason, state, age < '20s' AS young, next_refresh > '10min' AS planned, last_error
FROM hostflags.explain('A.Example.com:443', 'telemetry');
SELECT host, port, scheme, sessions, state, ttl, retry_after, requests, failures, last_error, http_status
FROM hostflags.hosts;
SELECT * FROM hostflags.flags ORDER BY flag;
SELECT hosts, connections, in_flight, requests, failures, refused_not_allowed, worker_pid > 0 AS worker FROM hostflags.stats;

-- no host, no flag: no answer
SELECT hostflags.is_enabled(NULL, 'telemetry') IS NULL, hostflags.is_enabled('a.example.com', NULL) IS NULL,
       hostflags.wait_ready('a.example.com', NULL) IS NULL;

-- errors
SELECT hostflags.is_enabled('a.example.com', 'Telemetry');
SELECT hostflags.explain('a.example.com', '');
SELECT hostflags.acquire('elsewhere.invalid');
SELECT hostflags.acquire('https://user:secret@a.example.com');
SELECT hostflags.wait_ready('', '1s');
SELECT hostflags.refresh('b.example.com');
SELECT hostflags.refresh('a.example.com/path');

-- references
SELECT hostflags.acquire('b.example.com');
SELECT host, sessions FROM hostflags.hosts ORDER BY host;
BEGIN;
SELECT hostflags.release('b.example.com'), hostflags.release('b.example.com');
ROLLBACK;
SELECT host, sessions FROM hostflags.hosts ORDER BY host;

DROP EXTENSION hostflags;
