-- Which were the largest liquidations, in dollars?
--
-- Parameters
--   base        | text    |      | none   | One coin; none: all.
--   exchange    | text    |      | none   | One venue; none: all.
--   days        | number  | days | 7      | Length of the window.
--   until       | time    | UTC  | none   | End of the window, not included; none: just after the newest event.
--   top         | integer |      | 20     | How many.
--   asset_class | class   |      | crypto | Class that counts; unknown counts as crypto. all: every class.
--
-- Columns
--   exchange, instrument_type, symbol, base |                | The instrument.
--   timestamp                               | UTC            | When.
--   side                                    |                | Side of the position that was closed.
--   price                                   | quote per unit | As price_type says.
--   price_type                              |                | average_fill or bankruptcy.
--   quantity_base                           | units          | Amount.
--   value_usd                               | dollars        | Value; quotes that are not taken as dollars are left out.
--   coverage                                |                | Whether the venue shows every event.
WITH span AS (
  SELECT
    coalesce(CAST(getvariable('until') AS TIMESTAMPTZ), max(timestamp) + to_microseconds(1)) AS until,
    to_microseconds(CAST(coalesce(getvariable('days'), 7) * 86400000000 AS BIGINT)) AS length
  FROM liquidations
),
others AS (
  SELECT exchange, instrument_type, symbol
  FROM instruments
  WHERE CASE coalesce(getvariable('asset_class'), 'crypto')
    WHEN 'all' THEN false
    WHEN 'crypto' THEN asset_class IN ('equity', 'commodity', 'fx', 'bond', 'index')
    ELSE asset_class IS DISTINCT FROM getvariable('asset_class') END
)
SELECT
  exchange,
  instrument_type,
  symbol,
  base,
  timestamp,
  side,
  price,
  price_type,
  quantity_base,
  value_quote AS value_usd,
  coverage
FROM (liquidations ANTI JOIN others USING (exchange, instrument_type, symbol)), span
WHERE quote IN ('BUSD', 'DAI', 'FDUSD', 'TUSD', 'USD', 'USDC', 'USDP', 'USDT')
  AND (getvariable('base') IS NULL OR base = getvariable('base'))
  AND (getvariable('exchange') IS NULL OR exchange = getvariable('exchange'))
  AND timestamp >= until - length AND timestamp < until
ORDER BY value_usd DESC, timestamp, exchange, instrument_type, symbol, side, price, quantity_base, event
LIMIT coalesce(getvariable('top'), 20);
