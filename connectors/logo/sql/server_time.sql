-- The server's own clock, local and without a zone: noted before a pass begins, so that what changes meanwhile
-- belongs to the next one.
SELECT CONVERT(varchar(19), GETDATE(), 126) AS STAMP
