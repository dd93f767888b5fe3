-- Generated from the metric registry and the schema by `python -m cexkit.warehouse.sql_views`; do not edit.
-- vwap: Average price per bucket, weighted by volume: ``sum(price * volume) / sum(volume)``.
-- Columns added or given: timestamp, vwap, volume.

CREATE OR REPLACE TEMP VIEW ohlcv_1m_vwap AS
SELECT
  "t2"."exchange",
  "t2"."instrument_type",
  "t2"."symbol",
  "t2"."_bucket" AS "timestamp",
  CASE WHEN "t2"."_weight" > 0 THEN "t2"."_value" / "t2"."_weight" ELSE NULL END AS "vwap",
  "t2"."_weight" AS "volume"
FROM (
  SELECT
    "t1"."exchange",
    "t1"."instrument_type",
    "t1"."symbol",
    "t1"."_bucket",
    COALESCE(SUM("t1"."_weight"), 0) AS "_weight",
    COALESCE(SUM("t1"."_value"), 0) AS "_value"
  FROM (
    SELECT
      "t0"."exchange",
      "t0"."instrument_type",
      "t0"."symbol",
      "t0"."base",
      "t0"."quote",
      "t0"."timestamp",
      "t0"."open",
      "t0"."high",
      "t0"."low",
      "t0"."close",
      "t0"."volume_base",
      "t0"."volume_quote",
      "t0"."trades",
      "t0"."taker_buy_volume_base",
      "t0"."taker_buy_volume_quote",
      "t0"."multiplier",
      CASE
        WHEN NOT (
          CASE
            WHEN CASE
              WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
              THEN CAST("t0"."volume_base" AS DOUBLE)
              ELSE NULL
            END >= 0
            THEN CASE
              WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
              THEN CAST("t0"."volume_base" AS DOUBLE)
              ELSE NULL
            END
            ELSE NULL
          END IS NULL
        )
        AND NOT (
          CASE
            WHEN CASE
              WHEN ABS(CAST("t0"."close" AS DOUBLE)) <= 1.7976931348623157e+308
              THEN CAST("t0"."close" AS DOUBLE)
              ELSE NULL
            END > 0
            THEN CASE
              WHEN ABS(CAST("t0"."close" AS DOUBLE)) <= 1.7976931348623157e+308
              THEN CAST("t0"."close" AS DOUBLE)
              ELSE NULL
            END
            ELSE NULL
          END IS NULL
        )
        THEN CASE
          WHEN CASE
            WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
            THEN CAST("t0"."volume_base" AS DOUBLE)
            ELSE NULL
          END >= 0
          THEN CASE
            WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
            THEN CAST("t0"."volume_base" AS DOUBLE)
            ELSE NULL
          END
          ELSE NULL
        END
        ELSE NULL
      END AS "_weight",
      CASE
        WHEN NOT (
          CASE
            WHEN CASE
              WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
              THEN CAST("t0"."volume_base" AS DOUBLE)
              ELSE NULL
            END >= 0
            THEN CASE
              WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
              THEN CAST("t0"."volume_base" AS DOUBLE)
              ELSE NULL
            END
            ELSE NULL
          END IS NULL
        )
        AND NOT (
          CASE
            WHEN CASE
              WHEN ABS(CAST("t0"."close" AS DOUBLE)) <= 1.7976931348623157e+308
              THEN CAST("t0"."close" AS DOUBLE)
              ELSE NULL
            END > 0
            THEN CASE
              WHEN ABS(CAST("t0"."close" AS DOUBLE)) <= 1.7976931348623157e+308
              THEN CAST("t0"."close" AS DOUBLE)
              ELSE NULL
            END
            ELSE NULL
          END IS NULL
        )
        THEN CASE
          WHEN CASE
            WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
            THEN CAST("t0"."volume_base" AS DOUBLE)
            ELSE NULL
          END >= 0
          THEN CASE
            WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
            THEN CAST("t0"."volume_base" AS DOUBLE)
            ELSE NULL
          END
          ELSE NULL
        END * CASE
          WHEN CASE
            WHEN ABS(CAST("t0"."close" AS DOUBLE)) <= 1.7976931348623157e+308
            THEN CAST("t0"."close" AS DOUBLE)
            ELSE NULL
          END > 0
          THEN CASE
            WHEN ABS(CAST("t0"."close" AS DOUBLE)) <= 1.7976931348623157e+308
            THEN CAST("t0"."close" AS DOUBLE)
            ELSE NULL
          END
          ELSE NULL
        END
        ELSE NULL
      END AS "_value",
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

CREATE OR REPLACE TEMP VIEW ohlcv_1h_vwap AS
SELECT
  "t2"."exchange",
  "t2"."instrument_type",
  "t2"."symbol",
  "t2"."_bucket" AS "timestamp",
  CASE WHEN "t2"."_weight" > 0 THEN "t2"."_value" / "t2"."_weight" ELSE NULL END AS "vwap",
  "t2"."_weight" AS "volume"
FROM (
  SELECT
    "t1"."exchange",
    "t1"."instrument_type",
    "t1"."symbol",
    "t1"."_bucket",
    COALESCE(SUM("t1"."_weight"), 0) AS "_weight",
    COALESCE(SUM("t1"."_value"), 0) AS "_value"
  FROM (
    SELECT
      "t0"."exchange",
      "t0"."instrument_type",
      "t0"."symbol",
      "t0"."base",
      "t0"."quote",
      "t0"."timestamp",
      "t0"."open",
      "t0"."high",
      "t0"."low",
      "t0"."close",
      "t0"."volume_base",
      "t0"."volume_quote",
      "t0"."trades",
      "t0"."taker_buy_volume_base",
      "t0"."taker_buy_volume_quote",
      "t0"."multiplier",
      CASE
        WHEN NOT (
          CASE
            WHEN CASE
              WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
              THEN CAST("t0"."volume_base" AS DOUBLE)
              ELSE NULL
            END >= 0
            THEN CASE
              WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
              THEN CAST("t0"."volume_base" AS DOUBLE)
              ELSE NULL
            END
            ELSE NULL
          END IS NULL
        )
        AND NOT (
          CASE
            WHEN CASE
              WHEN ABS(CAST("t0"."close" AS DOUBLE)) <= 1.7976931348623157e+308
              THEN CAST("t0"."close" AS DOUBLE)
              ELSE NULL
            END > 0
            THEN CASE
              WHEN ABS(CAST("t0"."close" AS DOUBLE)) <= 1.7976931348623157e+308
              THEN CAST("t0"."close" AS DOUBLE)
              ELSE NULL
            END
            ELSE NULL
          END IS NULL
        )
        THEN CASE
          WHEN CASE
            WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
            THEN CAST("t0"."volume_base" AS DOUBLE)
            ELSE NULL
          END >= 0
          THEN CASE
            WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
            THEN CAST("t0"."volume_base" AS DOUBLE)
            ELSE NULL
          END
          ELSE NULL
        END
        ELSE NULL
      END AS "_weight",
      CASE
        WHEN NOT (
          CASE
            WHEN CASE
              WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
              THEN CAST("t0"."volume_base" AS DOUBLE)
              ELSE NULL
            END >= 0
            THEN CASE
              WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
              THEN CAST("t0"."volume_base" AS DOUBLE)
              ELSE NULL
            END
            ELSE NULL
          END IS NULL
        )
        AND NOT (
          CASE
            WHEN CASE
              WHEN ABS(CAST("t0"."close" AS DOUBLE)) <= 1.7976931348623157e+308
              THEN CAST("t0"."close" AS DOUBLE)
              ELSE NULL
            END > 0
            THEN CASE
              WHEN ABS(CAST("t0"."close" AS DOUBLE)) <= 1.7976931348623157e+308
              THEN CAST("t0"."close" AS DOUBLE)
              ELSE NULL
            END
            ELSE NULL
          END IS NULL
        )
        THEN CASE
          WHEN CASE
            WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
            THEN CAST("t0"."volume_base" AS DOUBLE)
            ELSE NULL
          END >= 0
          THEN CASE
            WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
            THEN CAST("t0"."volume_base" AS DOUBLE)
            ELSE NULL
          END
          ELSE NULL
        END * CASE
          WHEN CASE
            WHEN ABS(CAST("t0"."close" AS DOUBLE)) <= 1.7976931348623157e+308
            THEN CAST("t0"."close" AS DOUBLE)
            ELSE NULL
          END > 0
          THEN CASE
            WHEN ABS(CAST("t0"."close" AS DOUBLE)) <= 1.7976931348623157e+308
            THEN CAST("t0"."close" AS DOUBLE)
            ELSE NULL
          END
          ELSE NULL
        END
        ELSE NULL
      END AS "_value",
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

CREATE OR REPLACE TEMP VIEW ohlcv_1d_vwap AS
SELECT
  "t2"."exchange",
  "t2"."instrument_type",
  "t2"."symbol",
  "t2"."_bucket" AS "timestamp",
  CASE WHEN "t2"."_weight" > 0 THEN "t2"."_value" / "t2"."_weight" ELSE NULL END AS "vwap",
  "t2"."_weight" AS "volume"
FROM (
  SELECT
    "t1"."exchange",
    "t1"."instrument_type",
    "t1"."symbol",
    "t1"."_bucket",
    COALESCE(SUM("t1"."_weight"), 0) AS "_weight",
    COALESCE(SUM("t1"."_value"), 0) AS "_value"
  FROM (
    SELECT
      "t0"."exchange",
      "t0"."instrument_type",
      "t0"."symbol",
      "t0"."base",
      "t0"."quote",
      "t0"."timestamp",
      "t0"."open",
      "t0"."high",
      "t0"."low",
      "t0"."close",
      "t0"."volume_base",
      "t0"."volume_quote",
      "t0"."trades",
      "t0"."taker_buy_volume_base",
      "t0"."taker_buy_volume_quote",
      "t0"."multiplier",
      CASE
        WHEN NOT (
          CASE
            WHEN CASE
              WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
              THEN CAST("t0"."volume_base" AS DOUBLE)
              ELSE NULL
            END >= 0
            THEN CASE
              WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
              THEN CAST("t0"."volume_base" AS DOUBLE)
              ELSE NULL
            END
            ELSE NULL
          END IS NULL
        )
        AND NOT (
          CASE
            WHEN CASE
              WHEN ABS(CAST("t0"."close" AS DOUBLE)) <= 1.7976931348623157e+308
              THEN CAST("t0"."close" AS DOUBLE)
              ELSE NULL
            END > 0
            THEN CASE
              WHEN ABS(CAST("t0"."close" AS DOUBLE)) <= 1.7976931348623157e+308
              THEN CAST("t0"."close" AS DOUBLE)
              ELSE NULL
            END
            ELSE NULL
          END IS NULL
        )
        THEN CASE
          WHEN CASE
            WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
            THEN CAST("t0"."volume_base" AS DOUBLE)
            ELSE NULL
          END >= 0
          THEN CASE
            WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
            THEN CAST("t0"."volume_base" AS DOUBLE)
            ELSE NULL
          END
          ELSE NULL
        END
        ELSE NULL
      END AS "_weight",
      CASE
        WHEN NOT (
          CASE
            WHEN CASE
              WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
              THEN CAST("t0"."volume_base" AS DOUBLE)
              ELSE NULL
            END >= 0
            THEN CASE
              WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
              THEN CAST("t0"."volume_base" AS DOUBLE)
              ELSE NULL
            END
            ELSE NULL
          END IS NULL
        )
        AND NOT (
          CASE
            WHEN CASE
              WHEN ABS(CAST("t0"."close" AS DOUBLE)) <= 1.7976931348623157e+308
              THEN CAST("t0"."close" AS DOUBLE)
              ELSE NULL
            END > 0
            THEN CASE
              WHEN ABS(CAST("t0"."close" AS DOUBLE)) <= 1.7976931348623157e+308
              THEN CAST("t0"."close" AS DOUBLE)
              ELSE NULL
            END
            ELSE NULL
          END IS NULL
        )
        THEN CASE
          WHEN CASE
            WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
            THEN CAST("t0"."volume_base" AS DOUBLE)
            ELSE NULL
          END >= 0
          THEN CASE
            WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
            THEN CAST("t0"."volume_base" AS DOUBLE)
            ELSE NULL
          END
          ELSE NULL
        END * CASE
          WHEN CASE
            WHEN ABS(CAST("t0"."close" AS DOUBLE)) <= 1.7976931348623157e+308
            THEN CAST("t0"."close" AS DOUBLE)
            ELSE NULL
          END > 0
          THEN CASE
            WHEN ABS(CAST("t0"."close" AS DOUBLE)) <= 1.7976931348623157e+308
            THEN CAST("t0"."close" AS DOUBLE)
            ELSE NULL
          END
          ELSE NULL
        END
        ELSE NULL
      END AS "_value",
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
