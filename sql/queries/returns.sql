-- What did a symbol return from day to day?
--
-- Parameters
--   symbol          | text   |      | required | Canonical symbol, such as BTCUSDT.
--   exchange        | text   |      | none     | One venue; none: all.
--   instrument_type | text   |      | none     | spot, perp or future; none: all that have the symbol.
--   days            | number | days | 30       | Length of the window.
--   until           | time   | UTC  | none     | End of the window of open times, not included; none: just after the newest bar.
--
-- Columns
--   exchange, instrument_type, symbol |                | The instrument.
--   timestamp                         | UTC            | Start of the day; its close is known a day later.
--   close                             | quote per unit | Last price of the day.
--   returns                           | fraction       | Over the close before; null in the first row of the window.
--   log_returns                       | fraction       | Logarithm of the ratio of the two.
WITH span AS (
  SELECT
    coalesce(CAST(getvariable('until') AS TIMESTAMPTZ), max(timestamp) + to_microseconds(1)) AS until,
    to_microseconds(CAST(coalesce(getvariable('days'), 30) * 86400000000 AS BIGINT)) AS length
  FROM ohlcv_1d
)
SELECT
  exchange,
  instrument_type,
  symbol,
  timestamp,
  close,
  close / lag(close) OVER series - 1 AS returns,
  ln(close / lag(close) OVER series) AS log_returns
FROM ohlcv_1d, span
WHERE symbol = getvariable('symbol')
  AND (getvariable('exchange') IS NULL OR exchange = getvariable('exchange'))
  AND (getvariable('instrument_type') IS NULL OR instrument_type = getvariable('instrument_type'))
  AND timestamp >= until - length AND timestamp < until
WINDOW series AS (PARTITION BY exchange, instrument_type, symbol ORDER BY timestamp)
ORDER BY exchange, instrument_type, symbol, timestamp;
