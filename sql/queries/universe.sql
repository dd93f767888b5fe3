-- Which instruments were listed at a time, those delisted since included?
--
-- Parameters
--   as_of           | time  | UTC | none   | The time; none: the newest observation of the venues.
--   exchange        | text  |     | none   | One venue; none: all.
--   instrument_type | text  |     | none   | spot, perp or future; none: all.
--   asset_class     | class |     | crypto | Class that counts; unknown counts as crypto. all: every class.
--
-- Columns
--   exchange, instrument_type, symbol              |     | The instrument.
--   base, quote, status                            |     | At the time, as far as lists of the venue show it.
--   listing_time, delisting_time, expiry           | UTC | Of the listing in which the time lies, as far as the venue says.
--   certain                                        |     | Whether beginning and end are known well enough to be sure.
WITH moment AS (
  SELECT coalesce(CAST(getvariable('as_of') AS TIMESTAMPTZ), max(observed_at)) AS as_of FROM instruments
),
others AS (
  SELECT exchange, instrument_type, symbol
  FROM instruments
  WHERE CASE coalesce(getvariable('asset_class'), 'crypto')
    WHEN 'all' THEN false
    WHEN 'crypto' THEN asset_class IN ('equity', 'commodity', 'fx', 'bond', 'index')
    ELSE asset_class IS DISTINCT FROM getvariable('asset_class') END
),
-- Spans of facts; an instrument without periods has one, with the facts as last seen.
spans AS (
  SELECT
    seen.exchange,
    seen.instrument_type,
    seen.symbol,
    seen.observed_at,
    span.valid_from,
    span.valid_to,
    CASE WHEN span.symbol IS NULL THEN seen.base ELSE span.base END AS base,
    CASE WHEN span.symbol IS NULL THEN seen.quote ELSE span.quote END AS quote,
    CASE WHEN span.symbol IS NULL THEN seen.status ELSE span.status END AS status,
    CASE WHEN span.symbol IS NULL THEN seen.listing_time ELSE span.listing_time END AS listing_time,
    CASE WHEN span.symbol IS NULL THEN seen.delisting_time ELSE span.delisting_time END AS delisting_time,
    CASE WHEN span.symbol IS NULL THEN seen.expiry ELSE span.expiry END AS expiry
  FROM (SELECT * FROM instruments ANTI JOIN others USING (exchange, instrument_type, symbol)) AS seen
  LEFT JOIN instrument_periods AS span USING (exchange, instrument_type, symbol)
),
placed AS (
  SELECT
    *,
    row_number() OVER span_order AS place,
    lag(valid_from) OVER span_order AS previous_from,
    lead(status) OVER span_order AS next_status,
    lead(delisting_time) OVER span_order AS next_end
  FROM spans
  WINDOW span_order AS (PARTITION BY exchange, instrument_type, symbol ORDER BY valid_from)
),
judged AS (
  SELECT
    *,
    coalesce(valid_from <= as_of, true) AS begun,
    CASE WHEN listing_time IS NULL THEN place = 1 OR previous_from <= as_of ELSE listing_time <= as_of END
    AND NOT (status = 'pending' AND listing_time IS NULL)
    AND coalesce(delisting_time > as_of, true)
    AND coalesce(expiry > as_of, true)
    AND CASE
      -- The list that first shows an instrument as delisted may not say when that was.
      WHEN status = 'delisted'
        THEN delisting_time IS NOT NULL OR CASE WHEN place = 1 THEN observed_at ELSE valid_from END > as_of
      -- The next list may show that the instrument was delisted before it.
      ELSE coalesce(valid_to > as_of, true) AND NOT coalesce(next_status = 'delisted' AND next_end <= as_of, false)
    END AS listed
  FROM placed, moment
),
listings AS (
  SELECT * FROM judged WHERE listed
  QUALIFY row_number() OVER (PARTITION BY exchange, instrument_type, symbol ORDER BY valid_from DESC) = 1
),
facts AS (
  SELECT * FROM judged
  QUALIFY row_number() OVER (
    PARTITION BY exchange, instrument_type, symbol ORDER BY begun DESC, CASE WHEN begun THEN -place ELSE place END
  ) = 1
)
SELECT
  exchange,
  instrument_type,
  symbol,
  facts.base,
  facts.quote,
  facts.status,
  listings.listing_time,
  listings.delisting_time,
  listings.expiry,
  listings.listing_time IS NOT NULL
  AND (
    (
      NOT (listings.status = 'delisted' AND listings.delisting_time IS NULL)
      AND listings.observed_at >= listings.as_of
    )
    OR coalesce(listings.delisting_time > listings.as_of, false)
  ) AS certain
FROM facts
INNER JOIN listings USING (exchange, instrument_type, symbol)
WHERE (getvariable('exchange') IS NULL OR exchange = getvariable('exchange'))
  AND (getvariable('instrument_type') IS NULL OR instrument_type = getvariable('instrument_type'))
ORDER BY exchange, instrument_type, symbol;
