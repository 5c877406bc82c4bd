-- What of one page of invoices is due when (4 is the module of invoices), by pages of their own.
SELECT TOP ({limit}) P.FICHEREF AS DOCUMENTREF, P.LOGICALREF AS INTERNAL_REFERENCE,
CONVERT(varchar(10), P.DATE_, 126) AS DATE, CAST(P.TOTAL AS decimal(18,4)) AS TOTAL
FROM LG_{firm}_{period}_INVOICE I WITH (NOLOCK)
JOIN LG_{firm}_{period}_PAYTRANS P WITH (NOLOCK) ON P.MODULENR = 4 AND P.FICHEREF = I.LOGICALREF
WHERE {items}
AND (P.FICHEREF > {after_item} OR (P.FICHEREF = {after_item} AND P.LOGICALREF > {after_line}))
ORDER BY P.FICHEREF, P.LOGICALREF
