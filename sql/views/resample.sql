-- Generated from the metric registry and the schema by `python -m cexkit.warehouse.sql_views`; do not edit.
-- resample: Longer bars: each column by its declared aggregate, so that a stock is not summed and a flow not averaged.
-- Columns added or given: timestamp, rows.

CREATE OR REPLACE TEMP VIEW ohlcv_1m_resample AS
SELECT
  "t2"."exchange",
  "t2"."instrument_type",
  "t2"."symbol",
  "t2"."_bucket" AS "timestamp",
  "t2"."rows",
  "t2"."base",
  "t2"."quote",
  "t2"."open",
  "t2"."high",
  "t2"."low",
  "t2"."close",
  "t2"."volume_base",
  "t2"."volume_quote",
  CAST("t2"."trades" AS BIGINT) AS "trades",
  "t2"."taker_buy_volume_base",
  "t2"."taker_buy_volume_quote",
  "t2"."multiplier"
FROM (
  SELECT
    "t1"."exchange",
    "t1"."instrument_type",
    "t1"."symbol",
    "t1"."_bucket",
    COUNT(*) AS "rows",
    CASE WHEN MIN("t1"."base") = MAX("t1"."base") THEN MIN("t1"."base") ELSE NULL END AS "base",
    CASE WHEN MIN("t1"."quote") = MAX("t1"."quote") THEN MIN("t1"."quote") ELSE NULL END AS "quote",
    FIRST("t1"."open" ORDER BY "t1"."timestamp") FILTER(WHERE
      "t1"."open" IS NOT NULL) AS "open",
    MAX("t1"."high") AS "high",
    MIN("t1"."low") AS "low",
    FIRST("t1"."close" ORDER BY "t1"."timestamp" DESC) FILTER(WHERE
      "t1"."close" IS NOT NULL) AS "close",
    SUM("t1"."volume_base") AS "volume_base",
    SUM("t1"."volume_quote") AS "volume_quote",
    SUM("t1"."trades") AS "trades",
    SUM("t1"."taker_buy_volume_base") AS "taker_buy_volume_base",
    SUM("t1"."taker_buy_volume_quote") AS "taker_buy_volume_quote",
    CASE
      WHEN MIN("t1"."multiplier") = MAX("t1"."multiplier")
      THEN MIN("t1"."multiplier")
      ELSE NULL
    END AS "multiplier"
  FROM (
    SELECT
      "t0"."exchange",
      "t0"."instrument_type",
      "t0"."symbol",
      CAST("t0"."base" AS TEXT) AS "base",
      CAST("t0"."quote" AS TEXT) AS "quote",
      "t0"."timestamp",
      CASE
        WHEN ABS(CAST("t0"."open" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."open" AS DOUBLE)
        ELSE NULL
      END AS "open",
      CASE
        WHEN ABS(CAST("t0"."high" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."high" AS DOUBLE)
        ELSE NULL
      END AS "high",
      CASE
        WHEN ABS(CAST("t0"."low" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."low" AS DOUBLE)
        ELSE NULL
      END AS "low",
      CASE
        WHEN ABS(CAST("t0"."close" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."close" AS DOUBLE)
        ELSE NULL
      END AS "close",
      CASE
        WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."volume_base" AS DOUBLE)
        ELSE NULL
      END AS "volume_base",
      CASE
        WHEN ABS("t0"."volume_quote") <= 1.7976931348623157e+308
        THEN "t0"."volume_quote"
        ELSE NULL
      END AS "volume_quote",
      CASE
        WHEN ABS(CAST("t0"."trades" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."trades" AS DOUBLE)
        ELSE NULL
      END AS "trades",
      CASE
        WHEN ABS("t0"."taker_buy_volume_base") <= 1.7976931348623157e+308
        THEN "t0"."taker_buy_volume_base"
        ELSE NULL
      END AS "taker_buy_volume_base",
      CASE
        WHEN ABS("t0"."taker_buy_volume_quote") <= 1.7976931348623157e+308
        THEN "t0"."taker_buy_volume_quote"
        ELSE NULL
      END AS "taker_buy_volume_quote",
      CASE
        WHEN ABS("t0"."multiplier") <= 1.7976931348623157e+308
        THEN "t0"."multiplier"
        ELSE NULL
      END AS "multiplier",
      CAST(TO_TIMESTAMP(
        (
          CASE
            WHEN 86400000000 <> 0
            THEN CAST(FLOOR(
              (
                DATE_DIFF('MICROSECOND', MAKE_TIMESTAMPTZ(1970, 1, 1, 0, 0, 0.0, 'UTC'), "t0"."timestamp") - 0
              ) / (
                86400000000
              )
            ) AS BIGINT)
            ELSE NULL
          END * 86400
        ) + 0
      ) AS TIMESTAMPTZ) AS "_bucket"
    FROM "ohlcv_1m" AS "t0"
  ) AS "t1"
  GROUP BY
    1,
    2,
    3,
    4
) AS "t2"
ORDER BY
  "t2"."exchange" ASC NULLS FIRST,
  "t2"."instrument_type" ASC NULLS FIRST,
  "t2"."symbol" ASC NULLS FIRST,
  "t2"."_bucket" ASC NULLS FIRST;

CREATE OR REPLACE TEMP VIEW ohlcv_1h_resample AS
SELECT
  "t2"."exchange",
  "t2"."instrument_type",
  "t2"."symbol",
  "t2"."_bucket" AS "timestamp",
  "t2"."rows",
  "t2"."base",
  "t2"."quote",
  "t2"."open",
  "t2"."high",
  "t2"."low",
  "t2"."close",
  "t2"."volume_base",
  "t2"."volume_quote",
  CAST("t2"."trades" AS BIGINT) AS "trades",
  "t2"."taker_buy_volume_base",
  "t2"."taker_buy_volume_quote",
  "t2"."multiplier"
FROM (
  SELECT
    "t1"."exchange",
    "t1"."instrument_type",
    "t1"."symbol",
    "t1"."_bucket",
    COUNT(*) AS "rows",
    CASE WHEN MIN("t1"."base") = MAX("t1"."base") THEN MIN("t1"."base") ELSE NULL END AS "base",
    CASE WHEN MIN("t1"."quote") = MAX("t1"."quote") THEN MIN("t1"."quote") ELSE NULL END AS "quote",
    FIRST("t1"."open" ORDER BY "t1"."timestamp") FILTER(WHERE
      "t1"."open" IS NOT NULL) AS "open",
    MAX("t1"."high") AS "high",
    MIN("t1"."low") AS "low",
    FIRST("t1"."close" ORDER BY "t1"."timestamp" DESC) FILTER(WHERE
      "t1"."close" IS NOT NULL) AS "close",
    SUM("t1"."volume_base") AS "volume_base",
    SUM("t1"."volume_quote") AS "volume_quote",
    SUM("t1"."trades") AS "trades",
    SUM("t1"."taker_buy_volume_base") AS "taker_buy_volume_base",
    SUM("t1"."taker_buy_volume_quote") AS "taker_buy_volume_quote",
    CASE
      WHEN MIN("t1"."multiplier") = MAX("t1"."multiplier")
      THEN MIN("t1"."multiplier")
      ELSE NULL
    END AS "multiplier"
  FROM (
    SELECT
      "t0"."exchange",
      "t0"."instrument_type",
      "t0"."symbol",
      CAST("t0"."base" AS TEXT) AS "base",
      CAST("t0"."quote" AS TEXT) AS "quote",
      "t0"."timestamp",
      CASE
        WHEN ABS(CAST("t0"."open" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."open" AS DOUBLE)
        ELSE NULL
      END AS "open",
      CASE
        WHEN ABS(CAST("t0"."high" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."high" AS DOUBLE)
        ELSE NULL
      END AS "high",
      CASE
        WHEN ABS(CAST("t0"."low" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."low" AS DOUBLE)
        ELSE NULL
      END AS "low",
      CASE
        WHEN ABS(CAST("t0"."close" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."close" AS DOUBLE)
        ELSE NULL
      END AS "close",
      CASE
        WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."volume_base" AS DOUBLE)
        ELSE NULL
      END AS "volume_base",
      CASE
        WHEN ABS("t0"."volume_quote") <= 1.7976931348623157e+308
        THEN "t0"."volume_quote"
        ELSE NULL
      END AS "volume_quote",
      CASE
        WHEN ABS(CAST("t0"."trades" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."trades" AS DOUBLE)
        ELSE NULL
      END AS "trades",
      CASE
        WHEN ABS("t0"."taker_buy_volume_base") <= 1.7976931348623157e+308
        THEN "t0"."taker_buy_volume_base"
        ELSE NULL
      END AS "taker_buy_volume_base",
      CASE
        WHEN ABS("t0"."taker_buy_volume_quote") <= 1.7976931348623157e+308
        THEN "t0"."taker_buy_volume_quote"
        ELSE NULL
      END AS "taker_buy_volume_quote",
      CASE
        WHEN ABS("t0"."multiplier") <= 1.7976931348623157e+308
        THEN "t0"."multiplier"
        ELSE NULL
      END AS "multiplier",
      CAST(TO_TIMESTAMP(
        (
          CASE
            WHEN 86400000000 <> 0
            THEN CAST(FLOOR(
              (
                DATE_DIFF('MICROSECOND', MAKE_TIMESTAMPTZ(1970, 1, 1, 0, 0, 0.0, 'UTC'), "t0"."timestamp") - 0
              ) / (
                86400000000
              )
            ) AS BIGINT)
            ELSE NULL
          END * 86400
        ) + 0
      ) AS TIMESTAMPTZ) AS "_bucket"
    FROM "ohlcv_1h" AS "t0"
  ) AS "t1"
  GROUP BY
    1,
    2,
    3,
    4
) AS "t2"
ORDER BY
  "t2"."exchange" ASC NULLS FIRST,
  "t2"."instrument_type" ASC NULLS FIRST,
  "t2"."symbol" ASC NULLS FIRST,
  "t2"."_bucket" ASC NULLS FIRST;

CREATE OR REPLACE TEMP VIEW ohlcv_1d_resample AS
SELECT
  "t2"."exchange",
  "t2"."instrument_type",
  "t2"."symbol",
  "t2"."_bucket" AS "timestamp",
  "t2"."rows",
  "t2"."base",
  "t2"."quote",
  "t2"."open",
  "t2"."high",
  "t2"."low",
  "t2"."close",
  "t2"."volume_base",
  "t2"."volume_quote",
  CAST("t2"."trades" AS BIGINT) AS "trades",
  "t2"."taker_buy_volume_base",
  "t2"."taker_buy_volume_quote",
  "t2"."multiplier"
FROM (
  SELECT
    "t1"."exchange",
    "t1"."instrument_type",
    "t1"."symbol",
    "t1"."_bucket",
    COUNT(*) AS "rows",
    CASE WHEN MIN("t1"."base") = MAX("t1"."base") THEN MIN("t1"."base") ELSE NULL END AS "base",
    CASE WHEN MIN("t1"."quote") = MAX("t1"."quote") THEN MIN("t1"."quote") ELSE NULL END AS "quote",
    FIRST("t1"."open" ORDER BY "t1"."timestamp") FILTER(WHERE
      "t1"."open" IS NOT NULL) AS "open",
    MAX("t1"."high") AS "high",
    MIN("t1"."low") AS "low",
    FIRST("t1"."close" ORDER BY "t1"."timestamp" DESC) FILTER(WHERE
      "t1"."close" IS NOT NULL) AS "close",
    SUM("t1"."volume_base") AS "volume_base",
    SUM("t1"."volume_quote") AS "volume_quote",
    SUM("t1"."trades") AS "trades",
    SUM("t1"."taker_buy_volume_base") AS "taker_buy_volume_base",
    SUM("t1"."taker_buy_volume_quote") AS "taker_buy_volume_quote",
    CASE
      WHEN MIN("t1"."multiplier") = MAX("t1"."multiplier")
      THEN MIN("t1"."multiplier")
      ELSE NULL
    END AS "multiplier"
  FROM (
    SELECT
      "t0"."exchange",
      "t0"."instrument_type",
      "t0"."symbol",
      CAST("t0"."base" AS TEXT) AS "base",
      CAST("t0"."quote" AS TEXT) AS "quote",
      "t0"."timestamp",
      CASE
        WHEN ABS(CAST("t0"."open" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."open" AS DOUBLE)
        ELSE NULL
      END AS "open",
      CASE
        WHEN ABS(CAST("t0"."high" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."high" AS DOUBLE)
        ELSE NULL
      END AS "high",
      CASE
        WHEN ABS(CAST("t0"."low" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."low" AS DOUBLE)
        ELSE NULL
      END AS "low",
      CASE
        WHEN ABS(CAST("t0"."close" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."close" AS DOUBLE)
        ELSE NULL
      END AS "close",
      CASE
        WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."volume_base" AS DOUBLE)
        ELSE NULL
      END AS "volume_base",
      CASE
        WHEN ABS("t0"."volume_quote") <= 1.7976931348623157e+308
        THEN "t0"."volume_quote"
        ELSE NULL
      END AS "volume_quote",
      CASE
        WHEN ABS(CAST("t0"."trades" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."trades" AS DOUBLE)
        ELSE NULL
      END AS "trades",
      CASE
        WHEN ABS("t0"."taker_buy_volume_base") <= 1.7976931348623157e+308
        THEN "t0"."taker_buy_volume_base"
        ELSE NULL
      END AS "taker_buy_volume_base",
      CASE
        WHEN ABS("t0"."taker_buy_volume_quote") <= 1.7976931348623157e+308
        THEN "t0"."taker_buy_volume_quote"
        ELSE NULL
      END AS "taker_buy_volume_quote",
      CASE
        WHEN ABS("t0"."multiplier") <= 1.7976931348623157e+308
        THEN "t0"."multiplier"
        ELSE NULL
      END AS "multiplier",
      CAST(TO_TIMESTAMP(
        (
          CASE
            WHEN 86400000000 <> 0
            THEN CAST(FLOOR(
              (
                DATE_DIFF('MICROSECOND', MAKE_TIMESTAMPTZ(1970, 1, 1, 0, 0, 0.0, 'UTC'), "t0"."timestamp") - 0
              ) / (
                86400000000
              )
            ) AS BIGINT)
            ELSE NULL
          END * 86400
        ) + 0
      ) AS TIMESTAMPTZ) AS "_bucket"
    FROM "ohlcv_1d" AS "t0"
  ) AS "t1"
  GROUP BY
    1,
    2,
    3,
    4
) AS "t2"
ORDER BY
  "t2"."exchange" ASC NULLS FIRST,
  "t2"."instrument_type" ASC NULLS FIRST,
  "t2"."symbol" ASC NULLS FIRST,
  "t2"."_bucket" ASC NULLS FIRST;

CREATE OR REPLACE TEMP VIEW mark_1h_resample AS
SELECT
  "t2"."exchange",
  "t2"."instrument_type",
  "t2"."symbol",
  "t2"."_bucket" AS "timestamp",
  "t2"."rows",
  "t2"."base",
  "t2"."quote",
  "t2"."open",
  "t2"."high",
  "t2"."low",
  "t2"."close",
  "t2"."multiplier"
FROM (
  SELECT
    "t1"."exchange",
    "t1"."instrument_type",
    "t1"."symbol",
    "t1"."_bucket",
    COUNT(*) AS "rows",
    CASE WHEN MIN("t1"."base") = MAX("t1"."base") THEN MIN("t1"."base") ELSE NULL END AS "base",
    CASE WHEN MIN("t1"."quote") = MAX("t1"."quote") THEN MIN("t1"."quote") ELSE NULL END AS "quote",
    FIRST("t1"."open" ORDER BY "t1"."timestamp") FILTER(WHERE
      "t1"."open" IS NOT NULL) AS "open",
    MAX("t1"."high") AS "high",
    MIN("t1"."low") AS "low",
    FIRST("t1"."close" ORDER BY "t1"."timestamp" DESC) FILTER(WHERE
      "t1"."close" IS NOT NULL) AS "close",
    CASE
      WHEN MIN("t1"."multiplier") = MAX("t1"."multiplier")
      THEN MIN("t1"."multiplier")
      ELSE NULL
    END AS "multiplier"
  FROM (
    SELECT
      "t0"."exchange",
      "t0"."instrument_type",
      "t0"."symbol",
      CAST("t0"."base" AS TEXT) AS "base",
      CAST("t0"."quote" AS TEXT) AS "quote",
      "t0"."timestamp",
      CASE
        WHEN ABS(CAST("t0"."open" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."open" AS DOUBLE)
        ELSE NULL
      END AS "open",
      CASE
        WHEN ABS(CAST("t0"."high" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."high" AS DOUBLE)
        ELSE NULL
      END AS "high",
      CASE
        WHEN ABS(CAST("t0"."low" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."low" AS DOUBLE)
        ELSE NULL
      END AS "low",
      CASE
        WHEN ABS(CAST("t0"."close" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."close" AS DOUBLE)
        ELSE NULL
      END AS "close",
      CASE
        WHEN ABS("t0"."multiplier") <= 1.7976931348623157e+308
        THEN "t0"."multiplier"
        ELSE NULL
      END AS "multiplier",
      CAST(TO_TIMESTAMP(
        (
          CASE
            WHEN 86400000000 <> 0
            THEN CAST(FLOOR(
              (
                DATE_DIFF('MICROSECOND', MAKE_TIMESTAMPTZ(1970, 1, 1, 0, 0, 0.0, 'UTC'), "t0"."timestamp") - 0
              ) / (
                86400000000
              )
            ) AS BIGINT)
            ELSE NULL
          END * 86400
        ) + 0
      ) AS TIMESTAMPTZ) AS "_bucket"
    FROM "mark_1h" AS "t0"
  ) AS "t1"
  GROUP BY
    1,
    2,
    3,
    4
) AS "t2"
ORDER BY
  "t2"."exchange" ASC NULLS FIRST,
  "t2"."instrument_type" ASC NULLS FIRST,
  "t2"."symbol" ASC NULLS FIRST,
  "t2"."_bucket" ASC NULLS FIRST;

CREATE OR REPLACE TEMP VIEW index_1h_resample AS
SELECT
  "t2"."exchange",
  "t2"."instrument_type",
  "t2"."symbol",
  "t2"."_bucket" AS "timestamp",
  "t2"."rows",
  "t2"."base",
  "t2"."quote",
  "t2"."open",
  "t2"."high",
  "t2"."low",
  "t2"."close",
  "t2"."multiplier"
FROM (
  SELECT
    "t1"."exchange",
    "t1"."instrument_type",
    "t1"."symbol",
    "t1"."_bucket",
    COUNT(*) AS "rows",
    CASE WHEN MIN("t1"."base") = MAX("t1"."base") THEN MIN("t1"."base") ELSE NULL END AS "base",
    CASE WHEN MIN("t1"."quote") = MAX("t1"."quote") THEN MIN("t1"."quote") ELSE NULL END AS "quote",
    FIRST("t1"."open" ORDER BY "t1"."timestamp") FILTER(WHERE
      "t1"."open" IS NOT NULL) AS "open",
    MAX("t1"."high") AS "high",
    MIN("t1"."low") AS "low",
    FIRST("t1"."close" ORDER BY "t1"."timestamp" DESC) FILTER(WHERE
      "t1"."close" IS NOT NULL) AS "close",
    CASE
      WHEN MIN("t1"."multiplier") = MAX("t1"."multiplier")
      THEN MIN("t1"."multiplier")
      ELSE NULL
    END AS "multiplier"
  FROM (
    SELECT
      "t0"."exchange",
      "t0"."instrument_type",
      "t0"."symbol",
      CAST("t0"."base" AS TEXT) AS "base",
      CAST("t0"."quote" AS TEXT) AS "quote",
      "t0"."timestamp",
      CASE
        WHEN ABS(CAST("t0"."open" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."open" AS DOUBLE)
        ELSE NULL
      END AS "open",
      CASE
        WHEN ABS(CAST("t0"."high" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."high" AS DOUBLE)
        ELSE NULL
      END AS "high",
      CASE
        WHEN ABS(CAST("t0"."low" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."low" AS DOUBLE)
        ELSE NULL
      END AS "low",
      CASE
        WHEN ABS(CAST("t0"."close" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."close" AS DOUBLE)
        ELSE NULL
      END AS "close",
      CASE
        WHEN ABS("t0"."multiplier") <= 1.7976931348623157e+308
        THEN "t0"."multiplier"
        ELSE NULL
      END AS "multiplier",
      CAST(TO_TIMESTAMP(
        (
          CASE
            WHEN 86400000000 <> 0
            THEN CAST(FLOOR(
              (
                DATE_DIFF('MICROSECOND', MAKE_TIMESTAMPTZ(1970, 1, 1, 0, 0, 0.0, 'UTC'), "t0"."timestamp") - 0
              ) / (
                86400000000
              )
            ) AS BIGINT)
            ELSE NULL
          END * 86400
        ) + 0
      ) AS TIMESTAMPTZ) AS "_bucket"
    FROM "index_1h" AS "t0"
  ) AS "t1"
  GROUP BY
    1,
    2,
    3,
    4
) AS "t2"
ORDER BY
  "t2"."exchange" ASC NULLS FIRST,
  "t2"."instrument_type" ASC NULLS FIRST,
  "t2"."symbol" ASC NULLS FIRST,
  "t2"."_bucket" ASC NULLS FIRST;

CREATE OR REPLACE TEMP VIEW funding_rates_resample AS
SELECT
  "t2"."exchange",
  "t2"."instrument_type",
  "t2"."symbol",
  "t2"."_bucket" AS "timestamp",
  "t2"."rows",
  "t2"."base",
  "t2"."quote",
  "t2"."funding_rate",
  "t2"."mark_price",
  "t2"."index_price"
FROM (
  SELECT
    "t1"."exchange",
    "t1"."instrument_type",
    "t1"."symbol",
    "t1"."_bucket",
    COUNT(*) AS "rows",
    CASE WHEN MIN("t1"."base") = MAX("t1"."base") THEN MIN("t1"."base") ELSE NULL END AS "base",
    CASE WHEN MIN("t1"."quote") = MAX("t1"."quote") THEN MIN("t1"."quote") ELSE NULL END AS "quote",
    SUM("t1"."funding_rate") AS "funding_rate",
    FIRST("t1"."mark_price" ORDER BY "t1"."timestamp" DESC) FILTER(WHERE
      "t1"."mark_price" IS NOT NULL) AS "mark_price",
    FIRST("t1"."index_price" ORDER BY "t1"."timestamp" DESC) FILTER(WHERE
      "t1"."index_price" IS NOT NULL) AS "index_price"
  FROM (
    SELECT
      "t0"."exchange",
      "t0"."instrument_type",
      "t0"."symbol",
      CAST("t0"."base" AS TEXT) AS "base",
      CAST("t0"."quote" AS TEXT) AS "quote",
      "t0"."timestamp",
      CASE
        WHEN ABS(CAST("t0"."funding_rate" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."funding_rate" AS DOUBLE)
        ELSE NULL
      END AS "funding_rate",
      "t0"."funding_interval_hours",
      CASE
        WHEN ABS("t0"."mark_price") <= 1.7976931348623157e+308
        THEN "t0"."mark_price"
        ELSE NULL
      END AS "mark_price",
      CASE
        WHEN ABS("t0"."index_price") <= 1.7976931348623157e+308
        THEN "t0"."index_price"
        ELSE NULL
      END AS "index_price",
      "t0"."venue_timestamp",
      CAST(TO_TIMESTAMP(
        (
          CASE
            WHEN 86400000000 <> 0
            THEN CAST(FLOOR(
              (
                DATE_DIFF('MICROSECOND', MAKE_TIMESTAMPTZ(1970, 1, 1, 0, 0, 0.0, 'UTC'), "t0"."timestamp") - 0
              ) / (
                86400000000
              )
            ) AS BIGINT)
            ELSE NULL
          END * 86400
        ) + 0
      ) AS TIMESTAMPTZ) AS "_bucket"
    FROM "funding_rates" AS "t0"
  ) AS "t1"
  GROUP BY
    1,
    2,
    3,
    4
) AS "t2"
ORDER BY
  "t2"."exchange" ASC NULLS FIRST,
  "t2"."instrument_type" ASC NULLS FIRST,
  "t2"."symbol" ASC NULLS FIRST,
  "t2"."_bucket" ASC NULLS FIRST;

CREATE OR REPLACE TEMP VIEW open_interest_resample AS
SELECT
  "t2"."exchange",
  "t2"."instrument_type",
  "t2"."symbol",
  "t2"."_bucket" AS "timestamp",
  "t2"."rows",
  "t2"."base",
  "t2"."quote",
  "t2"."open_interest_base",
  "t2"."open_interest_quote",
  "t2"."multiplier"
FROM (
  SELECT
    "t1"."exchange",
    "t1"."instrument_type",
    "t1"."symbol",
    "t1"."_bucket",
    COUNT(*) AS "rows",
    CASE WHEN MIN("t1"."base") = MAX("t1"."base") THEN MIN("t1"."base") ELSE NULL END AS "base",
    CASE WHEN MIN("t1"."quote") = MAX("t1"."quote") THEN MIN("t1"."quote") ELSE NULL END AS "quote",
    FIRST("t1"."open_interest_base" ORDER BY "t1"."timestamp" DESC) FILTER(WHERE
      "t1"."open_interest_base" IS NOT NULL) AS "open_interest_base",
    FIRST("t1"."open_interest_quote" ORDER BY "t1"."timestamp" DESC) FILTER(WHERE
      "t1"."open_interest_quote" IS NOT NULL) AS "open_interest_quote",
    CASE
      WHEN MIN("t1"."multiplier") = MAX("t1"."multiplier")
      THEN MIN("t1"."multiplier")
      ELSE NULL
    END AS "multiplier"
  FROM (
    SELECT
      "t0"."exchange",
      "t0"."instrument_type",
      "t0"."symbol",
      CAST("t0"."base" AS TEXT) AS "base",
      CAST("t0"."quote" AS TEXT) AS "quote",
      "t0"."timestamp",
      CASE
        WHEN ABS(CAST("t0"."open_interest_base" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."open_interest_base" AS DOUBLE)
        ELSE NULL
      END AS "open_interest_base",
      CASE
        WHEN ABS("t0"."open_interest_quote") <= 1.7976931348623157e+308
        THEN "t0"."open_interest_quote"
        ELSE NULL
      END AS "open_interest_quote",
      CASE
        WHEN ABS("t0"."multiplier") <= 1.7976931348623157e+308
        THEN "t0"."multiplier"
        ELSE NULL
      END AS "multiplier",
      CAST(TO_TIMESTAMP(
        (
          CASE
            WHEN 86400000000 <> 0
            THEN CAST(FLOOR(
              (
                DATE_DIFF('MICROSECOND', MAKE_TIMESTAMPTZ(1970, 1, 1, 0, 0, 0.0, 'UTC'), "t0"."timestamp") - 0
              ) / (
                86400000000
              )
            ) AS BIGINT)
            ELSE NULL
          END * 86400
        ) + 0
      ) AS TIMESTAMPTZ) AS "_bucket"
    FROM "open_interest" AS "t0"
  ) AS "t1"
  GROUP BY
    1,
    2,
    3,
    4
) AS "t2"
ORDER BY
  "t2"."exchange" ASC NULLS FIRST,
  "t2"."instrument_type" ASC NULLS FIRST,
  "t2"."symbol" ASC NULLS FIRST,
  "t2"."_bucket" ASC NULLS FIRST;

CREATE OR REPLACE TEMP VIEW liquidations_resample AS
SELECT
  "t2"."exchange",
  "t2"."instrument_type",
  "t2"."symbol",
  "t2"."_bucket" AS "timestamp",
  "t2"."rows",
  "t2"."base",
  "t2"."quote",
  "t2"."quantity_base",
  "t2"."value_quote",
  COALESCE(
    CASE WHEN "t2"."_rank" = 0 THEN 'full' ELSE NULL END,
    CASE WHEN "t2"."_rank" = 1 THEN 'throttled' ELSE NULL END,
    CASE WHEN "t2"."_rank" = 2 THEN 'absent' ELSE NULL END
  ) AS "coverage"
FROM (
  SELECT
    "t1"."exchange",
    "t1"."instrument_type",
    "t1"."symbol",
    "t1"."_bucket",
    COUNT(*) AS "rows",
    CASE WHEN MIN("t1"."base") = MAX("t1"."base") THEN MIN("t1"."base") ELSE NULL END AS "base",
    CASE WHEN MIN("t1"."quote") = MAX("t1"."quote") THEN MIN("t1"."quote") ELSE NULL END AS "quote",
    SUM("t1"."quantity_base") AS "quantity_base",
    SUM("t1"."value_quote") AS "value_quote",
    MAX("t1"."_rank") AS "_rank"
  FROM (
    SELECT
      "t0"."exchange",
      "t0"."instrument_type",
      "t0"."symbol",
      CAST("t0"."base" AS TEXT) AS "base",
      CAST("t0"."quote" AS TEXT) AS "quote",
      "t0"."timestamp",
      "t0"."side",
      "t0"."price",
      "t0"."price_type",
      CASE
        WHEN ABS(CAST("t0"."quantity_base" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."quantity_base" AS DOUBLE)
        ELSE NULL
      END AS "quantity_base",
      CASE
        WHEN ABS(CAST("t0"."value_quote" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."value_quote" AS DOUBLE)
        ELSE NULL
      END AS "value_quote",
      "t0"."event",
      "t0"."coverage",
      CAST(TO_TIMESTAMP(
        (
          CASE
            WHEN 86400000000 <> 0
            THEN CAST(FLOOR(
              (
                DATE_DIFF('MICROSECOND', MAKE_TIMESTAMPTZ(1970, 1, 1, 0, 0, 0.0, 'UTC'), "t0"."timestamp") - 0
              ) / (
                86400000000
              )
            ) AS BIGINT)
            ELSE NULL
          END * 86400
        ) + 0
      ) AS TIMESTAMPTZ) AS "_bucket",
      COALESCE(
        CASE WHEN CAST("t0"."coverage" AS TEXT) = 'full' THEN 0 ELSE NULL END,
        CASE WHEN CAST("t0"."coverage" AS TEXT) = 'throttled' THEN 1 ELSE NULL END,
        CASE WHEN CAST("t0"."coverage" AS TEXT) = 'absent' THEN 2 ELSE NULL END,
        3
      ) AS "_rank"
    FROM "liquidations" AS "t0"
  ) AS "t1"
  GROUP BY
    1,
    2,
    3,
    4
) AS "t2"
ORDER BY
  "t2"."exchange" ASC NULLS FIRST,
  "t2"."instrument_type" ASC NULLS FIRST,
  "t2"."symbol" ASC NULLS FIRST,
  "t2"."_bucket" ASC NULLS FIRST;

CREATE OR REPLACE TEMP VIEW liquidations_1d_resample AS
SELECT
  "t2"."exchange",
  "t2"."instrument_type",
  "t2"."symbol",
  "t2"."_bucket" AS "timestamp",
  "t2"."rows",
  "t2"."base",
  "t2"."quote",
  CAST("t2"."events" AS BIGINT) AS "events",
  "t2"."quantity_base",
  "t2"."value_quote",
  COALESCE(
    CASE WHEN "t2"."_rank" = 0 THEN 'full' ELSE NULL END,
    CASE WHEN "t2"."_rank" = 1 THEN 'throttled' ELSE NULL END,
    CASE WHEN "t2"."_rank" = 2 THEN 'absent' ELSE NULL END
  ) AS "coverage"
FROM (
  SELECT
    "t1"."exchange",
    "t1"."instrument_type",
    "t1"."symbol",
    "t1"."_bucket",
    COUNT(*) AS "rows",
    CASE WHEN MIN("t1"."base") = MAX("t1"."base") THEN MIN("t1"."base") ELSE NULL END AS "base",
    CASE WHEN MIN("t1"."quote") = MAX("t1"."quote") THEN MIN("t1"."quote") ELSE NULL END AS "quote",
    SUM("t1"."events") AS "events",
    SUM("t1"."quantity_base") AS "quantity_base",
    SUM("t1"."value_quote") AS "value_quote",
    MAX("t1"."_rank") AS "_rank"
  FROM (
    SELECT
      "t0"."exchange",
      "t0"."instrument_type",
      "t0"."symbol",
      CAST("t0"."base" AS TEXT) AS "base",
      CAST("t0"."quote" AS TEXT) AS "quote",
      "t0"."timestamp",
      "t0"."side",
      CASE
        WHEN ABS(CAST("t0"."events" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."events" AS DOUBLE)
        ELSE NULL
      END AS "events",
      CASE
        WHEN ABS(CAST("t0"."quantity_base" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."quantity_base" AS DOUBLE)
        ELSE NULL
      END AS "quantity_base",
      CASE
        WHEN ABS(CAST("t0"."value_quote" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."value_quote" AS DOUBLE)
        ELSE NULL
      END AS "value_quote",
      "t0"."coverage",
      CAST(TO_TIMESTAMP(
        (
          CASE
            WHEN 86400000000 <> 0
            THEN CAST(FLOOR(
              (
                DATE_DIFF('MICROSECOND', MAKE_TIMESTAMPTZ(1970, 1, 1, 0, 0, 0.0, 'UTC'), "t0"."timestamp") - 0
              ) / (
                86400000000
              )
            ) AS BIGINT)
            ELSE NULL
          END * 86400
        ) + 0
      ) AS TIMESTAMPTZ) AS "_bucket",
      COALESCE(
        CASE WHEN CAST("t0"."coverage" AS TEXT) = 'full' THEN 0 ELSE NULL END,
        CASE WHEN CAST("t0"."coverage" AS TEXT) = 'throttled' THEN 1 ELSE NULL END,
        CASE WHEN CAST("t0"."coverage" AS TEXT) = 'absent' THEN 2 ELSE NULL END,
        3
      ) AS "_rank"
    FROM "liquidations_1d" AS "t0"
  ) AS "t1"
  GROUP BY
    1,
    2,
    3,
    4
) AS "t2"
ORDER BY
  "t2"."exchange" ASC NULLS FIRST,
  "t2"."instrument_type" ASC NULLS FIRST,
  "t2"."symbol" ASC NULLS FIRST,
  "t2"."_bucket" ASC NULLS FIRST;
