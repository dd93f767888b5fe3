-- What was the open interest of a coin worth, venue by venue?
--
-- Parameters
--   base        | text   |      | required | Coin, such as BTC.
--   days        | number | days | 7        | Length of the window.
--   until       | time   | UTC  | none     | End of the window, not included; none: just after the newest snapshot.
--   asset_class | class  |      | crypto   | Class that counts; unknown counts as crypto. all: every class.
--
-- Columns
--   exchange, instrument_type, symbol, quote |         | The instrument.
--   timestamp                                | UTC     | When.
--   open_interest_base                       | units   | One side, in the venue's units of base.
--   open_interest_usd                        | dollars | Value; null where the quote is not taken as dollars or no price is known.
--   usd_from                                 |         | venue: its own value; mark_1h, ohlcv_1h: at the close known up to an hour before.
WITH span AS (
  SELECT
    coalesce(CAST(getvariable('until') AS TIMESTAMPTZ), max(timestamp) + to_microseconds(1)) AS until,
    to_microseconds(CAST(coalesce(getvariable('days'), 7) * 86400000000 AS BIGINT)) AS length
  FROM open_interest
),
others AS (
  SELECT exchange, instrument_type, symbol
  FROM instruments
  WHERE CASE coalesce(getvariable('asset_class'), 'crypto')
    WHEN 'all' THEN false
    WHEN 'crypto' THEN asset_class IN ('equity', 'commodity', 'fx', 'bond', 'index')
    ELSE asset_class IS DISTINCT FROM getvariable('asset_class') END
),
held AS (
  SELECT *
  FROM (open_interest ANTI JOIN others USING (exchange, instrument_type, symbol)), span
  WHERE base = getvariable('base') AND timestamp >= until - length AND timestamp < until
),
marks AS (
  SELECT exchange, instrument_type, symbol, timestamp + to_hours(1) AS known, close
  FROM mark_1h, span
  WHERE base = getvariable('base') AND timestamp >= until - length - to_hours(2) AND timestamp < until
),
trades AS (
  SELECT exchange, instrument_type, symbol, timestamp + to_hours(1) AS known, close
  FROM ohlcv_1h, span
  WHERE base = getvariable('base') AND timestamp >= until - length - to_hours(2) AND timestamp < until
),
priced AS (
  SELECT
    held.*,
    CASE WHEN marks.known >= held.timestamp - to_hours(1) THEN marks.close END AS mark,
    CASE WHEN trades.known >= held.timestamp - to_hours(1) THEN trades.close END AS trade
  FROM held
  ASOF LEFT JOIN marks
    ON held.exchange = marks.exchange AND held.instrument_type = marks.instrument_type
    AND held.symbol = marks.symbol AND held.timestamp >= marks.known
  ASOF LEFT JOIN trades
    ON held.exchange = trades.exchange AND held.instrument_type = trades.instrument_type
    AND held.symbol = trades.symbol AND held.timestamp >= trades.known
)
SELECT
  exchange,
  instrument_type,
  symbol,
  quote,
  timestamp,
  open_interest_base,
  CASE WHEN quote IN ('BUSD', 'DAI', 'FDUSD', 'TUSD', 'USD', 'USDC', 'USDP', 'USDT')
    THEN coalesce(open_interest_quote, open_interest_base * mark, open_interest_base * trade) END AS open_interest_usd,
  CASE WHEN quote IN ('BUSD', 'DAI', 'FDUSD', 'TUSD', 'USD', 'USDC', 'USDP', 'USDT')
    THEN CASE WHEN open_interest_quote IS NOT NULL THEN 'venue'
      WHEN mark IS NOT NULL THEN 'mark_1h'
      WHEN trade IS NOT NULL THEN 'ohlcv_1h' END END AS usd_from
FROM priced
ORDER BY exchange, instrument_type, symbol, timestamp;
