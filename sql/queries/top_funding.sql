-- Which perpetuals had the highest funding per year, of either sign, as of a time?
--
-- Parameters
--   as_of       | time    | UTC | none   | As of then; none: as of the newest settlement of any.
--   exchange    | text    |     | none   | One venue; none: all.
--   top         | integer |     | 20     | How many.
--   asset_class | class   |     | crypto | Class that counts; unknown counts as crypto. all: every class.
--
-- Columns
--   exchange, symbol, base, quote |                       | The perpetual.
--   timestamp                     | UTC                   | Its last settlement, no older than its interval and a minute.
--   funding_rate                  | fraction per interval | Positive: longs paid.
--   funding_interval_hours        | hours                 | What it covers.
--   funding_apr                   | fraction per 365 days | The same per year, not compounded.
WITH others AS (
  SELECT exchange, instrument_type, symbol
  FROM instruments
  WHERE CASE coalesce(getvariable('asset_class'), 'crypto')
    WHEN 'all' THEN false
    WHEN 'crypto' THEN asset_class IN ('equity', 'commodity', 'fx', 'bond', 'index')
    ELSE asset_class IS DISTINCT FROM getvariable('asset_class') END
),
counted AS (
  SELECT * FROM funding_rates ANTI JOIN others USING (exchange, instrument_type, symbol)
),
moment AS (
  SELECT coalesce(CAST(getvariable('as_of') AS TIMESTAMPTZ), max(timestamp)) AS as_of FROM counted
),
last AS (
  SELECT
    exchange,
    symbol,
    base,
    quote,
    max(timestamp) AS timestamp,
    arg_max(funding_rate, timestamp) AS funding_rate,
    arg_max_null(funding_interval_hours, timestamp) AS funding_interval_hours
  FROM counted AS c, moment
  WHERE c.timestamp <= as_of AND (getvariable('exchange') IS NULL OR exchange = getvariable('exchange'))
  GROUP BY exchange, symbol, base, quote
)
SELECT last.*, funding_rate * 24 / funding_interval_hours * 365 AS funding_apr
FROM last, moment
WHERE timestamp >= as_of - to_microseconds(CAST(funding_interval_hours * 3600000000 + 60000000 AS BIGINT))
ORDER BY abs(funding_apr) DESC, exchange, symbol
LIMIT coalesce(getvariable('top'), 20);
