-- Limits on clients. No address is in these tables: a key is an HMAC of the address with the secret key of the day.

-- How often a client has posted. Its loss in a crash does no harm. Half of each page stays free for updates.
CREATE UNLOGGED TABLE limits (
    key bytea       PRIMARY KEY CHECK (octet_length(key) = 16),
    tat timestamptz NOT NULL  -- "theoretical arrival time": when the client has its full limit again
) WITH (fillfactor = 50);

-- The secret key of each day in UTC. `flask purge` deletes those of the days before.
CREATE TABLE daily_keys (
    day date  PRIMARY KEY,
    key bytea NOT NULL CHECK (octet_length(key) = 32)
);
