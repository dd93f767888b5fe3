-- Generated from the metric registry and the schema by `python -m cexkit.warehouse.sql_views`; do not edit.
-- liquidation_summary: Liquidations per time bucket and side: how many, how much, and which side prevails.
-- Columns added or given: timestamp, side, events, quantity_base, value_usd, imbalance, coverage.

CREATE OR REPLACE TEMP VIEW liquidations_liquidation_summary AS
SELECT
  "t5"."exchange",
  "t5"."instrument_type",
  "t5"."symbol",
  "t5"."_bucket" AS "timestamp",
  "t5"."_side" AS "side",
  "t5"."events",
  CASE
    WHEN (
      "t5"."_no_quantity" = 0
    ) AND NOT (
      "t5"."_mixed"
    )
    THEN "t5"."_quantity"
    ELSE NULL
  END AS "quantity_base",
  CASE WHEN "t5"."_no_value" = 0 THEN "t5"."_value" ELSE NULL END AS "value_usd",
  CASE
    WHEN (
      "t5"."_unusable" = 0
    ) AND (
      "t5"."_gross" > 0
    )
    THEN "t5"."_net" / "t5"."_gross"
    ELSE NULL
  END AS "imbalance",
  COALESCE(
    CASE WHEN "t5"."_rank" = 0 THEN 'full' ELSE NULL END,
    CASE WHEN "t5"."_rank" = 1 THEN 'throttled' ELSE NULL END,
    CASE WHEN "t5"."_rank" = 2 THEN 'absent' ELSE NULL END
  ) AS "coverage"
FROM (
  SELECT
    "t4"."exchange",
    "t4"."instrument_type",
    "t4"."symbol",
    "t4"."_bucket",
    "t4"."_side",
    "t4"."events",
    "t4"."_quantity",
    "t4"."_no_quantity",
    "t4"."_value",
    "t4"."_no_value",
    MAX("t4"."_rank") OVER (
      PARTITION BY "t4"."exchange", "t4"."instrument_type", "t4"."symbol", "t4"."_bucket"
      ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    ) AS "_rank",
    "t4"."_lowest",
    "t4"."_highest",
    "t4"."_mixed",
    "t4"."_signed",
    COALESCE(
      SUM("t4"."_unusable") OVER (
        PARTITION BY "t4"."exchange", "t4"."instrument_type", "t4"."symbol", "t4"."_bucket"
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
      ),
      0
    ) AS "_unusable",
    COALESCE(
      SUM("t4"."_signed") OVER (
        PARTITION BY "t4"."exchange", "t4"."instrument_type", "t4"."symbol", "t4"."_bucket"
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
      ),
      0
    ) AS "_net",
    COALESCE(
      SUM("t4"."_value") OVER (
        PARTITION BY "t4"."exchange", "t4"."instrument_type", "t4"."symbol", "t4"."_bucket"
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
      ),
      0
    ) AS "_gross"
  FROM (
    SELECT
      "t3"."exchange",
      "t3"."instrument_type",
      "t3"."symbol",
      "t3"."_bucket",
      "t3"."_side",
      "t3"."events",
      "t3"."_quantity",
      "t3"."_no_quantity",
      "t3"."_value",
      "t3"."_no_value",
      "t3"."_rank",
      "t3"."_lowest",
      "t3"."_highest",
      FALSE AS "_mixed",
      CASE
        WHEN "t3"."_side" = 'long'
        THEN "t3"."_value"
        ELSE CASE WHEN "t3"."_side" = 'short' THEN -(
          "t3"."_value"
        ) ELSE NULL END
      END AS "_signed",
      CAST((
        "t3"."_no_value" > 0
      )
      OR NOT (
        COALESCE(
          CASE WHEN "t3"."_side" IS NULL THEN NULL ELSE "t3"."_side" IN ('long', 'short') END,
          FALSE
        )
      ) AS BIGINT) AS "_unusable"
    FROM (
      SELECT
        "t2"."exchange",
        "t2"."instrument_type",
        "t2"."symbol",
        "t2"."_bucket",
        "t2"."_side",
        COUNT(*) AS "events",
        COALESCE(SUM("t2"."_quantity"), 0) AS "_quantity",
        COALESCE(SUM(CAST("t2"."_quantity" IS NULL AS BIGINT)), 0) AS "_no_quantity",
        COALESCE(SUM("t2"."_value"), 0) AS "_value",
        COALESCE(SUM(CAST("t2"."_value" IS NULL AS BIGINT)), 0) AS "_no_value",
        MAX("t2"."_rank") AS "_rank",
        MIN("t2"."_unit_price") AS "_lowest",
        MAX("t2"."_unit_price") AS "_highest"
      FROM (
        SELECT
          "t1"."exchange",
          "t1"."instrument_type",
          "t1"."symbol",
          "t1"."base",
          "t1"."quote",
          "t1"."timestamp",
          "t1"."side",
          "t1"."price",
          "t1"."price_type",
          "t1"."quantity_base",
          "t1"."value_quote",
          "t1"."event",
          "t1"."coverage",
          "t1"."_bucket",
          "t1"."_side",
          "t1"."_value",
          "t1"."_quantity",
          "t1"."_rank",
          CASE WHEN "t1"."_quantity" > 0 THEN "t1"."_value" / "t1"."_quantity" ELSE NULL END AS "_unit_price"
        FROM (
          SELECT
            "t0"."exchange",
            "t0"."instrument_type",
            "t0"."symbol",
            "t0"."base",
            "t0"."quote",
            "t0"."timestamp",
            "t0"."side",
            "t0"."price",
            "t0"."price_type",
            "t0"."quantity_base",
            "t0"."value_quote",
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
            CAST("t0"."side" AS TEXT) AS "_side",
            CASE
              WHEN CASE
                WHEN CAST("t0"."quote" AS TEXT) IS NULL
                THEN NULL
                ELSE CAST("t0"."quote" AS TEXT) IN ('BUSD', 'DAI', 'FDUSD', 'TUSD', 'USD', 'USDC', 'USDP', 'USDT')
              END
              THEN CASE
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
              END
              ELSE NULL
            END AS "_value",
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
            END AS "_quantity",
            COALESCE(
              CASE WHEN CAST("t0"."coverage" AS TEXT) = 'full' THEN 0 ELSE NULL END,
              CASE WHEN CAST("t0"."coverage" AS TEXT) = 'throttled' THEN 1 ELSE NULL END,
              CASE WHEN CAST("t0"."coverage" AS TEXT) = 'absent' THEN 2 ELSE NULL END,
              3
            ) AS "_rank"
          FROM "liquidations" AS "t0"
        ) AS "t1"
      ) AS "t2"
      GROUP BY
        1,
        2,
        3,
        4,
        5
    ) AS "t3"
  ) AS "t4"
) AS "t5"
ORDER BY
  "t5"."exchange" ASC NULLS FIRST,
  "t5"."instrument_type" ASC NULLS FIRST,
  "t5"."symbol" ASC NULLS FIRST,
  "t5"."_bucket" ASC NULLS FIRST,
  "t5"."_side" ASC NULLS FIRST;

