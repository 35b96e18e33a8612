-- The comments of an author. In a file of its own, since it can't be built in a transaction.

DROP INDEX CONCURRENTLY IF EXISTS comments_author_idx;
CREATE INDEX CONCURRENTLY comments_author_idx ON comments (author_hash, id) WHERE author_hash IS NOT NULL;
