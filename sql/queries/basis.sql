-- How far did a symbol's perpetual or future close from its index or spot price, hour by hour?
--
-- Parameters
--   symbol   | text   |      | required | Canonical symbol of a derivative, such as BTCUSDT.
--   exchange | text   |      | none     | One venue; none: all.
--   quotes   | text   |      | BUSD,DAI,FDUSD,TUSD,USD,USDC,USDP,USDT | Quote currencies that may be compared with each other, joined by commas.
--   days     | number | days | 7        | Length of the window.
--   until    | time   | UTC  | none     | End of the window of times closes were known, not included; none: just after the newest.
--
-- Columns
--   exchange, instrument_type, symbol, quote |                | The instrument.
--   timestamp                                | UTC            | When both closes were known: the end of their bars.
--   price                                    | quote per unit | Close of its trades.
--   reference                                | quote per unit | Close of its reference, in the unit of the price; null where that bar is missing.
--   reference_name                           |                | index_1h if the index has bars in the window, else the spot pair.
--   reference_quote                          |                | Quote of the spot pair; null for an index.
--   basis                                    | fraction       | (price - reference) / reference.
-- The spot pair is of the same coin, venue, and class (unknown counts as crypto): in the same quote, then with the most bars in the window.
WITH span AS (
  SELECT
    coalesce(CAST(getvariable('until') AS TIMESTAMPTZ), max(timestamp) + to_hours(1) + to_microseconds(1)) AS until,
    to_microseconds(CAST(coalesce(getvariable('days'), 7) * 86400000000 AS BIGINT)) AS length,
    string_split(coalesce(getvariable('quotes'), 'BUSD,DAI,FDUSD,TUSD,USD,USDC,USDP,USDT'), ',') AS quotes
  FROM ohlcv_1h
),
terms AS (
  SELECT
    exchange,
    instrument_type,
    symbol,
    arg_max_null(multiplier, observed_at) AS listed,
    CASE WHEN arg_max_null(asset_class, observed_at) IN ('equity', 'commodity', 'fx', 'bond', 'index')
      THEN arg_max_null(asset_class, observed_at) ELSE 'crypto' END AS kind
  FROM instruments
  GROUP BY ALL
),
bars AS (
  SELECT ohlcv_1h.*, listed, coalesce(kind, 'crypto') AS kind
  FROM span, ohlcv_1h
  LEFT JOIN terms USING (exchange, instrument_type, symbol)
  WHERE timestamp + to_hours(1) >= until - length AND timestamp + to_hours(1) < until
),
prices AS (
  SELECT *
  FROM bars
  WHERE symbol = getvariable('symbol')
    AND instrument_type IN ('perp', 'future')
    AND (getvariable('exchange') IS NULL OR exchange = getvariable('exchange'))
),
indexes AS (
  SELECT exchange, instrument_type, symbol, timestamp, close, multiplier
  FROM span, index_1h
  WHERE symbol = getvariable('symbol')
    AND timestamp + to_hours(1) >= until - length AND timestamp + to_hours(1) < until
),
pairs AS (
  SELECT
    exchange,
    base,
    quote,
    symbol,
    listed,
    kind,
    count(*) AS bars,
    sum(volume_quote) AS volume
  FROM bars
  WHERE instrument_type = 'spot'
  GROUP BY ALL
),
derivatives AS (
  SELECT DISTINCT exchange, instrument_type, symbol, base, quote, kind FROM prices
  ANTI JOIN indexes USING (exchange, instrument_type, symbol)
),
chosen AS (
  SELECT
    one.exchange,
    one.instrument_type,
    one.symbol,
    pairs.symbol AS pair,
    pairs.quote AS reference_quote
  FROM span, derivatives AS one
  JOIN pairs ON one.exchange = pairs.exchange AND one.base = pairs.base
  WHERE (one.quote = pairs.quote OR (list_contains(quotes, one.quote) AND list_contains(quotes, pairs.quote)))
    AND one.kind = pairs.kind
  QUALIFY row_number() OVER (
    PARTITION BY one.exchange, one.instrument_type, one.symbol
    ORDER BY one.quote <> pairs.quote, pairs.bars DESC, pairs.listed, pairs.volume DESC NULLS LAST, pairs.symbol
  ) = 1
),
closes AS (
  SELECT *, 'index_1h' AS reference_name, NULL AS reference_quote, NULL AS listed FROM indexes
  UNION ALL BY NAME
  SELECT
    chosen.exchange,
    chosen.instrument_type,
    chosen.symbol,
    timestamp,
    close,
    multiplier,
    'spot ' || pair AS reference_name,
    chosen.reference_quote,
    listed
  FROM chosen
  JOIN bars ON bars.exchange = chosen.exchange AND bars.instrument_type = 'spot' AND bars.symbol = chosen.pair
),
compared AS (
  SELECT
    prices.exchange,
    prices.instrument_type,
    prices.symbol,
    prices.quote,
    prices.timestamp + to_hours(1) AS timestamp,
    prices.close AS price,
    coalesce(prices.multiplier, prices.listed) AS coins,
    closes.close * (coins / coalesce(closes.multiplier, closes.listed, coins)) AS reference,
    closes.reference_name,
    closes.reference_quote
  FROM prices
  LEFT JOIN closes
    ON prices.exchange = closes.exchange AND prices.instrument_type = closes.instrument_type
    AND prices.symbol = closes.symbol AND prices.timestamp = closes.timestamp
)
SELECT
  exchange,
  instrument_type,
  symbol,
  quote,
  timestamp,
  price,
  reference,
  reference_name,
  reference_quote,
  (price - reference) / reference AS basis
FROM compared
ORDER BY exchange, instrument_type, symbol, timestamp;
