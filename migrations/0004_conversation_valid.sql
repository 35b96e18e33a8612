-- Reads the whole table. Others read and write meanwhile.

ALTER TABLE comments VALIDATE CONSTRAINT comments_parent_fkey;
ALTER TABLE comments VALIDATE CONSTRAINT comments_parent_check;
ALTER TABLE comments VALIDATE CONSTRAINT comments_status_check;
ALTER TABLE comments VALIDATE CONSTRAINT comments_author_hash_check;
ALTER TABLE comments VALIDATE CONSTRAINT comments_published_check;
ALTER TABLE comments VALIDATE CONSTRAINT comments_deleted_check;
