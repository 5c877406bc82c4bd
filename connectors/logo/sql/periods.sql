-- Every period of the firm: which one covers today, and which table names follow from it.
SELECT P.NR, CONVERT(varchar(10), P.BEGDATE, 126) AS BEGDATE, CONVERT(varchar(10), P.ENDDATE, 126) AS ENDDATE, P.ACTIVE
FROM L_CAPIPERIOD P WITH (NOLOCK)
WHERE P.FIRMNR = {firm_nr}
ORDER BY P.NR
