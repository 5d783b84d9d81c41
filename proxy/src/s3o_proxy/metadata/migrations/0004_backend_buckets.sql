-- At which bucket of its provider the bytes of a backend lie, '' where it was never served: under one name there are never two.
ALTER TABLE backends ADD COLUMN bucket {{text}} DEFAULT '' NOT NULL
