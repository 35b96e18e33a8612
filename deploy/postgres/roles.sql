-- The roles of docker-compose.yml: comments_owner migrates, comments_web serves. Neither is a superuser, and neither has
-- a password. Safe at any time: it changes only what is missing.

\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET lock_timeout = '5s';

SELECT format('CREATE ROLE %I LOGIN', name) FROM unnest(ARRAY['comments_owner', 'comments_web']) AS name
WHERE to_regrole(name) IS NULL
\gexec

-- PostgreSQL logs a statement that fails, for instance one that takes too long. The values in it are nothing for a log: they
-- are texts, names and hashes of keys.
ALTER ROLE comments_web SET log_min_error_statement = 'panic';
ALTER ROLE comments_web SET log_error_verbosity = 'terse';

-- Tables that the superuser made: before there were these roles, or in restoring a backup.
ALTER DATABASE comments OWNER TO comments_owner;
SELECT format('ALTER TABLE %s OWNER TO comments_owner', oid::regclass) FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relowner <> 'comments_owner'::regrole
\gexec

-- What is there, and what migrations will create.
REVOKE ALL ON DATABASE comments FROM PUBLIC;
GRANT CONNECT ON DATABASE comments TO comments_web;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO comments_web;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO comments_web;
ALTER DEFAULT PRIVILEGES FOR ROLE comments_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO comments_web;
ALTER DEFAULT PRIVILEGES FOR ROLE comments_owner IN SCHEMA public
    GRANT USAGE ON SEQUENCES TO comments_web;
