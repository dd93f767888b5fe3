-- Which share of a coin's traded value did each venue have, day by day?
--
-- Parameters
--   base            | text   |      | required | Coin, such as BTC.
--   instrument_type | text   |      | spot     | spot, perp or future.
--   days            | number | days | 30       | Length of the window.
--   until           | time   | UTC  | none     | End of the window of open times, not included; none: just after the newest bar.
--   asset_class     | class  |      | crypto   | Class that counts; unknown counts as crypto. all: every class.
--
-- Columns
--   timestamp    | UTC      | Start of the day.
--   exchange     |          | Venue.
--   volume_usd   | dollars  | Traded value, one side; null where one of its values is not known or not in dollars.
--   volume_share | fraction | Of all venues; null on days on which a value is not known or nothing was traded.
WITH span AS (
  SELECT
    coalesce(CAST(getvariable('until') AS TIMESTAMPTZ), max(timestamp) + to_microseconds(1)) AS until,
    to_microseconds(CAST(coalesce(getvariable('days'), 30) * 86400000000 AS BIGINT)) AS length
  FROM ohlcv_1d
),
others AS (
  SELECT exchange, instrument_type, symbol
  FROM instruments
  WHERE CASE coalesce(getvariable('asset_class'), 'crypto')
    WHEN 'all' THEN false
    WHEN 'crypto' THEN asset_class IN ('equity', 'commodity', 'fx', 'bond', 'index')
    ELSE asset_class IS DISTINCT FROM getvariable('asset_class') END
),
traded AS (
  SELECT
    timestamp,
    exchange,
    CASE WHEN count(volume_quote) = count(*)
      AND bool_and(quote IN ('BUSD', 'DAI', 'FDUSD', 'TUSD', 'USD', 'USDC', 'USDP', 'USDT'))
      THEN sum(volume_quote) END AS volume_usd
  FROM (ohlcv_1d ANTI JOIN others USING (exchange, instrument_type, symbol)), span
  WHERE base = getvariable('base')
    AND instrument_type = coalesce(getvariable('instrument_type'), 'spot')
    AND timestamp >= until - length AND timestamp < until
  GROUP BY ALL
)
SELECT
  timestamp,
  exchange,
  volume_usd,
  CASE WHEN count(volume_usd) OVER day = count(*) OVER day
    THEN volume_usd / nullif(sum(volume_usd) OVER day, 0) END AS volume_share
FROM traded
WINDOW day AS (PARTITION BY timestamp)
ORDER BY timestamp, exchange;
