-- Which instruments were listed at a time, those delisted since included?
--
-- Parameters
--   as_of           | time  | UTC | none   | The time; none: the newest observation of the venues.
--   exchange        | text  |     | none   | One venue; none: all.
--   instrument_type | text  |     | none   | spot, perp or future; none: all.
--   asset_class     | class |     | crypto | Class that counts; unknown counts as crypto. all: every class.
--
-- Columns
--   exchange, instrument_type, symbol, base, quote |     | The instrument.
--   status                                         |     | As last seen, not as of the time.
--   listing_time, delisting_time, expiry           | UTC | As far as the venue says.
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
lives AS (
  SELECT
    *,
    status = 'delisted' AND delisting_time IS NULL AS vague,
    CASE WHEN status = 'delisted' THEN coalesce(delisting_time, observed_at) ELSE delisting_time END AS gone
  FROM (instruments ANTI JOIN others USING (exchange, instrument_type, symbol)), moment
)
SELECT
  exchange,
  instrument_type,
  symbol,
  base,
  quote,
  status,
  listing_time,
  delisting_time,
  expiry,
  listing_time IS NOT NULL AND ((NOT vague AND observed_at >= as_of) OR coalesce(delisting_time > as_of, false)) AS certain
FROM lives
WHERE coalesce(listing_time <= as_of, status <> 'pending')
  AND coalesce(gone > as_of, true)
  AND coalesce(expiry > as_of, true)
  AND (getvariable('exchange') IS NULL OR exchange = getvariable('exchange'))
  AND (getvariable('instrument_type') IS NULL OR instrument_type = getvariable('instrument_type'))
ORDER BY exchange, instrument_type, symbol;
