-- Which process said last in which bucket a backend lies: while it lives, those who would say otherwise leave it at that.
ALTER TABLE backends ADD COLUMN located_by {{text}} DEFAULT '' NOT NULL
