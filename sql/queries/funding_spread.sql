-- What does being long a coin's perpetual at one venue and short at another earn in funding, as of a time?
--
-- Parameters
--   base        | text   |          | required | Coin, such as BTC.
--   as_of       | time   | UTC      | none     | As of the coin's last settlement up to then; none: of its newest.
--   fees        | number | fraction | 0        | Fee of one fill; each leg is filled twice.
--   slippage    | number | fraction | 0        | Slippage of all four fills together.
--   holding     | number | days     | 30       | How long the position is held; costs are spread over it.
--   asset_class | class  |          | crypto   | Class that counts; unknown counts as crypto. all: every class.
--
-- Columns
--   timestamp                      | UTC                   | The settlement as of which it is.
--   long_exchange, short_exchange  |                       | Where the rate per year is lower, and higher.
--   gross_apr                      | fraction per 365 days | How far they are apart.
--   net_apr                        | fraction per 365 days | The same less costs.
--   break_even_days                | days                  | Holding that pays the costs; null where they are not apart.
--   long_symbol, short_symbol      |                       | The perpetuals.
--   quotes                         |                       | Their quotes, joined by + where they differ.
-- A leg counts with its last settlement, no older than its own stored interval and a minute.
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
  SELECT max(timestamp) AS as_of
  FROM counted
  WHERE base = getvariable('base') AND (getvariable('as_of') IS NULL OR timestamp <= CAST(getvariable('as_of') AS TIMESTAMPTZ))
),
legs AS (
  SELECT
    exchange,
    symbol,
    quote,
    arg_max(timestamp, timestamp) AS settled,
    arg_max(funding_rate, timestamp) AS rate,
    arg_max_null(funding_interval_hours, timestamp) AS hours
  FROM counted, moment
  WHERE base = getvariable('base') AND timestamp <= as_of
  GROUP BY ALL
),
standing AS (
  SELECT legs.*, as_of, rate * 24 / hours * 365 AS apr
  FROM legs, moment
  WHERE settled >= as_of - to_microseconds(CAST(hours * 3600000000 + 60000000 AS BIGINT))
),
pairs AS (
  SELECT
    low.as_of AS timestamp,
    low.exchange AS long_exchange,
    high.exchange AS short_exchange,
    high.apr - low.apr AS gross_apr,
    coalesce(getvariable('fees'), 0) * 4 + coalesce(getvariable('slippage'), 0) AS costs,
    low.symbol AS long_symbol,
    high.symbol AS short_symbol,
    CASE WHEN low.quote = high.quote THEN low.quote
      ELSE least(low.quote, high.quote) || '+' || greatest(low.quote, high.quote) END AS quotes
  FROM standing AS low
  JOIN standing AS high
    ON low.exchange <> high.exchange
    AND (low.apr < high.apr OR (low.apr = high.apr AND low.exchange < high.exchange))
)
SELECT
  timestamp,
  long_exchange,
  short_exchange,
  gross_apr,
  gross_apr - costs * 365 / coalesce(getvariable('holding'), 30) AS net_apr,
  CASE WHEN gross_apr > 0 THEN costs * 365 / gross_apr END AS break_even_days,
  long_symbol,
  short_symbol,
  quotes
FROM pairs
ORDER BY gross_apr DESC, long_exchange, short_exchange, long_symbol, short_symbol;
