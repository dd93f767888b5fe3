-- How volatile was a symbol, by the closes of trailing days?
--
-- Parameters
--   symbol          | text    |      | required | Canonical symbol, such as BTCUSDT.
--   exchange        | text    |      | none     | One venue; none: all.
--   instrument_type | text    |      | none     | spot, perp or future; none: all that have the symbol.
--   lookback        | integer | days | 30       | Daily returns that go into a value, 2 or more.
--   days            | number  | days | 90       | Length of the window that is read; values begin when it holds enough returns.
--   until           | time    | UTC  | none     | End of what is read, by open times, not included; none: just after the newest bar.
--
-- Columns
--   exchange, instrument_type, symbol |                                 | The instrument.
--   timestamp                         | UTC                             | Start of the last day; its close is known a day later.
--   close                             | quote per unit                  | Its last price.
--   realized_volatility               | fraction per root of a year     | Sample deviation of log returns; null over a gap.
WITH span AS (
  SELECT
    coalesce(CAST(getvariable('until') AS TIMESTAMPTZ), max(timestamp) + to_microseconds(1)) AS until,
    to_microseconds(CAST(coalesce(getvariable('days'), 90) * 86400000000 AS BIGINT)) AS length
  FROM ohlcv_1d
),
steps AS (
  SELECT
    exchange,
    instrument_type,
    symbol,
    timestamp,
    close,
    CASE WHEN epoch_us(timestamp) - epoch_us(lag(timestamp) OVER series) = 86400000000
      THEN ln(close / lag(close) OVER series) END AS step
  FROM ohlcv_1d, span
  WHERE symbol = getvariable('symbol')
    AND (getvariable('exchange') IS NULL OR exchange = getvariable('exchange'))
    AND (getvariable('instrument_type') IS NULL OR instrument_type = getvariable('instrument_type'))
    AND timestamp >= until - length AND timestamp < until
  WINDOW series AS (PARTITION BY exchange, instrument_type, symbol ORDER BY timestamp)
)
SELECT
  exchange,
  instrument_type,
  symbol,
  timestamp,
  close,
  CASE WHEN count(step) OVER recent = coalesce(getvariable('lookback'), 30)
    THEN sqrt(365 * var_samp(step) OVER recent) END AS realized_volatility
FROM steps
WINDOW recent AS (
  PARTITION BY exchange, instrument_type, symbol
  ORDER BY timestamp
  ROWS BETWEEN coalesce(getvariable('lookback'), 30) - 1 PRECEDING AND CURRENT ROW
)
ORDER BY exchange, instrument_type, symbol, timestamp;
