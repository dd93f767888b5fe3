-- What was the funding of a coin over all venues, weighted by open interest?
--
-- Parameters
--   base  | text   |      | required | Coin, such as BTC.
--   days  | number | days | 30       | Length of the window.
--   until | time   | UTC  | none     | End of the window, not included; none: just after the newest row.
--
-- Columns
--   timestamp        | UTC                   | End of the 8 hours.
--   weighted_funding | fraction per 8 h      | As in table funding_weighted_8h.
--   weighted_apr     | fraction per 365 days | The same per year, not compounded.
--   venues           |                       | Venues that went in.
--   weight_coverage  | fraction              | Share of the open interest whose venues went in.
--   quotes           |                       | Quote currencies mixed.
WITH span AS (
  SELECT
    coalesce(CAST(getvariable('until') AS TIMESTAMPTZ), max(timestamp) + to_microseconds(1)) AS until,
    to_microseconds(CAST(coalesce(getvariable('days'), 30) * 86400000000 AS BIGINT)) AS length
  FROM funding_weighted_8h
)
SELECT
  timestamp,
  weighted_funding,
  weighted_funding * 3 * 365 AS weighted_apr,
  venues,
  weight_coverage,
  quotes
FROM funding_weighted_8h, span
WHERE base = getvariable('base') AND timestamp >= until - length AND timestamp < until
ORDER BY timestamp;
