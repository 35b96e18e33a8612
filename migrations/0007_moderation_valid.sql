-- Reads the whole table. Others read and write meanwhile.

ALTER TABLE comments VALIDATE CONSTRAINT comments_check;
