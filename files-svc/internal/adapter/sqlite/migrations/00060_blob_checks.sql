-- +goose Up
-- In a CHECK, IN with more than two values makes SQLite build a table of them for every row; with OR it compares. The conditions mean
-- what they meant, so the rows stay as they are and only the words change: https://sqlite.org/lang_altertable.html#otheralter
-- In a table that somebody has given other words they stay: they mean the same, and only take longer.
PRAGMA writable_schema = ON;

UPDATE sqlite_schema SET sql = replace(replace(sql,
    'CHECK (state IN (''pending'', ''live'', ''dead'', ''deleting'', ''tombstone''))',
    'CHECK (state = ''pending'' OR state = ''live'' OR state = ''dead'' OR state = ''deleting'' OR state = ''tombstone'')'),
    'CHECK (flaw IN ('''', ''corrupt'', ''missing'', ''infected''))',
    'CHECK (flaw = '''' OR flaw = ''corrupt'' OR flaw = ''missing'' OR flaw = ''infected'')')
WHERE type = 'table' AND name = 'blobs';

-- Ends the writing, and forgets the schema.
PRAGMA writable_schema = RESET;

-- Reads the schema again, so that words SQLite can't read fail here and are undone; and raises its number, by which other connections
-- notice: PRAGMA schema_version would need to be told the next one.
CREATE VIEW blob_checks AS SELECT 1;
DROP VIEW blob_checks;
