-- Generated from the metric registry and the schema by `python -m cexkit.warehouse.sql_views`; do not edit.
-- taker_imbalance: Taker buys less taker sells as a fraction of the volume, ``(2 * taker_buy - volume) / volume``.
-- Columns added or given: taker_imbalance.

CREATE OR REPLACE TEMP VIEW ohlcv_1m_taker_imbalance AS
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
    WHEN CASE
      WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
      THEN CAST("t0"."volume_base" AS DOUBLE)
      ELSE NULL
    END > 0
    THEN CASE
      WHEN CASE
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
      END <= (
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
        END * 1.000001
      )
      THEN (
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
        END * 2
      ) - CASE
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
    END / CASE
      WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
      THEN CAST("t0"."volume_base" AS DOUBLE)
      ELSE NULL
    END
    ELSE NULL
  END AS "taker_imbalance"
FROM "ohlcv_1m" AS "t0";

CREATE OR REPLACE TEMP VIEW ohlcv_1h_taker_imbalance AS
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
    WHEN CASE
      WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
      THEN CAST("t0"."volume_base" AS DOUBLE)
      ELSE NULL
    END > 0
    THEN CASE
      WHEN CASE
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
      END <= (
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
        END * 1.000001
      )
      THEN (
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
        END * 2
      ) - CASE
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
    END / CASE
      WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
      THEN CAST("t0"."volume_base" AS DOUBLE)
      ELSE NULL
    END
    ELSE NULL
  END AS "taker_imbalance"
FROM "ohlcv_1h" AS "t0";

CREATE OR REPLACE TEMP VIEW ohlcv_1d_taker_imbalance AS
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
    WHEN CASE
      WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
      THEN CAST("t0"."volume_base" AS DOUBLE)
      ELSE NULL
    END > 0
    THEN CASE
      WHEN CASE
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
      END <= (
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
        END * 1.000001
      )
      THEN (
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
        END * 2
      ) - CASE
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
    END / CASE
      WHEN ABS(CAST("t0"."volume_base" AS DOUBLE)) <= 1.7976931348623157e+308
      THEN CAST("t0"."volume_base" AS DOUBLE)
      ELSE NULL
    END
    ELSE NULL
  END AS "taker_imbalance"
FROM "ohlcv_1d" AS "t0";
