-- What did the funding of a coin come to at each venue, summed and per year?
--
-- Parameters
--   base        | text   |      | required | Coin, such as BTC.
--   days        | number | days | 30       | Length of the window.
--   until       | time   | UTC  | none     | End of the window, not included; none: just after the newest settlement.
--   asset_class | class  |      | crypto   | Class that counts; unknown counts as crypto. all: every class.
--
-- Columns
--   exchange, symbol, quote |                           | The perpetual.
--   settlements             |                           | Settlements in the window.
--   funding_sum             | fraction                  | Sum of the settled rates: what a long has paid; null if settlements are missing between two.
--   hours                   | hours                     | Hours that settlements of known interval cover.
--   funding_apr             | fraction per 365 days     | Their sum over these hours, per year; null if none is known.
--   unknown_interval        |                           | Settlements whose interval is not stored, left out of the two.
WITH span AS (
  SELECT
    coalesce(CAST(getvariable('until') AS TIMESTAMPTZ), max(timestamp) + to_microseconds(1)) AS until,
    to_microseconds(CAST(coalesce(getvariable('days'), 30) * 86400000000 AS BIGINT)) AS length
  FROM funding_rates
),
others AS (
  SELECT exchange, instrument_type, symbol
  FROM instruments
  WHERE CASE coalesce(getvariable('asset_class'), 'crypto')
    WHEN 'all' THEN false
    WHEN 'crypto' THEN asset_class IN ('equity', 'commodity', 'fx', 'bond', 'index')
    ELSE asset_class IS DISTINCT FROM getvariable('asset_class') END
),
settled AS (
  SELECT
    funding_rates.*,
    date_diff('minute', lag(timestamp) OVER settlement, timestamp) + 1 >= funding_interval_hours * 120 AS after_gap
  FROM (funding_rates ANTI JOIN others USING (exchange, instrument_type, symbol)), span
  WHERE base = getvariable('base') AND timestamp >= until - length AND timestamp < until
  WINDOW settlement AS (PARTITION BY exchange, instrument_type, symbol ORDER BY timestamp)
)
SELECT
  exchange,
  symbol,
  quote,
  count(*) AS settlements,
  CASE WHEN NOT coalesce(bool_or(after_gap), false) THEN sum(funding_rate) END AS funding_sum,
  sum(funding_interval_hours) AS hours,
  sum(funding_rate) FILTER (WHERE funding_interval_hours IS NOT NULL) / sum(funding_interval_hours) * 8760 AS funding_apr,
  count(*) FILTER (WHERE funding_interval_hours IS NULL) AS unknown_interval
FROM settled
GROUP BY ALL
ORDER BY exchange, symbol;
