-- Running totals per item and warehouse. INVENNO -1 is the sum of the others: one or the other is read, never both.
SELECT TOP ({limit}) I.CODE, T.STOCKREF, T.INVENNO, CAST(T.ONHAND AS decimal(18,4)) AS ONHAND,
CAST(T.RESERVED AS decimal(18,4)) AS RESERVED, CAST(T.ACTSORDER AS decimal(18,4)) AS ACTSORDER,
CAST({formula} AS decimal(18,4)) AS AVAILABLE
FROM {table}_{firm}_{period}_GNTOTST T WITH (NOLOCK)
JOIN LG_{firm}_ITEMS I WITH (NOLOCK) ON I.LOGICALREF = T.STOCKREF
WHERE I.CARDTYPE <> 22 AND {warehouses}
AND (T.STOCKREF > {after_item} OR (T.STOCKREF = {after_item} AND T.INVENNO > {after_warehouse}))
ORDER BY T.STOCKREF, T.INVENNO
