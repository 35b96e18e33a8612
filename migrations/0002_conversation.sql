-- Replies, HTML, and comments that their authors edit and delete. The release before writes none of these columns.

ALTER TABLE comments ADD COLUMN parent_id bigint;
ALTER TABLE comments ADD COLUMN html text;  -- NULL: it is made when the comment is read
ALTER TABLE comments ADD COLUMN status text NOT NULL DEFAULT 'published';
ALTER TABLE comments ADD COLUMN edited_at timestamptz;
ALTER TABLE comments ADD COLUMN author_hash bytea;  -- the SHA-256 of the author's key

-- Each constraint is validated by 0004, without a lock that keeps others waiting.
ALTER TABLE comments ADD CONSTRAINT comments_parent_fkey
    FOREIGN KEY (thread, parent_id) REFERENCES comments (thread, id) NOT VALID;
ALTER TABLE comments ADD CONSTRAINT comments_parent_check CHECK (parent_id < id) NOT VALID;
ALTER TABLE comments ADD CONSTRAINT comments_status_check CHECK (status IN ('published', 'deleted')) NOT VALID;
ALTER TABLE comments ADD CONSTRAINT comments_author_hash_check CHECK (octet_length(author_hash) = 32) NOT VALID;

-- A comment that is deleted, and has replies, has nothing of its author any more.
ALTER TABLE comments ADD CONSTRAINT comments_published_check CHECK (
    status = 'deleted' OR (char_length(name) BETWEEN 1 AND 100 AND char_length(comment) BETWEEN 1 AND 10000)
) NOT VALID;
ALTER TABLE comments ADD CONSTRAINT comments_deleted_check CHECK (
    status <> 'deleted' OR (
        name = '' AND comment = '' AND html = '' AND html IS NOT NULL
        AND edited_at IS NULL AND author_hash IS NULL AND idempotency_key IS NULL
    )
) NOT VALID;
ALTER TABLE comments DROP CONSTRAINT comments_name_check;
ALTER TABLE comments DROP CONSTRAINT comments_comment_check;
