-- How far did a symbol's perpetual or future close from its index, hour by hour?
--
-- Parameters
--   symbol   | text   |      | required | Canonical symbol of a derivative, such as BTCUSDT.
--   exchange | text   |      | none     | One venue; none: all.
--   days     | number | days | 7        | Length of the window.
--   until    | time   | UTC  | none     | End of the window of times closes were known, not included; none: just after the newest.
--
-- Columns
--   exchange, instrument_type, symbol |                | The instrument.
--   timestamp                         | UTC            | When both closes were known: the end of their bars.
--   price                             | quote per unit | Close of its trades.
--   reference                         | quote per unit | Close of its index; null where that bar is missing.
--   basis                             | fraction       | (price - reference) / reference.
WITH span AS (
  SELECT
    coalesce(CAST(getvariable('until') AS TIMESTAMPTZ), max(timestamp) + to_hours(1) + to_microseconds(1)) AS until,
    to_microseconds(CAST(coalesce(getvariable('days'), 7) * 86400000000 AS BIGINT)) AS length
  FROM ohlcv_1h
)
SELECT
  bars.exchange,
  bars.instrument_type,
  bars.symbol,
  bars.timestamp + to_hours(1) AS timestamp,
  bars.close AS price,
  index_1h.close AS reference,
  (bars.close - index_1h.close) / index_1h.close AS basis
FROM span, ohlcv_1h AS bars
LEFT JOIN index_1h
  ON bars.exchange = index_1h.exchange AND bars.instrument_type = index_1h.instrument_type
  AND bars.symbol = index_1h.symbol AND bars.timestamp = index_1h.timestamp
WHERE bars.symbol = getvariable('symbol')
  AND bars.instrument_type IN ('perp', 'future')
  AND (getvariable('exchange') IS NULL OR bars.exchange = getvariable('exchange'))
  AND bars.timestamp + to_hours(1) >= until - length AND bars.timestamp + to_hours(1) < until
ORDER BY bars.exchange, bars.instrument_type, bars.symbol, bars.timestamp;
