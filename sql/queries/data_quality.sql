-- Which checks failed, where, and how often?
--
-- Parameters
--   exchange | text   |      | none | One venue; none: all.
--   days     | number | days | 30   | Length of the window, in days of data.
--   until    | time   | UTC  | none | End of the window, not included; none: just after the newest day.
--
-- Columns
--   table_name, exchange, check_name |          | What was checked, and where.
--   blocking                         |          | Whether a failure stops a publication.
--   rows_checked, rows_failed        | rows     | Sums over the window.
--   share_failed                     | fraction | Of the two.
--   days_failed                      | days     | Days of data with a failure.
--   last_failed                      | UTC      | The last of them.
WITH span AS (
  SELECT
    coalesce(CAST(getvariable('until') AS TIMESTAMPTZ), max(timestamp) + to_microseconds(1)) AS until,
    to_microseconds(CAST(coalesce(getvariable('days'), 30) * 86400000000 AS BIGINT)) AS length
  FROM data_quality
)
SELECT
  table_name,
  exchange,
  check_name,
  bool_or(blocking) AS blocking,
  CAST(sum(rows_checked) AS BIGINT) AS rows_checked,
  CAST(sum(rows_failed) AS BIGINT) AS rows_failed,
  sum(rows_failed) / sum(rows_checked) AS share_failed,
  count(DISTINCT timestamp) FILTER (WHERE rows_failed > 0) AS days_failed,
  max(timestamp) FILTER (WHERE rows_failed > 0) AS last_failed
FROM data_quality, span
WHERE (getvariable('exchange') IS NULL OR exchange = getvariable('exchange'))
  AND timestamp >= until - length AND timestamp < until
GROUP BY table_name, exchange, check_name
HAVING sum(rows_failed) > 0
ORDER BY blocking DESC, rows_failed DESC, table_name, exchange, check_name;
