-- Who may do what: nobody anything that can cause a request, pg_monitor the views.
-- and before: in a schema that is somebody else's nothing may be found that is his
CREATE ROLE regress_hf_other;
CREATE SCHEMA hostflags AUTHORIZATION regress_hf_other;
CREATE FUNCTION hostflags.is_enabled(host varchar, flag varchar) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE EXTENSION hostflags;
DROP FUNCTION hostflags.is_enabled(varchar, varchar);
CREATE EXTENSION hostflags;
DROP EXTENSION hostflags;
DROP SCHEMA hostflags;
DROP ROLE regress_hf_other;

CREATE EXTENSION hostflags;
CREATE ROLE regress_hf_app;
CREATE ROLE regress_hf_monitor;
GRANT pg_monitor TO regress_hf_monitor;
GRANT USAGE ON SCHEMA hostflags TO regress_hf_app;

SET ROLE regress_hf_app;
SELECT hostflags.is_enabled('a.example.com', 'telemetry');
SELECT hostflags.explain('a.example.com', 'telemetry');
SELECT hostflags.acquire('a.example.com');
SELECT hostflags.release('a.example.com');
SELECT hostflags.wait_ready('a.example.com', '1s');
SELECT hostflags.refresh('a.example.com');
SELECT count(*) FROM hostflags.hosts;
SELECT count(*) FROM hostflags.flags;
SELECT count(*) FROM hostflags.stats;
SELECT count(*) FROM hostflags.show_hosts();
RESET ROLE;

SET ROLE regress_hf_monitor;
SELECT count(*) FROM hostflags.hosts;
SELECT count(*) FROM hostflags.flags;
SELECT count(*) FROM hostflags.stats;
SELECT hostflags.is_enabled('a.example.com', 'telemetry');
SHOW hostflags.token_file;
RESET ROLE;

-- what the docs say
GRANT EXECUTE ON FUNCTION hostflags.is_enabled(text, text) TO regress_hf_app;
SET ROLE regress_hf_app;
SELECT hostflags.is_enabled('elsewhere.invalid', 'telemetry');
SELECT hostflags.is_enabled('a.example.com', 'beta'), hostflags.release('a.example.com'), hostflags.release('a.example.com');
SELECT hostflags.acquire('a.example.com');
RESET ROLE;
GRANT SELECT ON hostflags.hosts TO regress_hf_app;
SET ROLE regress_hf_app;
SELECT count(*) FROM hostflags.hosts;
RESET ROLE;
GRANT EXECUTE ON FUNCTION hostflags.show_hosts() TO regress_hf_app;
SET ROLE regress_hf_app;
SELECT count(*) FROM hostflags.hosts;
SET hostflags.ttl = '1h';
SHOW hostflags.token_file;
RESET ROLE;

REVOKE ALL ON FUNCTION hostflags.is_enabled(text, text) FROM regress_hf_app;
REVOKE ALL ON FUNCTION hostflags.show_hosts() FROM regress_hf_app;
REVOKE ALL ON hostflags.hosts FROM regress_hf_app;
REVOKE ALL ON SCHEMA hostflags FROM regress_hf_app;
DROP ROLE regress_hf_app;
DROP ROLE regress_hf_monitor;
DROP EXTENSION hostflags;
