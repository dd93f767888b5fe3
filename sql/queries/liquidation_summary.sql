-- What was liquidated of a symbol, by venue, UTC day and side of the position?
--
-- Parameters
--   symbol   | text   |      | required | Canonical symbol, such as BTCUSDT.
--   exchange | text   |      | none     | One venue; none: all.
--   days     | number | days | 7        | Length of the window; days that it cuts are partial.
--   until    | time   | UTC  | none     | End of the window, not included; none: just after the newest event of any symbol.
--
-- Columns
--   exchange, instrument_type, symbol |          | The instrument.
--   timestamp                         | UTC      | Start of the day.
--   side                              |          | Side of the position that was closed.
--   events                            |          | How many.
--   quantity_base                     | units    | Sum, in the venue's units of base.
--   value_usd                         | dollars  | Sum; null where the quote is not taken as dollars.
--   imbalance                         | fraction | (long - short) / (long + short) of the day's value.
--   coverage                          |          | The worst of the day: throttled totals are lower bounds.
WITH span AS (
  SELECT
    coalesce(CAST(getvariable('until') AS TIMESTAMPTZ), max(timestamp) + to_microseconds(1)) AS until,
    to_microseconds(CAST(coalesce(getvariable('days'), 7) * 86400000000 AS BIGINT)) AS length
  FROM liquidations
),
totals AS (
  SELECT
    exchange,
    instrument_type,
    symbol,
    -- whole days since 1970: date_trunc would follow the session's zone
    to_timestamp(epoch_us(timestamp) // 86400000000 * 86400) AS day,
    side,
    count(*) AS events,
    sum(quantity_base) AS quantity_base,
    CASE WHEN bool_and(quote IN ('BUSD', 'DAI', 'FDUSD', 'TUSD', 'USD', 'USDC', 'USDP', 'USDT'))
      THEN sum(value_quote) END AS value_usd,
    max(CASE coverage WHEN 'full' THEN 0 WHEN 'throttled' THEN 1 ELSE 2 END) AS worst
  FROM liquidations, span
  WHERE symbol = getvariable('symbol')
    AND (getvariable('exchange') IS NULL OR exchange = getvariable('exchange'))
    AND timestamp >= until - length AND timestamp < until
  GROUP BY ALL
)
SELECT
  exchange,
  instrument_type,
  symbol,
  day AS timestamp,
  side,
  events,
  quantity_base,
  value_usd,
  CASE WHEN count(value_usd) OVER whole = count(*) OVER whole THEN
    sum(CASE side WHEN 'long' THEN value_usd ELSE -value_usd END) OVER whole / nullif(sum(value_usd) OVER whole, 0)
  END AS imbalance,
  CASE max(worst) OVER whole WHEN 0 THEN 'full' WHEN 1 THEN 'throttled' ELSE 'absent' END AS coverage
FROM totals
WINDOW whole AS (PARTITION BY exchange, instrument_type, symbol, day)
ORDER BY exchange, instrument_type, symbol, timestamp, side;
