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
  CASE
    WHEN COALESCE("t2"."_least_volume_base" >= 0, TRUE)
    THEN "t2"."volume_base"
    ELSE NULL
  END AS "volume_base",
  CASE
    WHEN COALESCE("t2"."_least_volume_quote" >= 0, TRUE)
    THEN "t2"."volume_quote"
    ELSE NULL
  END AS "volume_quote",
  CAST(CASE WHEN COALESCE("t2"."_least_trades" >= 0, TRUE) THEN "t2"."trades" ELSE NULL END AS BIGINT) AS "trades",
  CASE
    WHEN COALESCE("t2"."_least_taker_buy_volume_base" >= 0, TRUE)
    THEN "t2"."taker_buy_volume_base"
    ELSE NULL
  END AS "taker_buy_volume_base",
  CASE
    WHEN COALESCE("t2"."_least_taker_buy_volume_quote" >= 0, TRUE)
    THEN "t2"."taker_buy_volume_quote"
    ELSE NULL
  END AS "taker_buy_volume_quote",
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
    END AS "multiplier",
    MIN("t1"."_least_volume_base") AS "_least_volume_base",
    MIN("t1"."_least_volume_quote") AS "_least_volume_quote",
    MIN("t1"."_least_trades") AS "_least_trades",
    MIN("t1"."_least_taker_buy_volume_base") AS "_least_taker_buy_volume_base",
    MIN("t1"."_least_taker_buy_volume_quote") AS "_least_taker_buy_volume_quote"
  FROM (
    SELECT
      "t0"."exchange",
      "t0"."instrument_type",
      "t0"."symbol",
      CAST("t0"."base" AS TEXT) AS "base",
      CAST("t0"."quote" AS TEXT) AS "quote",
      "t0"."timestamp",
      CASE
        WHEN CASE
          WHEN ABS(CAST("t0"."open" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."open" AS DOUBLE)
          ELSE NULL
        END > 0
        THEN CASE
          WHEN ABS(CAST("t0"."open" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."open" AS DOUBLE)
          ELSE NULL
        END
        ELSE NULL
      END AS "open",
      CASE
        WHEN CASE
          WHEN ABS(CAST("t0"."high" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."high" AS DOUBLE)
          ELSE NULL
        END > 0
        THEN CASE
          WHEN ABS(CAST("t0"."high" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."high" AS DOUBLE)
          ELSE NULL
        END
        ELSE NULL
      END AS "high",
      CASE
        WHEN CASE
          WHEN ABS(CAST("t0"."low" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."low" AS DOUBLE)
          ELSE NULL
        END > 0
        THEN CASE
          WHEN ABS(CAST("t0"."low" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."low" AS DOUBLE)
          ELSE NULL
        END
        ELSE NULL
      END AS "low",
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
      END AS "close",
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
      END AS "volume_base",
      CASE
        WHEN CASE
          WHEN ABS("t0"."volume_quote") <= 1.7976931348623157e+308
          THEN "t0"."volume_quote"
          ELSE NULL
        END >= 0
        THEN CASE
          WHEN ABS("t0"."volume_quote") <= 1.7976931348623157e+308
          THEN "t0"."volume_quote"
          ELSE NULL
        END
        ELSE NULL
      END AS "volume_quote",
      CASE
        WHEN CASE
          WHEN ABS(CAST("t0"."trades" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."trades" AS DOUBLE)
          ELSE NULL
        END >= 0
        THEN CASE
          WHEN ABS(CAST("t0"."trades" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."trades" AS DOUBLE)
          ELSE NULL
        END
        ELSE NULL
      END AS "trades",
      CASE
        WHEN CASE
          WHEN ABS("t0"."taker_buy_volume_base") <= 1.7976931348623157e+308
          THEN "t0"."taker_buy_volume_base"
          ELSE NULL
        END >= 0
        THEN CASE
          WHEN ABS("t0"."taker_buy_volume_base") <= 1.7976931348623157e+308
          THEN "t0"."taker_buy_volume_base"
          ELSE NULL
        END
        ELSE NULL
      END AS "taker_buy_volume_base",
      CASE
        WHEN CASE
          WHEN ABS("t0"."taker_buy_volume_quote") <= 1.7976931348623157e+308
          THEN "t0"."taker_buy_volume_quote"
          ELSE NULL
        END >= 0
        THEN CASE
          WHEN ABS("t0"."taker_buy_volume_quote") <= 1.7976931348623157e+308
          THEN "t0"."taker_buy_volume_quote"
          ELSE NULL
        END
        ELSE NULL
      END AS "taker_buy_volume_quote",
      CASE
        WHEN CASE
          WHEN ABS("t0"."multiplier") <= 1.7976931348623157e+308
          THEN "t0"."multiplier"
          ELSE NULL
        END > 0
        THEN CASE
          WHEN ABS("t0"."multiplier") <= 1.7976931348623157e+308
          THEN "t0"."multiplier"
          ELSE NULL
        END
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
      ) AS TIMESTAMPTZ) AS "_bucket",
      CASE
        WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."volume_base" AS DOUBLE)
        ELSE NULL
      END AS "_least_volume_base",
      CASE
        WHEN ABS("t0"."volume_quote") <= 1.7976931348623157e+308
        THEN "t0"."volume_quote"
        ELSE NULL
      END AS "_least_volume_quote",
      CASE
        WHEN ABS(CAST("t0"."trades" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."trades" AS DOUBLE)
        ELSE NULL
      END AS "_least_trades",
      CASE
        WHEN ABS("t0"."taker_buy_volume_base") <= 1.7976931348623157e+308
        THEN "t0"."taker_buy_volume_base"
        ELSE NULL
      END AS "_least_taker_buy_volume_base",
      CASE
        WHEN ABS("t0"."taker_buy_volume_quote") <= 1.7976931348623157e+308
        THEN "t0"."taker_buy_volume_quote"
        ELSE NULL
      END AS "_least_taker_buy_volume_quote"
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
  CASE
    WHEN COALESCE("t2"."_least_volume_base" >= 0, TRUE)
    THEN "t2"."volume_base"
    ELSE NULL
  END AS "volume_base",
  CASE
    WHEN COALESCE("t2"."_least_volume_quote" >= 0, TRUE)
    THEN "t2"."volume_quote"
    ELSE NULL
  END AS "volume_quote",
  CAST(CASE WHEN COALESCE("t2"."_least_trades" >= 0, TRUE) THEN "t2"."trades" ELSE NULL END AS BIGINT) AS "trades",
  CASE
    WHEN COALESCE("t2"."_least_taker_buy_volume_base" >= 0, TRUE)
    THEN "t2"."taker_buy_volume_base"
    ELSE NULL
  END AS "taker_buy_volume_base",
  CASE
    WHEN COALESCE("t2"."_least_taker_buy_volume_quote" >= 0, TRUE)
    THEN "t2"."taker_buy_volume_quote"
    ELSE NULL
  END AS "taker_buy_volume_quote",
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
    END AS "multiplier",
    MIN("t1"."_least_volume_base") AS "_least_volume_base",
    MIN("t1"."_least_volume_quote") AS "_least_volume_quote",
    MIN("t1"."_least_trades") AS "_least_trades",
    MIN("t1"."_least_taker_buy_volume_base") AS "_least_taker_buy_volume_base",
    MIN("t1"."_least_taker_buy_volume_quote") AS "_least_taker_buy_volume_quote"
  FROM (
    SELECT
      "t0"."exchange",
      "t0"."instrument_type",
      "t0"."symbol",
      CAST("t0"."base" AS TEXT) AS "base",
      CAST("t0"."quote" AS TEXT) AS "quote",
      "t0"."timestamp",
      CASE
        WHEN CASE
          WHEN ABS(CAST("t0"."open" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."open" AS DOUBLE)
          ELSE NULL
        END > 0
        THEN CASE
          WHEN ABS(CAST("t0"."open" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."open" AS DOUBLE)
          ELSE NULL
        END
        ELSE NULL
      END AS "open",
      CASE
        WHEN CASE
          WHEN ABS(CAST("t0"."high" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."high" AS DOUBLE)
          ELSE NULL
        END > 0
        THEN CASE
          WHEN ABS(CAST("t0"."high" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."high" AS DOUBLE)
          ELSE NULL
        END
        ELSE NULL
      END AS "high",
      CASE
        WHEN CASE
          WHEN ABS(CAST("t0"."low" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."low" AS DOUBLE)
          ELSE NULL
        END > 0
        THEN CASE
          WHEN ABS(CAST("t0"."low" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."low" AS DOUBLE)
          ELSE NULL
        END
        ELSE NULL
      END AS "low",
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
      END AS "close",
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
      END AS "volume_base",
      CASE
        WHEN CASE
          WHEN ABS("t0"."volume_quote") <= 1.7976931348623157e+308
          THEN "t0"."volume_quote"
          ELSE NULL
        END >= 0
        THEN CASE
          WHEN ABS("t0"."volume_quote") <= 1.7976931348623157e+308
          THEN "t0"."volume_quote"
          ELSE NULL
        END
        ELSE NULL
      END AS "volume_quote",
      CASE
        WHEN CASE
          WHEN ABS(CAST("t0"."trades" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."trades" AS DOUBLE)
          ELSE NULL
        END >= 0
        THEN CASE
          WHEN ABS(CAST("t0"."trades" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."trades" AS DOUBLE)
          ELSE NULL
        END
        ELSE NULL
      END AS "trades",
      CASE
        WHEN CASE
          WHEN ABS("t0"."taker_buy_volume_base") <= 1.7976931348623157e+308
          THEN "t0"."taker_buy_volume_base"
          ELSE NULL
        END >= 0
        THEN CASE
          WHEN ABS("t0"."taker_buy_volume_base") <= 1.7976931348623157e+308
          THEN "t0"."taker_buy_volume_base"
          ELSE NULL
        END
        ELSE NULL
      END AS "taker_buy_volume_base",
      CASE
        WHEN CASE
          WHEN ABS("t0"."taker_buy_volume_quote") <= 1.7976931348623157e+308
          THEN "t0"."taker_buy_volume_quote"
          ELSE NULL
        END >= 0
        THEN CASE
          WHEN ABS("t0"."taker_buy_volume_quote") <= 1.7976931348623157e+308
          THEN "t0"."taker_buy_volume_quote"
          ELSE NULL
        END
        ELSE NULL
      END AS "taker_buy_volume_quote",
      CASE
        WHEN CASE
          WHEN ABS("t0"."multiplier") <= 1.7976931348623157e+308
          THEN "t0"."multiplier"
          ELSE NULL
        END > 0
        THEN CASE
          WHEN ABS("t0"."multiplier") <= 1.7976931348623157e+308
          THEN "t0"."multiplier"
          ELSE NULL
        END
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
      ) AS TIMESTAMPTZ) AS "_bucket",
      CASE
        WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."volume_base" AS DOUBLE)
        ELSE NULL
      END AS "_least_volume_base",
      CASE
        WHEN ABS("t0"."volume_quote") <= 1.7976931348623157e+308
        THEN "t0"."volume_quote"
        ELSE NULL
      END AS "_least_volume_quote",
      CASE
        WHEN ABS(CAST("t0"."trades" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."trades" AS DOUBLE)
        ELSE NULL
      END AS "_least_trades",
      CASE
        WHEN ABS("t0"."taker_buy_volume_base") <= 1.7976931348623157e+308
        THEN "t0"."taker_buy_volume_base"
        ELSE NULL
      END AS "_least_taker_buy_volume_base",
      CASE
        WHEN ABS("t0"."taker_buy_volume_quote") <= 1.7976931348623157e+308
        THEN "t0"."taker_buy_volume_quote"
        ELSE NULL
      END AS "_least_taker_buy_volume_quote"
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
  CASE
    WHEN COALESCE("t2"."_least_volume_base" >= 0, TRUE)
    THEN "t2"."volume_base"
    ELSE NULL
  END AS "volume_base",
  CASE
    WHEN COALESCE("t2"."_least_volume_quote" >= 0, TRUE)
    THEN "t2"."volume_quote"
    ELSE NULL
  END AS "volume_quote",
  CAST(CASE WHEN COALESCE("t2"."_least_trades" >= 0, TRUE) THEN "t2"."trades" ELSE NULL END AS BIGINT) AS "trades",
  CASE
    WHEN COALESCE("t2"."_least_taker_buy_volume_base" >= 0, TRUE)
    THEN "t2"."taker_buy_volume_base"
    ELSE NULL
  END AS "taker_buy_volume_base",
  CASE
    WHEN COALESCE("t2"."_least_taker_buy_volume_quote" >= 0, TRUE)
    THEN "t2"."taker_buy_volume_quote"
    ELSE NULL
  END AS "taker_buy_volume_quote",
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
    END AS "multiplier",
    MIN("t1"."_least_volume_base") AS "_least_volume_base",
    MIN("t1"."_least_volume_quote") AS "_least_volume_quote",
    MIN("t1"."_least_trades") AS "_least_trades",
    MIN("t1"."_least_taker_buy_volume_base") AS "_least_taker_buy_volume_base",
    MIN("t1"."_least_taker_buy_volume_quote") AS "_least_taker_buy_volume_quote"
  FROM (
    SELECT
      "t0"."exchange",
      "t0"."instrument_type",
      "t0"."symbol",
      CAST("t0"."base" AS TEXT) AS "base",
      CAST("t0"."quote" AS TEXT) AS "quote",
      "t0"."timestamp",
      CASE
        WHEN CASE
          WHEN ABS(CAST("t0"."open" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."open" AS DOUBLE)
          ELSE NULL
        END > 0
        THEN CASE
          WHEN ABS(CAST("t0"."open" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."open" AS DOUBLE)
          ELSE NULL
        END
        ELSE NULL
      END AS "open",
      CASE
        WHEN CASE
          WHEN ABS(CAST("t0"."high" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."high" AS DOUBLE)
          ELSE NULL
        END > 0
        THEN CASE
          WHEN ABS(CAST("t0"."high" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."high" AS DOUBLE)
          ELSE NULL
        END
        ELSE NULL
      END AS "high",
      CASE
        WHEN CASE
          WHEN ABS(CAST("t0"."low" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."low" AS DOUBLE)
          ELSE NULL
        END > 0
        THEN CASE
          WHEN ABS(CAST("t0"."low" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."low" AS DOUBLE)
          ELSE NULL
        END
        ELSE NULL
      END AS "low",
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
      END AS "close",
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
      END AS "volume_base",
      CASE
        WHEN CASE
          WHEN ABS("t0"."volume_quote") <= 1.7976931348623157e+308
          THEN "t0"."volume_quote"
          ELSE NULL
        END >= 0
        THEN CASE
          WHEN ABS("t0"."volume_quote") <= 1.7976931348623157e+308
          THEN "t0"."volume_quote"
          ELSE NULL
        END
        ELSE NULL
      END AS "volume_quote",
      CASE
        WHEN CASE
          WHEN ABS(CAST("t0"."trades" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."trades" AS DOUBLE)
          ELSE NULL
        END >= 0
        THEN CASE
          WHEN ABS(CAST("t0"."trades" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."trades" AS DOUBLE)
          ELSE NULL
        END
        ELSE NULL
      END AS "trades",
      CASE
        WHEN CASE
          WHEN ABS("t0"."taker_buy_volume_base") <= 1.7976931348623157e+308
          THEN "t0"."taker_buy_volume_base"
          ELSE NULL
        END >= 0
        THEN CASE
          WHEN ABS("t0"."taker_buy_volume_base") <= 1.7976931348623157e+308
          THEN "t0"."taker_buy_volume_base"
          ELSE NULL
        END
        ELSE NULL
      END AS "taker_buy_volume_base",
      CASE
        WHEN CASE
          WHEN ABS("t0"."taker_buy_volume_quote") <= 1.7976931348623157e+308
          THEN "t0"."taker_buy_volume_quote"
          ELSE NULL
        END >= 0
        THEN CASE
          WHEN ABS("t0"."taker_buy_volume_quote") <= 1.7976931348623157e+308
          THEN "t0"."taker_buy_volume_quote"
          ELSE NULL
        END
        ELSE NULL
      END AS "taker_buy_volume_quote",
      CASE
        WHEN CASE
          WHEN ABS("t0"."multiplier") <= 1.7976931348623157e+308
          THEN "t0"."multiplier"
          ELSE NULL
        END > 0
        THEN CASE
          WHEN ABS("t0"."multiplier") <= 1.7976931348623157e+308
          THEN "t0"."multiplier"
          ELSE NULL
        END
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
      ) AS TIMESTAMPTZ) AS "_bucket",
      CASE
        WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."volume_base" AS DOUBLE)
        ELSE NULL
      END AS "_least_volume_base",
      CASE
        WHEN ABS("t0"."volume_quote") <= 1.7976931348623157e+308
        THEN "t0"."volume_quote"
        ELSE NULL
      END AS "_least_volume_quote",
      CASE
        WHEN ABS(CAST("t0"."trades" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."trades" AS DOUBLE)
        ELSE NULL
      END AS "_least_trades",
      CASE
        WHEN ABS("t0"."taker_buy_volume_base") <= 1.7976931348623157e+308
        THEN "t0"."taker_buy_volume_base"
        ELSE NULL
      END AS "_least_taker_buy_volume_base",
      CASE
        WHEN ABS("t0"."taker_buy_volume_quote") <= 1.7976931348623157e+308
        THEN "t0"."taker_buy_volume_quote"
        ELSE NULL
      END AS "_least_taker_buy_volume_quote"
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
        WHEN CASE
          WHEN ABS(CAST("t0"."open" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."open" AS DOUBLE)
          ELSE NULL
        END > 0
        THEN CASE
          WHEN ABS(CAST("t0"."open" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."open" AS DOUBLE)
          ELSE NULL
        END
        ELSE NULL
      END AS "open",
      CASE
        WHEN CASE
          WHEN ABS(CAST("t0"."high" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."high" AS DOUBLE)
          ELSE NULL
        END > 0
        THEN CASE
          WHEN ABS(CAST("t0"."high" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."high" AS DOUBLE)
          ELSE NULL
        END
        ELSE NULL
      END AS "high",
      CASE
        WHEN CASE
          WHEN ABS(CAST("t0"."low" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."low" AS DOUBLE)
          ELSE NULL
        END > 0
        THEN CASE
          WHEN ABS(CAST("t0"."low" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."low" AS DOUBLE)
          ELSE NULL
        END
        ELSE NULL
      END AS "low",
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
      END AS "close",
      CASE
        WHEN CASE
          WHEN ABS("t0"."multiplier") <= 1.7976931348623157e+308
          THEN "t0"."multiplier"
          ELSE NULL
        END > 0
        THEN CASE
          WHEN ABS("t0"."multiplier") <= 1.7976931348623157e+308
          THEN "t0"."multiplier"
          ELSE NULL
        END
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
        WHEN CASE
          WHEN ABS(CAST("t0"."open" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."open" AS DOUBLE)
          ELSE NULL
        END > 0
        THEN CASE
          WHEN ABS(CAST("t0"."open" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."open" AS DOUBLE)
          ELSE NULL
        END
        ELSE NULL
      END AS "open",
      CASE
        WHEN CASE
          WHEN ABS(CAST("t0"."high" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."high" AS DOUBLE)
          ELSE NULL
        END > 0
        THEN CASE
          WHEN ABS(CAST("t0"."high" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."high" AS DOUBLE)
          ELSE NULL
        END
        ELSE NULL
      END AS "high",
      CASE
        WHEN CASE
          WHEN ABS(CAST("t0"."low" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."low" AS DOUBLE)
          ELSE NULL
        END > 0
        THEN CASE
          WHEN ABS(CAST("t0"."low" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."low" AS DOUBLE)
          ELSE NULL
        END
        ELSE NULL
      END AS "low",
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
      END AS "close",
      CASE
        WHEN CASE
          WHEN ABS("t0"."multiplier") <= 1.7976931348623157e+308
          THEN "t0"."multiplier"
          ELSE NULL
        END > 0
        THEN CASE
          WHEN ABS("t0"."multiplier") <= 1.7976931348623157e+308
          THEN "t0"."multiplier"
          ELSE NULL
        END
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
  "t17"."exchange",
  "t17"."instrument_type",
  "t17"."symbol",
  "t17"."_bucket" AS "timestamp",
  "t17"."rows",
  "t17"."base",
  "t17"."quote",
  CASE WHEN "t17"."_lost" = 0 THEN "t17"."funding_rate" ELSE NULL END AS "funding_rate",
  "t17"."mark_price",
  "t17"."index_price"
FROM (
  SELECT
    "t16"."exchange",
    "t16"."instrument_type",
    "t16"."symbol",
    "t16"."_bucket",
    COUNT(*) AS "rows",
    CASE WHEN MIN("t16"."base") = MAX("t16"."base") THEN MIN("t16"."base") ELSE NULL END AS "base",
    CASE
      WHEN MIN("t16"."quote") = MAX("t16"."quote")
      THEN MIN("t16"."quote")
      ELSE NULL
    END AS "quote",
    SUM("t16"."funding_rate") AS "funding_rate",
    FIRST("t16"."mark_price" ORDER BY "t16"."timestamp" DESC) FILTER(WHERE
      "t16"."mark_price" IS NOT NULL) AS "mark_price",
    FIRST("t16"."index_price" ORDER BY "t16"."timestamp" DESC) FILTER(WHERE
      "t16"."index_price" IS NOT NULL) AS "index_price",
    MAX("t16"."_lost") AS "_lost"
  FROM (
    SELECT
      "t15"."exchange",
      "t15"."instrument_type",
      "t15"."symbol",
      CAST("t15"."base" AS TEXT) AS "base",
      CAST("t15"."quote" AS TEXT) AS "quote",
      "t15"."timestamp",
      CASE
        WHEN ABS(CAST("t15"."funding_rate" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t15"."funding_rate" AS DOUBLE)
        ELSE NULL
      END AS "funding_rate",
      "t15"."funding_interval_hours",
      CASE
        WHEN CASE
          WHEN ABS("t15"."mark_price") <= 1.7976931348623157e+308
          THEN "t15"."mark_price"
          ELSE NULL
        END > 0
        THEN CASE
          WHEN ABS("t15"."mark_price") <= 1.7976931348623157e+308
          THEN "t15"."mark_price"
          ELSE NULL
        END
        ELSE NULL
      END AS "mark_price",
      CASE
        WHEN CASE
          WHEN ABS("t15"."index_price") <= 1.7976931348623157e+308
          THEN "t15"."index_price"
          ELSE NULL
        END > 0
        THEN CASE
          WHEN ABS("t15"."index_price") <= 1.7976931348623157e+308
          THEN "t15"."index_price"
          ELSE NULL
        END
        ELSE NULL
      END AS "index_price",
      "t15"."venue_timestamp",
      "t15"."_bucket",
      "t15"."_settled",
      "t15"."_us",
      "t15"."_previous",
      "t15"."_minutes",
      "t15"."_hour",
      "t15"."_distance",
      "t15"."_before",
      "t15"."_before2",
      "t15"."_after",
      "t15"."_after2",
      "t15"."_fits_distance",
      "t15"."_fits_before",
      "t15"."_fits_after",
      "t15"."_fits_after2",
      "t15"."_over_before",
      "t15"."_over_after",
      "t15"."_repeated",
      "t15"."_supported",
      "t15"."_pair",
      "t15"."_pair_before",
      "t15"."_pair_before2",
      "t15"."_pair_after",
      "t15"."_found",
      "t15"."_next",
      "t15"."_derived",
      "t15"."_doubt",
      "t15"."_stated",
      "t15"."_unclear",
      "t15"."_covered",
      "t15"."_missing",
      "t15"."_again",
      "t15"."_begin",
      "t15"."_end",
      "t15"."_earliest",
      "t15"."_latest",
      "t15"."_span",
      "t15"."_lost_before",
      "t15"."_lost_after",
      "t15"."_start",
      "t15"."_next_missing",
      "t15"."_next_span",
      CAST("t15"."_settled"
      AND (
        (
          (
            "t15"."_missing" OR "t15"."_lost_before"
          )
          AND (
            (
              "t15"."_us" - "t15"."_span"
            ) >= "t15"."_start"
          )
        )
        OR (
          COALESCE(
            (
              "t15"."_next_missing" > 0
            )
            AND (
              (
                "t15"."_us" + "t15"."_next_span"
              ) < (
                "t15"."_start" + 86400000000
              )
            ),
            FALSE
          )
          OR (
            "t15"."_lost_after"
            AND (
              (
                "t15"."_us" + "t15"."_span"
              ) < (
                "t15"."_start" + 86400000000
              )
            )
          )
        )
        OR "t15"."_again"
      ) AS BIGINT) AS "_lost"
    FROM (
      SELECT
        "t14"."exchange",
        "t14"."instrument_type",
        "t14"."symbol",
        "t14"."base",
        "t14"."quote",
        "t14"."timestamp",
        "t14"."funding_rate",
        "t14"."funding_interval_hours",
        "t14"."mark_price",
        "t14"."index_price",
        "t14"."venue_timestamp",
        "t14"."_bucket",
        "t14"."_settled",
        "t14"."_us",
        "t14"."_previous",
        "t14"."_minutes",
        "t14"."_hour",
        "t14"."_distance",
        "t14"."_before",
        "t14"."_before2",
        "t14"."_after",
        "t14"."_after2",
        "t14"."_fits_distance",
        "t14"."_fits_before",
        "t14"."_fits_after",
        "t14"."_fits_after2",
        "t14"."_over_before",
        "t14"."_over_after",
        "t14"."_repeated",
        "t14"."_supported",
        "t14"."_pair",
        "t14"."_pair_before",
        "t14"."_pair_before2",
        "t14"."_pair_after",
        "t14"."_found",
        "t14"."_next",
        "t14"."_derived",
        "t14"."_doubt",
        "t14"."_stated",
        "t14"."_unclear",
        "t14"."_covered",
        "t14"."_missing",
        "t14"."_again",
        "t14"."_begin",
        "t14"."_end",
        "t14"."_earliest",
        "t14"."_latest",
        "t14"."_span",
        "t14"."_lost_before",
        "t14"."_lost_after",
        "t14"."_start",
        LAG(CAST("t14"."_missing" AS BIGINT), -1) OVER (
          PARTITION BY "t14"."exchange", "t14"."instrument_type", "t14"."symbol", "t14"."_settled"
          ORDER BY "t14"."timestamp" ASC NULLS FIRST
          ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        ) AS "_next_missing",
        LAG("t14"."_span", -1) OVER (
          PARTITION BY "t14"."exchange", "t14"."instrument_type", "t14"."symbol", "t14"."_settled"
          ORDER BY "t14"."timestamp" ASC NULLS FIRST
          ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        ) AS "_next_span"
      FROM (
        SELECT
          "t13"."exchange",
          "t13"."instrument_type",
          "t13"."symbol",
          "t13"."base",
          "t13"."quote",
          "t13"."timestamp",
          "t13"."funding_rate",
          "t13"."funding_interval_hours",
          "t13"."mark_price",
          "t13"."index_price",
          "t13"."venue_timestamp",
          "t13"."_bucket",
          "t13"."_settled",
          "t13"."_us",
          "t13"."_previous",
          "t13"."_minutes",
          "t13"."_hour",
          "t13"."_distance",
          "t13"."_before",
          "t13"."_before2",
          "t13"."_after",
          "t13"."_after2",
          "t13"."_fits_distance",
          "t13"."_fits_before",
          "t13"."_fits_after",
          "t13"."_fits_after2",
          "t13"."_over_before",
          "t13"."_over_after",
          "t13"."_repeated",
          "t13"."_supported",
          "t13"."_pair",
          "t13"."_pair_before",
          "t13"."_pair_before2",
          "t13"."_pair_after",
          "t13"."_found",
          "t13"."_next",
          "t13"."_derived",
          "t13"."_doubt",
          "t13"."_stated",
          "t13"."_unclear",
          "t13"."_covered",
          "t13"."_missing",
          "t13"."_again",
          "t13"."_begin",
          "t13"."_end",
          "t13"."_earliest",
          "t13"."_latest",
          CAST(COALESCE("t13"."_covered", 8.0) * 3600000000 AS BIGINT) AS "_span",
          COALESCE(
            "t13"."_settled"
            AND (
              (
                "t13"."_us" = "t13"."_earliest"
              )
              AND (
                (
                  "t13"."_us" - CAST(COALESCE("t13"."_covered", 8.0) * 3600000000 AS BIGINT)
                ) > (
                  "t13"."_begin" + 60000000
                )
              )
            ),
            FALSE
          ) AS "_lost_before",
          COALESCE(
            "t13"."_settled"
            AND (
              (
                "t13"."_us" = "t13"."_latest"
              )
              AND (
                (
                  "t13"."_us" + CAST(COALESCE("t13"."_covered", 8.0) * 3600000000 AS BIGINT)
                ) <= (
                  "t13"."_end" + 60000000
                )
              )
            ),
            FALSE
          ) AS "_lost_after",
          DATE_DIFF('MICROSECOND', MAKE_TIMESTAMPTZ(1970, 1, 1, 0, 0, 0.0, 'UTC'), "t13"."_bucket") AS "_start"
        FROM (
          SELECT
            "t12"."exchange",
            "t12"."instrument_type",
            "t12"."symbol",
            "t12"."base",
            "t12"."quote",
            "t12"."timestamp",
            "t12"."funding_rate",
            "t12"."funding_interval_hours",
            "t12"."mark_price",
            "t12"."index_price",
            "t12"."venue_timestamp",
            "t12"."_bucket",
            "t12"."_settled",
            "t12"."_us",
            "t12"."_previous",
            "t12"."_minutes",
            "t12"."_hour",
            "t12"."_distance",
            "t12"."_before",
            "t12"."_before2",
            "t12"."_after",
            "t12"."_after2",
            "t12"."_fits_distance",
            "t12"."_fits_before",
            "t12"."_fits_after",
            "t12"."_fits_after2",
            "t12"."_over_before",
            "t12"."_over_after",
            "t12"."_repeated",
            "t12"."_supported",
            "t12"."_pair",
            "t12"."_pair_before",
            "t12"."_pair_before2",
            "t12"."_pair_after",
            "t12"."_found",
            "t12"."_next",
            "t12"."_derived",
            "t12"."_doubt",
            "t12"."_stated",
            "t12"."_unclear",
            "t12"."_covered",
            "t12"."_missing",
            "t12"."_again",
            MIN("t12"."_us") OVER (
              PARTITION BY "t12"."exchange", "t12"."instrument_type", "t12"."symbol"
              ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
            ) AS "_begin",
            MAX("t12"."_us") OVER (
              PARTITION BY "t12"."exchange", "t12"."instrument_type", "t12"."symbol"
              ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
            ) AS "_end",
            MIN(CASE WHEN "t12"."_settled" THEN "t12"."_us" ELSE NULL END) OVER (
              PARTITION BY "t12"."exchange", "t12"."instrument_type", "t12"."symbol"
              ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
            ) AS "_earliest",
            MAX(CASE WHEN "t12"."_settled" THEN "t12"."_us" ELSE NULL END) OVER (
              PARTITION BY "t12"."exchange", "t12"."instrument_type", "t12"."symbol"
              ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
            ) AS "_latest"
          FROM (
            SELECT
              "t11"."exchange",
              "t11"."instrument_type",
              "t11"."symbol",
              "t11"."base",
              "t11"."quote",
              "t11"."timestamp",
              "t11"."funding_rate",
              "t11"."funding_interval_hours",
              "t11"."mark_price",
              "t11"."index_price",
              "t11"."venue_timestamp",
              "t11"."_bucket",
              "t11"."_settled",
              "t11"."_us",
              "t11"."_previous",
              "t11"."_minutes",
              "t11"."_hour",
              "t11"."_distance",
              "t11"."_before",
              "t11"."_before2",
              "t11"."_after",
              "t11"."_after2",
              "t11"."_fits_distance",
              "t11"."_fits_before",
              "t11"."_fits_after",
              "t11"."_fits_after2",
              "t11"."_over_before",
              "t11"."_over_after",
              "t11"."_repeated",
              "t11"."_supported",
              "t11"."_pair",
              "t11"."_pair_before",
              "t11"."_pair_before2",
              "t11"."_pair_after",
              "t11"."_found",
              "t11"."_next",
              "t11"."_derived",
              "t11"."_doubt",
              "t11"."_stated",
              "t11"."_unclear",
              COALESCE("t11"."_stated", "t11"."_derived") AS "_covered",
              CASE
                WHEN "t11"."_stated" IS NULL
                THEN "t11"."_unclear"
                ELSE COALESCE((
                  "t11"."_minutes" + 1
                ) >= (
                  "t11"."_stated" * 120
                ), FALSE)
              END AS "_missing",
              COALESCE((
                "t11"."_us" - "t11"."_previous"
              ) < 60000000, FALSE) AS "_again"
            FROM (
              SELECT
                "t10"."exchange",
                "t10"."instrument_type",
                "t10"."symbol",
                "t10"."base",
                "t10"."quote",
                "t10"."timestamp",
                "t10"."funding_rate",
                "t10"."funding_interval_hours",
                "t10"."mark_price",
                "t10"."index_price",
                "t10"."venue_timestamp",
                "t10"."_bucket",
                "t10"."_settled",
                "t10"."_us",
                "t10"."_previous",
                "t10"."_minutes",
                "t10"."_hour",
                "t10"."_distance",
                "t10"."_before",
                "t10"."_before2",
                "t10"."_after",
                "t10"."_after2",
                "t10"."_fits_distance",
                "t10"."_fits_before",
                "t10"."_fits_after",
                "t10"."_fits_after2",
                "t10"."_over_before",
                "t10"."_over_after",
                "t10"."_repeated",
                "t10"."_supported",
                "t10"."_pair",
                "t10"."_pair_before",
                "t10"."_pair_before2",
                "t10"."_pair_after",
                COALESCE("t10"."_found", "t10"."_next") AS "_found",
                "t10"."_next",
                CAST(CASE
                  WHEN COALESCE("t10"."_found", "t10"."_next") <> 0
                  THEN ABS(COALESCE("t10"."_found", "t10"."_next"))
                  ELSE NULL
                END AS DOUBLE) / 60 AS "_derived",
                COALESCE(COALESCE("t10"."_found", "t10"."_next") <= 0, FALSE) AS "_doubt",
                CASE
                  WHEN (
                    CASE
                      WHEN ABS("t10"."funding_interval_hours") <= 1.7976931348623157e+308
                      THEN "t10"."funding_interval_hours"
                      ELSE NULL
                    END > 0
                  )
                  AND (
                    CASE
                      WHEN ABS("t10"."funding_interval_hours") <= 1.7976931348623157e+308
                      THEN "t10"."funding_interval_hours"
                      ELSE NULL
                    END <= 24
                  )
                  THEN CASE
                    WHEN ABS("t10"."funding_interval_hours") <= 1.7976931348623157e+308
                    THEN "t10"."funding_interval_hours"
                    ELSE NULL
                  END
                  ELSE NULL
                END AS "_stated",
                COALESCE(
                  NOT (
                    "t10"."_distance" IS NULL
                  )
                  AND (
                    COALESCE("t10"."_found", "t10"."_next") <= 0
                  )
                  AND NOT (
                    (
                      COALESCE("t10"."_found", "t10"."_next") = 0
                    )
                    AND (
                      (
                        "t10"."_distance" <= "t10"."_after"
                      ) AND (
                        "t10"."_distance" <= 480
                      )
                    )
                  ),
                  FALSE
                ) AS "_unclear"
              FROM (
                SELECT
                  "t9"."exchange",
                  "t9"."instrument_type",
                  "t9"."symbol",
                  "t9"."base",
                  "t9"."quote",
                  "t9"."timestamp",
                  "t9"."funding_rate",
                  "t9"."funding_interval_hours",
                  "t9"."mark_price",
                  "t9"."index_price",
                  "t9"."venue_timestamp",
                  "t9"."_bucket",
                  "t9"."_settled",
                  "t9"."_us",
                  "t9"."_previous",
                  "t9"."_minutes",
                  "t9"."_hour",
                  "t9"."_distance",
                  "t9"."_before",
                  "t9"."_before2",
                  "t9"."_after",
                  "t9"."_after2",
                  "t9"."_fits_distance",
                  "t9"."_fits_before",
                  "t9"."_fits_after",
                  "t9"."_fits_after2",
                  "t9"."_over_before",
                  "t9"."_over_after",
                  "t9"."_repeated",
                  "t9"."_supported",
                  "t9"."_pair",
                  "t9"."_pair_before",
                  "t9"."_pair_before2",
                  "t9"."_pair_after",
                  "t9"."_found",
                  LAG("t9"."_found", -1) OVER (
                    PARTITION BY "t9"."exchange", "t9"."instrument_type", "t9"."symbol", "t9"."_settled"
                    ORDER BY "t9"."timestamp" ASC NULLS FIRST
                    ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                  ) AS "_next"
                FROM (
                  SELECT
                    "t8"."exchange",
                    "t8"."instrument_type",
                    "t8"."symbol",
                    "t8"."base",
                    "t8"."quote",
                    "t8"."timestamp",
                    "t8"."funding_rate",
                    "t8"."funding_interval_hours",
                    "t8"."mark_price",
                    "t8"."index_price",
                    "t8"."venue_timestamp",
                    "t8"."_bucket",
                    "t8"."_settled",
                    "t8"."_us",
                    "t8"."_previous",
                    "t8"."_minutes",
                    "t8"."_hour",
                    "t8"."_distance",
                    "t8"."_before",
                    "t8"."_before2",
                    "t8"."_after",
                    "t8"."_after2",
                    "t8"."_fits_distance",
                    "t8"."_fits_before",
                    "t8"."_fits_after",
                    "t8"."_fits_after2",
                    "t8"."_over_before",
                    "t8"."_over_after",
                    "t8"."_repeated",
                    "t8"."_supported",
                    "t8"."_pair",
                    "t8"."_pair_before",
                    "t8"."_pair_before2",
                    "t8"."_pair_after",
                    CASE
                      WHEN "t8"."_over_before" AND (
                        "t8"."_before" = "t8"."_after"
                      )
                      THEN -(
                        "t8"."_before"
                      )
                      ELSE CASE
                        WHEN "t8"."_pair" > 0
                        THEN "t8"."_pair"
                        ELSE CASE
                          WHEN "t8"."_pair_before" > 0
                          THEN "t8"."_pair_before"
                          ELSE CASE
                            WHEN (
                              "t8"."_pair" = 0
                            )
                            OR (
                              "t8"."_pair_before" = 0
                            )
                            OR (
                              (
                                (
                                  ABS((
                                    "t8"."_distance" + "t8"."_before2"
                                  ) - (
                                    "t8"."_before" * 2
                                  )) <= 1
                                )
                                OR (
                                  ABS((
                                    "t8"."_distance" + "t8"."_after2"
                                  ) - (
                                    "t8"."_before" * 2
                                  )) <= 1
                                )
                              )
                              AND (
                                "t8"."_before" = "t8"."_after"
                              )
                              AND "t8"."_fits_before"
                              AND (
                                "t8"."_distance" <> "t8"."_before"
                              )
                            )
                            THEN "t8"."_distance" * 0
                            ELSE CASE
                              WHEN "t8"."_fits_distance"
                              AND (
                                "t8"."_repeated"
                                OR (
                                  "t8"."_supported"
                                  AND NOT (
                                    "t8"."_over_before"
                                  )
                                  AND NOT (
                                    "t8"."_over_after"
                                  )
                                )
                                OR COALESCE(
                                  (
                                    "t8"."_pair_after" = "t8"."_distance"
                                  )
                                  OR (
                                    "t8"."_pair_before2" = "t8"."_distance"
                                  ),
                                  FALSE
                                )
                              )
                              AND NOT (
                                (
                                  "t8"."_distance" = "t8"."_after"
                                )
                                AND (
                                  "t8"."_before" = "t8"."_after2"
                                )
                                AND "t8"."_over_before"
                              )
                              AND NOT (
                                (
                                  "t8"."_distance" = "t8"."_before"
                                )
                                AND (
                                  "t8"."_before2" = "t8"."_after"
                                )
                                AND "t8"."_over_after"
                              )
                              THEN "t8"."_distance"
                              ELSE "t8"."_distance" * 0
                            END
                          END
                        END
                      END
                    END AS "_found"
                  FROM (
                    SELECT
                      "t7"."exchange",
                      "t7"."instrument_type",
                      "t7"."symbol",
                      "t7"."base",
                      "t7"."quote",
                      "t7"."timestamp",
                      "t7"."funding_rate",
                      "t7"."funding_interval_hours",
                      "t7"."mark_price",
                      "t7"."index_price",
                      "t7"."venue_timestamp",
                      "t7"."_bucket",
                      "t7"."_settled",
                      "t7"."_us",
                      "t7"."_previous",
                      "t7"."_minutes",
                      "t7"."_hour",
                      "t7"."_distance",
                      "t7"."_before",
                      "t7"."_before2",
                      "t7"."_after",
                      "t7"."_after2",
                      "t7"."_fits_distance",
                      "t7"."_fits_before",
                      "t7"."_fits_after",
                      "t7"."_fits_after2",
                      "t7"."_over_before",
                      "t7"."_over_after",
                      "t7"."_repeated",
                      "t7"."_supported",
                      "t7"."_pair",
                      LAG("t7"."_pair", 1) OVER (
                        PARTITION BY "t7"."exchange", "t7"."instrument_type", "t7"."symbol", "t7"."_settled"
                        ORDER BY "t7"."timestamp" ASC NULLS FIRST
                        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                      ) AS "_pair_before",
                      LAG("t7"."_pair", 2) OVER (
                        PARTITION BY "t7"."exchange", "t7"."instrument_type", "t7"."symbol", "t7"."_settled"
                        ORDER BY "t7"."timestamp" ASC NULLS FIRST
                        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                      ) AS "_pair_before2",
                      LAG("t7"."_pair", -1) OVER (
                        PARTITION BY "t7"."exchange", "t7"."instrument_type", "t7"."symbol", "t7"."_settled"
                        ORDER BY "t7"."timestamp" ASC NULLS FIRST
                        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                      ) AS "_pair_after"
                    FROM (
                      SELECT
                        "t6"."exchange",
                        "t6"."instrument_type",
                        "t6"."symbol",
                        "t6"."base",
                        "t6"."quote",
                        "t6"."timestamp",
                        "t6"."funding_rate",
                        "t6"."funding_interval_hours",
                        "t6"."mark_price",
                        "t6"."index_price",
                        "t6"."venue_timestamp",
                        "t6"."_bucket",
                        "t6"."_settled",
                        "t6"."_us",
                        "t6"."_previous",
                        "t6"."_minutes",
                        "t6"."_hour",
                        "t6"."_distance",
                        "t6"."_before",
                        "t6"."_before2",
                        "t6"."_after",
                        "t6"."_after2",
                        "t6"."_fits_distance",
                        "t6"."_fits_before",
                        "t6"."_fits_after",
                        "t6"."_fits_after2",
                        "t6"."_fits_before"
                        AND (
                          "t6"."_distance" > "t6"."_before"
                        )
                        AND (
                          (
                            (
                              (
                                "t6"."_distance" % "t6"."_before"
                              ) + "t6"."_before"
                            ) % "t6"."_before"
                          ) = 0
                        ) AS "_over_before",
                        "t6"."_fits_after"
                        AND (
                          "t6"."_distance" > "t6"."_after"
                        )
                        AND (
                          (
                            (
                              (
                                "t6"."_distance" % "t6"."_after"
                              ) + "t6"."_after"
                            ) % "t6"."_after"
                          ) = 0
                        ) AS "_over_after",
                        (
                          "t6"."_distance" = "t6"."_before"
                        ) OR (
                          "t6"."_distance" = "t6"."_after"
                        ) AS "_repeated",
                        (
                          (
                            "t6"."_before" = 0
                          ) AND (
                            "t6"."_after" = 0
                          )
                        )
                        OR "t6"."_fits_before"
                        OR "t6"."_fits_after"
                        OR (
                          (
                            "t6"."_before" > "t6"."_distance"
                          )
                          AND (
                            (
                              (
                                (
                                  "t6"."_before" % "t6"."_distance"
                                ) + "t6"."_distance"
                              ) % "t6"."_distance"
                            ) = 0
                          )
                        )
                        OR (
                          (
                            "t6"."_after" > "t6"."_distance"
                          )
                          AND (
                            (
                              (
                                (
                                  "t6"."_after" % "t6"."_distance"
                                ) + "t6"."_distance"
                              ) % "t6"."_distance"
                            ) = 0
                          )
                        ) AS "_supported",
                        CASE
                          WHEN (
                            "t6"."_distance" > 0
                          )
                          AND (
                            "t6"."_after" > 0
                          )
                          AND (
                            "t6"."_distance" <> "t6"."_after"
                          )
                          AND (
                            "t6"."_distance" <> "t6"."_before"
                          )
                          AND (
                            "t6"."_after" <> "t6"."_after2"
                          )
                          AND "t6"."_fits_before"
                          AND (
                            "t6"."_before" = "t6"."_after2"
                          )
                          AND (
                            ABS((
                              "t6"."_distance" + "t6"."_after"
                            ) - (
                              "t6"."_before" * 2
                            )) <= 1
                          )
                          THEN "t6"."_before"
                          ELSE CASE
                            WHEN (
                              "t6"."_distance" > 0
                            )
                            AND (
                              "t6"."_after" > 0
                            )
                            AND (
                              "t6"."_distance" <> "t6"."_after"
                            )
                            AND (
                              "t6"."_distance" <> "t6"."_before"
                            )
                            AND (
                              "t6"."_after" <> "t6"."_after2"
                            )
                            AND (
                              (
                                (
                                  "t6"."_distance" > 0
                                )
                                AND (
                                  "t6"."_after" > 0
                                )
                                AND (
                                  "t6"."_distance" <> "t6"."_after"
                                )
                                AND (
                                  "t6"."_distance" <> "t6"."_before"
                                )
                                AND (
                                  "t6"."_after" <> "t6"."_after2"
                                )
                                AND "t6"."_fits_before"
                                AND (
                                  "t6"."_before" = "t6"."_after2"
                                )
                                AND (
                                  (
                                    (
                                      (
                                        "t6"."_distance" % "t6"."_before"
                                      ) + "t6"."_before"
                                    ) % "t6"."_before"
                                  ) <> 0
                                )
                                AND (
                                  (
                                    (
                                      (
                                        (
                                          "t6"."_distance" + "t6"."_after" + 1
                                        ) % "t6"."_before"
                                      ) + "t6"."_before"
                                    ) % "t6"."_before"
                                  ) <= 2
                                )
                              )
                              OR (
                                (
                                  "t6"."_fits_before"
                                  AND (
                                    ABS((
                                      "t6"."_distance" + "t6"."_after"
                                    ) - (
                                      "t6"."_before" * 2
                                    )) <= 1
                                  )
                                )
                                OR (
                                  "t6"."_fits_after2"
                                  AND (
                                    ABS((
                                      "t6"."_distance" + "t6"."_after"
                                    ) - (
                                      "t6"."_after2" * 2
                                    )) <= 1
                                  )
                                )
                              )
                              OR (
                                (
                                  "t6"."_before" = 0
                                )
                                AND (
                                  "t6"."_after2" = 0
                                )
                                AND CASE
                                  WHEN (
                                    "t6"."_distance" + "t6"."_after"
                                  ) IS NULL
                                  THEN NULL
                                  ELSE "t6"."_distance" + "t6"."_after" IN (119, 120, 121, 239, 240, 241, 479, 480, 481, 719, 720, 721, 959, 960, 961)
                                END
                              )
                            )
                            THEN "t6"."_distance" * 0
                            ELSE (
                              "t6"."_distance" * 0
                            ) - 1
                          END
                        END AS "_pair"
                      FROM (
                        SELECT
                          "t5"."exchange",
                          "t5"."instrument_type",
                          "t5"."symbol",
                          "t5"."base",
                          "t5"."quote",
                          "t5"."timestamp",
                          "t5"."funding_rate",
                          "t5"."funding_interval_hours",
                          "t5"."mark_price",
                          "t5"."index_price",
                          "t5"."venue_timestamp",
                          "t5"."_bucket",
                          "t5"."_settled",
                          "t5"."_us",
                          "t5"."_previous",
                          "t5"."_minutes",
                          "t5"."_hour",
                          "t5"."_distance",
                          "t5"."_before",
                          "t5"."_before2",
                          "t5"."_after",
                          "t5"."_after2",
                          CASE
                            WHEN "t5"."_distance" IS NULL
                            THEN NULL
                            ELSE "t5"."_distance" IN (60, 120, 240, 360, 480)
                          END AS "_fits_distance",
                          CASE
                            WHEN "t5"."_before" IS NULL
                            THEN NULL
                            ELSE "t5"."_before" IN (60, 120, 240, 360, 480)
                          END AS "_fits_before",
                          CASE
                            WHEN "t5"."_after" IS NULL
                            THEN NULL
                            ELSE "t5"."_after" IN (60, 120, 240, 360, 480)
                          END AS "_fits_after",
                          CASE
                            WHEN "t5"."_after2" IS NULL
                            THEN NULL
                            ELSE "t5"."_after2" IN (60, 120, 240, 360, 480)
                          END AS "_fits_after2"
                        FROM (
                          SELECT
                            "t4"."exchange",
                            "t4"."instrument_type",
                            "t4"."symbol",
                            "t4"."base",
                            "t4"."quote",
                            "t4"."timestamp",
                            "t4"."funding_rate",
                            "t4"."funding_interval_hours",
                            "t4"."mark_price",
                            "t4"."index_price",
                            "t4"."venue_timestamp",
                            "t4"."_bucket",
                            "t4"."_settled",
                            "t4"."_us",
                            "t4"."_previous",
                            "t4"."_minutes",
                            "t4"."_hour",
                            "t4"."_distance",
                            COALESCE(
                              LAG("t4"."_distance", 1) OVER (
                                PARTITION BY "t4"."exchange", "t4"."instrument_type", "t4"."symbol", "t4"."_settled"
                                ORDER BY "t4"."timestamp" ASC NULLS FIRST
                                ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                              ),
                              0
                            ) AS "_before",
                            COALESCE(
                              LAG("t4"."_distance", 2) OVER (
                                PARTITION BY "t4"."exchange", "t4"."instrument_type", "t4"."symbol", "t4"."_settled"
                                ORDER BY "t4"."timestamp" ASC NULLS FIRST
                                ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                              ),
                              0
                            ) AS "_before2",
                            COALESCE(
                              LAG("t4"."_distance", -1) OVER (
                                PARTITION BY "t4"."exchange", "t4"."instrument_type", "t4"."symbol", "t4"."_settled"
                                ORDER BY "t4"."timestamp" ASC NULLS FIRST
                                ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                              ),
                              0
                            ) AS "_after",
                            COALESCE(
                              LAG("t4"."_distance", -2) OVER (
                                PARTITION BY "t4"."exchange", "t4"."instrument_type", "t4"."symbol", "t4"."_settled"
                                ORDER BY "t4"."timestamp" ASC NULLS FIRST
                                ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                              ),
                              0
                            ) AS "_after2"
                          FROM (
                            SELECT
                              "t3"."exchange",
                              "t3"."instrument_type",
                              "t3"."symbol",
                              "t3"."base",
                              "t3"."quote",
                              "t3"."timestamp",
                              "t3"."funding_rate",
                              "t3"."funding_interval_hours",
                              "t3"."mark_price",
                              "t3"."index_price",
                              "t3"."venue_timestamp",
                              "t3"."_bucket",
                              "t3"."_settled",
                              "t3"."_us",
                              "t3"."_previous",
                              "t3"."_minutes",
                              "t3"."_hour",
                              CASE
                                WHEN ABS("t3"."_minutes" - "t3"."_hour") <= 1
                                THEN "t3"."_hour"
                                ELSE "t3"."_minutes"
                              END AS "_distance"
                            FROM (
                              SELECT
                                "t2"."exchange",
                                "t2"."instrument_type",
                                "t2"."symbol",
                                "t2"."base",
                                "t2"."quote",
                                "t2"."timestamp",
                                "t2"."funding_rate",
                                "t2"."funding_interval_hours",
                                "t2"."mark_price",
                                "t2"."index_price",
                                "t2"."venue_timestamp",
                                "t2"."_bucket",
                                "t2"."_settled",
                                "t2"."_us",
                                "t2"."_previous",
                                CASE
                                  WHEN 60000000 <> 0
                                  THEN CAST(FLOOR((
                                    (
                                      "t2"."_us" - "t2"."_previous"
                                    ) + 30000000
                                  ) / (
                                    60000000
                                  )) AS BIGINT)
                                  ELSE NULL
                                END AS "_minutes",
                                CASE
                                  WHEN 60 <> 0
                                  THEN CAST(FLOOR(
                                    (
                                      CASE
                                        WHEN 60000000 <> 0
                                        THEN CAST(FLOOR((
                                          (
                                            "t2"."_us" - "t2"."_previous"
                                          ) + 30000000
                                        ) / (
                                          60000000
                                        )) AS BIGINT)
                                        ELSE NULL
                                      END + 30
                                    ) / (
                                      60
                                    )
                                  ) AS BIGINT)
                                  ELSE NULL
                                END * 60 AS "_hour"
                              FROM (
                                SELECT
                                  "t1"."exchange",
                                  "t1"."instrument_type",
                                  "t1"."symbol",
                                  "t1"."base",
                                  "t1"."quote",
                                  "t1"."timestamp",
                                  "t1"."funding_rate",
                                  "t1"."funding_interval_hours",
                                  "t1"."mark_price",
                                  "t1"."index_price",
                                  "t1"."venue_timestamp",
                                  "t1"."_bucket",
                                  "t1"."_settled",
                                  "t1"."_us",
                                  LAG("t1"."_us", 1) OVER (
                                    PARTITION BY "t1"."exchange", "t1"."instrument_type", "t1"."symbol", "t1"."_settled"
                                    ORDER BY "t1"."timestamp" ASC NULLS FIRST
                                    ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                                  ) AS "_previous"
                                FROM (
                                  SELECT
                                    "t0"."exchange",
                                    "t0"."instrument_type",
                                    "t0"."symbol",
                                    "t0"."base",
                                    "t0"."quote",
                                    "t0"."timestamp",
                                    "t0"."funding_rate",
                                    "t0"."funding_interval_hours",
                                    "t0"."mark_price",
                                    "t0"."index_price",
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
                                    ) AS TIMESTAMPTZ) AS "_bucket",
                                    NOT (
                                      CASE
                                        WHEN ABS(CAST("t0"."funding_rate" AS DOUBLE)) <= 1.7976931348623157e+308
                                        THEN CAST("t0"."funding_rate" AS DOUBLE)
                                        ELSE NULL
                                      END IS NULL
                                    ) AS "_settled",
                                    CASE
                                      WHEN (
                                        DATE_DIFF('MICROSECOND', MAKE_TIMESTAMPTZ(1970, 1, 1, 0, 0, 0.0, 'UTC'), "t0"."timestamp") >= 946684800000000
                                      )
                                      AND (
                                        DATE_DIFF('MICROSECOND', MAKE_TIMESTAMPTZ(1970, 1, 1, 0, 0, 0.0, 'UTC'), "t0"."timestamp") < 7258118400000000
                                      )
                                      THEN DATE_DIFF('MICROSECOND', MAKE_TIMESTAMPTZ(1970, 1, 1, 0, 0, 0.0, 'UTC'), "t0"."timestamp")
                                      ELSE NULL
                                    END AS "_us"
                                  FROM "funding_rates" AS "t0"
                                ) AS "t1"
                              ) AS "t2"
                            ) AS "t3"
                          ) AS "t4"
                        ) AS "t5"
                      ) AS "t6"
                    ) AS "t7"
                  ) AS "t8"
                ) AS "t9"
              ) AS "t10"
            ) AS "t11"
          ) AS "t12"
        ) AS "t13"
      ) AS "t14"
    ) AS "t15"
  ) AS "t16"
  GROUP BY
    1,
    2,
    3,
    4
) AS "t17"
ORDER BY
  "t17"."exchange" ASC NULLS FIRST,
  "t17"."instrument_type" ASC NULLS FIRST,
  "t17"."symbol" ASC NULLS FIRST,
  "t17"."_bucket" ASC NULLS FIRST;

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
        WHEN CASE
          WHEN ABS(CAST("t0"."open_interest_base" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."open_interest_base" AS DOUBLE)
          ELSE NULL
        END >= 0
        THEN CASE
          WHEN ABS(CAST("t0"."open_interest_base" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."open_interest_base" AS DOUBLE)
          ELSE NULL
        END
        ELSE NULL
      END AS "open_interest_base",
      CASE
        WHEN CASE
          WHEN ABS("t0"."open_interest_quote") <= 1.7976931348623157e+308
          THEN "t0"."open_interest_quote"
          ELSE NULL
        END >= 0
        THEN CASE
          WHEN ABS("t0"."open_interest_quote") <= 1.7976931348623157e+308
          THEN "t0"."open_interest_quote"
          ELSE NULL
        END
        ELSE NULL
      END AS "open_interest_quote",
      CASE
        WHEN CASE
          WHEN ABS("t0"."multiplier") <= 1.7976931348623157e+308
          THEN "t0"."multiplier"
          ELSE NULL
        END > 0
        THEN CASE
          WHEN ABS("t0"."multiplier") <= 1.7976931348623157e+308
          THEN "t0"."multiplier"
          ELSE NULL
        END
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
  CASE
    WHEN COALESCE("t2"."_least_quantity_base" >= 0, TRUE)
    THEN "t2"."quantity_base"
    ELSE NULL
  END AS "quantity_base",
  CASE
    WHEN COALESCE("t2"."_least_value_quote" >= 0, TRUE)
    THEN "t2"."value_quote"
    ELSE NULL
  END AS "value_quote",
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
    MIN("t1"."_least_quantity_base") AS "_least_quantity_base",
    MIN("t1"."_least_value_quote") AS "_least_value_quote",
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
        WHEN CASE
          WHEN ABS(CAST("t0"."quantity_base" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."quantity_base" AS DOUBLE)
          ELSE NULL
        END >= 0
        THEN CASE
          WHEN ABS(CAST("t0"."quantity_base" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."quantity_base" AS DOUBLE)
          ELSE NULL
        END
        ELSE NULL
      END AS "quantity_base",
      CASE
        WHEN CASE
          WHEN ABS(CAST("t0"."value_quote" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."value_quote" AS DOUBLE)
          ELSE NULL
        END >= 0
        THEN CASE
          WHEN ABS(CAST("t0"."value_quote" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."value_quote" AS DOUBLE)
          ELSE NULL
        END
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
      CASE
        WHEN ABS(CAST("t0"."quantity_base" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."quantity_base" AS DOUBLE)
        ELSE NULL
      END AS "_least_quantity_base",
      CASE
        WHEN ABS(CAST("t0"."value_quote" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."value_quote" AS DOUBLE)
        ELSE NULL
      END AS "_least_value_quote",
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
  CASE
    WHEN COALESCE("t2"."_least_quantity_base" >= 0, TRUE)
    THEN "t2"."quantity_base"
    ELSE NULL
  END AS "quantity_base",
  CASE
    WHEN COALESCE("t2"."_least_value_quote" >= 0, TRUE)
    THEN "t2"."value_quote"
    ELSE NULL
  END AS "value_quote",
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
    MIN("t1"."_least_quantity_base") AS "_least_quantity_base",
    MIN("t1"."_least_value_quote") AS "_least_value_quote",
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
        WHEN CASE
          WHEN ABS(CAST("t0"."quantity_base" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."quantity_base" AS DOUBLE)
          ELSE NULL
        END >= 0
        THEN CASE
          WHEN ABS(CAST("t0"."quantity_base" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."quantity_base" AS DOUBLE)
          ELSE NULL
        END
        ELSE NULL
      END AS "quantity_base",
      CASE
        WHEN CASE
          WHEN ABS(CAST("t0"."value_quote" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."value_quote" AS DOUBLE)
          ELSE NULL
        END >= 0
        THEN CASE
          WHEN ABS(CAST("t0"."value_quote" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t0"."value_quote" AS DOUBLE)
          ELSE NULL
        END
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
      CASE
        WHEN ABS(CAST("t0"."quantity_base" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."quantity_base" AS DOUBLE)
        ELSE NULL
      END AS "_least_quantity_base",
      CASE
        WHEN ABS(CAST("t0"."value_quote" AS DOUBLE)) <= 1.7976931348623157e+308
        THEN CAST("t0"."value_quote" AS DOUBLE)
        ELSE NULL
      END AS "_least_value_quote",
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