CREATE OR REPLACE TEMP VIEW liquidations_1d_liquidation_summary AS
SELECT
  "t5"."exchange",
  "t5"."instrument_type",
  "t5"."symbol",
  "t5"."_bucket" AS "timestamp",
  "t5"."_side" AS "side",
  "t5"."events",
  CASE
    WHEN (
      "t5"."_no_quantity" = 0
    ) AND NOT (
      "t5"."_mixed"
    )
    THEN "t5"."_quantity"
    ELSE NULL
  END AS "quantity_base",
  CASE WHEN "t5"."_no_value" = 0 THEN "t5"."_value" ELSE NULL END AS "value_usd",
  CASE
    WHEN (
      "t5"."_unusable" = 0
    ) AND (
      "t5"."_gross" > 0
    )
    THEN "t5"."_net" / "t5"."_gross"
    ELSE NULL
  END AS "imbalance",
  COALESCE(
    CASE WHEN "t5"."_rank" = 0 THEN 'full' ELSE NULL END,
    CASE WHEN "t5"."_rank" = 1 THEN 'throttled' ELSE NULL END,
    CASE WHEN "t5"."_rank" = 2 THEN 'absent' ELSE NULL END
  ) AS "coverage"
FROM (
  SELECT
    "t4"."exchange",
    "t4"."instrument_type",
    "t4"."symbol",
    "t4"."_bucket",
    "t4"."_side",
    "t4"."events",
    "t4"."_quantity",
    "t4"."_no_quantity",
    "t4"."_value",
    "t4"."_no_value",
    MAX("t4"."_rank") OVER (
      PARTITION BY "t4"."exchange", "t4"."instrument_type", "t4"."symbol", "t4"."_bucket"
      ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    ) AS "_rank",
    "t4"."_lowest",
    "t4"."_highest",
    "t4"."_mixed",
    "t4"."_signed",
    COALESCE(
      SUM("t4"."_unusable") OVER (
        PARTITION BY "t4"."exchange", "t4"."instrument_type", "t4"."symbol", "t4"."_bucket"
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
      ),
      0
    ) AS "_unusable",
    COALESCE(
      SUM("t4"."_signed") OVER (
        PARTITION BY "t4"."exchange", "t4"."instrument_type", "t4"."symbol", "t4"."_bucket"
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
      ),
      0
    ) AS "_net",
    COALESCE(
      SUM("t4"."_value") OVER (
        PARTITION BY "t4"."exchange", "t4"."instrument_type", "t4"."symbol", "t4"."_bucket"
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
      ),
      0
    ) AS "_gross"
  FROM (
    SELECT
      "t3"."exchange",
      "t3"."instrument_type",
      "t3"."symbol",
      "t3"."_bucket",
      "t3"."_side",
      "t3"."events",
      "t3"."_quantity",
      "t3"."_no_quantity",
      "t3"."_value",
      "t3"."_no_value",
      "t3"."_rank",
      "t3"."_lowest",
      "t3"."_highest",
      FALSE AS "_mixed",
      CASE
        WHEN "t3"."_side" = 'long'
        THEN "t3"."_value"
        ELSE CASE WHEN "t3"."_side" = 'short' THEN -(
          "t3"."_value"
        ) ELSE NULL END
      END AS "_signed",
      CAST((
        "t3"."_no_value" > 0
      )
      OR NOT (
        COALESCE(
          CASE WHEN "t3"."_side" IS NULL THEN NULL ELSE "t3"."_side" IN ('long', 'short') END,
          FALSE
        )
      ) AS BIGINT) AS "_unusable"
    FROM (
      SELECT
        "t2"."exchange",
        "t2"."instrument_type",
        "t2"."symbol",
        "t2"."_bucket",
        "t2"."_side",
        COUNT(*) AS "events",
        COALESCE(SUM("t2"."_quantity"), 0) AS "_quantity",
        COALESCE(SUM(CAST("t2"."_quantity" IS NULL AS BIGINT)), 0) AS "_no_quantity",
        COALESCE(SUM("t2"."_value"), 0) AS "_value",
        COALESCE(SUM(CAST("t2"."_value" IS NULL AS BIGINT)), 0) AS "_no_value",
        MAX("t2"."_rank") AS "_rank",
        MIN("t2"."_unit_price") AS "_lowest",
        MAX("t2"."_unit_price") AS "_highest"
      FROM (
        SELECT
          "t1"."exchange",
          "t1"."instrument_type",
          "t1"."symbol",
          "t1"."base",
          "t1"."quote",
          "t1"."timestamp",
          "t1"."side",
          "t1"."events",
          "t1"."quantity_base",
          "t1"."value_quote",
          "t1"."coverage",
          "t1"."_bucket",
          "t1"."_side",
          "t1"."_value",
          "t1"."_quantity",
          "t1"."_rank",
          CASE WHEN "t1"."_quantity" > 0 THEN "t1"."_value" / "t1"."_quantity" ELSE NULL END AS "_unit_price"
        FROM (
          SELECT
            "t0"."exchange",
            "t0"."instrument_type",
            "t0"."symbol",
            "t0"."base",
            "t0"."quote",
            "t0"."timestamp",
            "t0"."side",
            "t0"."events",
            "t0"."quantity_base",
            "t0"."value_quote",
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
            CAST("t0"."side" AS TEXT) AS "_side",
            CASE
              WHEN CASE
                WHEN CAST("t0"."quote" AS TEXT) IS NULL
                THEN NULL
                ELSE CAST("t0"."quote" AS TEXT) IN ('BUSD', 'DAI', 'FDUSD', 'TUSD', 'USD', 'USDC', 'USDP', 'USDT')
              END
              THEN CASE
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
              END
              ELSE NULL
            END AS "_value",
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
            END AS "_quantity",
            COALESCE(
              CASE WHEN CAST("t0"."coverage" AS TEXT) = 'full' THEN 0 ELSE NULL END,
              CASE WHEN CAST("t0"."coverage" AS TEXT) = 'throttled' THEN 1 ELSE NULL END,
              CASE WHEN CAST("t0"."coverage" AS TEXT) = 'absent' THEN 2 ELSE NULL END,
              3
            ) AS "_rank"
          FROM "liquidations_1d" AS "t0"
        ) AS "t1"
      ) AS "t2"
      GROUP BY
        1,
        2,
        3,
        4,
        5
    ) AS "t3"
  ) AS "t4"
) AS "t5"
ORDER BY
  "t5"."exchange" ASC NULLS FIRST,
  "t5"."instrument_type" ASC NULLS FIRST,
  "t5"."symbol" ASC NULLS FIRST,
  "t5"."_bucket" ASC NULLS FIRST,
  "t5"."_side" ASC NULLS FIRST;
