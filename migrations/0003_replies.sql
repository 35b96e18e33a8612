-- The replies of a comment. In a file of its own, since it can't be built in a transaction.

DROP INDEX CONCURRENTLY IF EXISTS comments_parent_idx;
CREATE INDEX CONCURRENTLY comments_parent_idx ON comments (thread, parent_id) WHERE parent_id IS NOT NULL;
