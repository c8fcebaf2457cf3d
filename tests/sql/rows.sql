-- The row-level use of README: telemetry is written only where the row's host has the flag on.
CREATE EXTENSION hostflags;
CREATE TABLE queries (host text, statement text, duration interval);
CREATE TABLE telemetry (host text, duration interval);

CREATE FUNCTION write_telemetry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO telemetry VALUES (new.host, new.duration);
  RETURN NULL;
END $$;
CREATE TRIGGER telemetry AFTER INSERT ON queries FOR EACH ROW
  WHEN (hostflags.is_enabled(new.host, 'telemetry')) EXECUTE FUNCTION write_telemetry();

SELECT hostflags.wait_ready(host, '20s') FROM unnest(ARRAY['a.example.com', 'b.example.com']) AS host;
INSERT INTO queries
  SELECT host, 'select ' || i, i * interval '1ms'
  FROM unnest(ARRAY['a.example.com', 'b.example.com', 'elsewhere.invalid', 'no host at all', NULL]) AS host,
       generate_series(1, 1000) AS i;
SELECT host, count(*), sum(duration) FROM telemetry GROUP BY host ORDER BY host;

-- the same as a view
CREATE VIEW observed AS SELECT * FROM queries WHERE hostflags.is_enabled(host, 'telemetry');
SELECT host, count(*) FROM observed GROUP BY host ORDER BY host;

-- both ask as whoever uses them
CREATE ROLE regress_hf_writer;
GRANT INSERT ON queries TO regress_hf_writer;
GRANT SELECT ON observed TO regress_hf_writer;
SET ROLE regress_hf_writer;
INSERT INTO queries VALUES ('a.example.com', 'select 0', '0');
SELECT count(*) FROM observed;
RESET ROLE;
GRANT USAGE ON SCHEMA hostflags TO regress_hf_writer;
GRANT EXECUTE ON FUNCTION hostflags.is_enabled(text, text) TO regress_hf_writer;
GRANT INSERT ON telemetry TO regress_hf_writer;
SET ROLE regress_hf_writer;
INSERT INTO queries VALUES ('a.example.com', 'select 0', '0');
RESET ROLE;
-- but for a function that asks as its owner
REVOKE ALL ON FUNCTION hostflags.is_enabled(text, text) FROM regress_hf_writer;
REVOKE ALL ON SCHEMA hostflags FROM regress_hf_writer;
REVOKE ALL ON telemetry FROM regress_hf_writer;
DROP TRIGGER telemetry ON queries;
CREATE FUNCTION ask_and_write() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF hostflags.is_enabled(new.host, 'telemetry') THEN
    INSERT INTO telemetry VALUES (new.host, new.duration);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER telemetry AFTER INSERT ON queries FOR EACH ROW EXECUTE FUNCTION ask_and_write();
SET ROLE regress_hf_writer;
INSERT INTO queries VALUES ('a.example.com', 'select 0', '0');
RESET ROLE;
SELECT count(*) FROM telemetry WHERE duration = '0';

-- one request per host, however many rows
SELECT host, sessions, requests FROM hostflags.hosts WHERE sessions > 0 ORDER BY host;
DROP VIEW observed;
DROP TABLE queries, telemetry;
DROP FUNCTION write_telemetry, ask_and_write;
DROP ROLE regress_hf_writer;
DROP EXTENSION hostflags;
