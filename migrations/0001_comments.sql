-- Every unique constraint contains `thread`, so that the table can be spread over machines by thread with Citus as it is.
-- The lengths are comment.py's; that file is the first line, this one the last.

-- A sequence that the column owns, not an identity column: a distributed table that has one can't be gathered again.
CREATE SEQUENCE comments_id_seq AS bigint;

CREATE TABLE comments (
    thread          text        NOT NULL DEFAULT '' CHECK (char_length(thread) <= 512),
    id              bigint      NOT NULL DEFAULT nextval('comments_id_seq'),
    name            text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    comment         text        NOT NULL CHECK (char_length(comment) BETWEEN 1 AND 10000),
    created_at      timestamptz NOT NULL DEFAULT now(),
    idempotency_key text        CHECK (char_length(idempotency_key) BETWEEN 1 AND 255),
    PRIMARY KEY (thread, id),
    UNIQUE (thread, idempotency_key)
);

ALTER SEQUENCE comments_id_seq OWNED BY comments.id;

-- The pages of all threads, and a comment by its id.
CREATE INDEX comments_id_idx ON comments (id);
