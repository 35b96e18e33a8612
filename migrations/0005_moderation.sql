-- Pending comments and spam are in a table of their own: no public page reads it, and the release before shows none of them.

CREATE TABLE held_comments (
    thread          text        NOT NULL CHECK (char_length(thread) <= 512),
    id              bigint      NOT NULL,  -- of comments_id_seq
    name            text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    comment         text        NOT NULL CHECK (char_length(comment) BETWEEN 1 AND 10000),
    created_at      timestamptz NOT NULL DEFAULT now(),
    parent_id       bigint      CHECK (parent_id < id),
    edited_at       timestamptz,
    author_hash     bytea       CHECK (octet_length(author_hash) = 32),
    idempotency_key text        CHECK (char_length(idempotency_key) BETWEEN 1 AND 255),
    verified        boolean     NOT NULL,
    status          text        NOT NULL CHECK (status IN ('pending', 'spam')),
    reason          text        NOT NULL CHECK (char_length(reason) BETWEEN 1 AND 20),
    held_at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (thread, id),
    UNIQUE (thread, idempotency_key)
);

CREATE INDEX held_comments_id_idx ON held_comments (id);
CREATE INDEX held_comments_status_idx ON held_comments (status, id);
CREATE INDEX held_comments_author_idx ON held_comments (author_hash, id) WHERE author_hash IS NOT NULL;
CREATE INDEX held_comments_spam_idx ON held_comments (held_at) WHERE status = 'spam';

CREATE TABLE rules (
    id      bigserial PRIMARY KEY,
    kind    text NOT NULL CHECK (kind IN ('word', 'author')),
    value   text NOT NULL CHECK (char_length(value) BETWEEN 1 AND 100),  -- the word, or the id of a comment of the author
    matches text NOT NULL CHECK (char_length(matches) BETWEEN 1 AND 200),  -- what is compared
    effect  text NOT NULL CHECK (effect IN ('pending', 'spam')),
    UNIQUE (kind, matches)
);

-- One row. Each change of the rules changes it, so that a process knows when it must read the rules again.
CREATE TABLE rules_version (version bigint NOT NULL);
INSERT INTO rules_version VALUES (1);

CREATE TABLE closed_threads (thread text PRIMARY KEY CHECK (char_length(thread) <= 512));

-- Whether the site vouches for the author.
ALTER TABLE comments ADD COLUMN verified boolean NOT NULL DEFAULT false;

-- One constraint instead of five: PostgreSQL prepares each of them for each INSERT. 0007 validates it.
ALTER TABLE comments ADD CONSTRAINT comments_check CHECK (
    parent_id < id AND octet_length(author_hash) = 32 AND CASE status
        WHEN 'published' THEN char_length(name) BETWEEN 1 AND 100 AND char_length(comment) BETWEEN 1 AND 10000
        WHEN 'deleted' THEN name = '' AND comment = '' AND html = '' AND html IS NOT NULL
            AND edited_at IS NULL AND author_hash IS NULL AND idempotency_key IS NULL
        ELSE false
    END
) NOT VALID;
ALTER TABLE comments DROP CONSTRAINT comments_parent_check;
ALTER TABLE comments DROP CONSTRAINT comments_status_check;
ALTER TABLE comments DROP CONSTRAINT comments_author_hash_check;
ALTER TABLE comments DROP CONSTRAINT comments_published_check;
ALTER TABLE comments DROP CONSTRAINT comments_deleted_check;
