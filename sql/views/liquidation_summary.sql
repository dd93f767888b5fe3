-- Generated from the metric registry and the schema by `python -m cexkit.warehouse.sql_views`; do not edit.
-- liquidation_summary: Liquidations per time bucket and side: how many, how much, and which side prevails.
-- Columns added or given: timestamp, side, events, quantity_base, value_usd, imbalance, coverage.

CREATE OR REPLACE TEMP VIEW liquidations_liquidation_summary AS
SELECT
  "t7"."exchange",
  "t7"."instrument_type",
  "t7"."symbol",
  "t7"."_bucket" AS "timestamp",
  "t7"."_side" AS "side",
  "t7"."events",
  CASE
    WHEN (
      "t7"."_no_quantity" = 0
    ) AND NOT (
      "t7"."_mixed"
    )
    THEN "t7"."_quantity"
    ELSE NULL
  END AS "quantity_base",
  CASE WHEN "t7"."_no_value" = 0 THEN "t7"."_value" ELSE NULL END AS "value_usd",
  CASE
    WHEN (
      "t7"."_unusable" = 0
    ) AND (
      "t7"."_gross" > 0
    )
    THEN "t7"."_net" / "t7"."_gross"
    ELSE NULL
  END AS "imbalance",
  COALESCE(
    CASE WHEN "t7"."_rank" = 0 THEN 'full' ELSE NULL END,
    CASE WHEN "t7"."_rank" = 1 THEN 'throttled' ELSE NULL END,
    CASE WHEN "t7"."_rank" = 2 THEN 'absent' ELSE NULL END
  ) AS "coverage"
FROM (
  SELECT
    "t6"."exchange",
    "t6"."instrument_type",
    "t6"."symbol",
    "t6"."_bucket",
    "t6"."_side",
    "t6"."events",
    "t6"."_quantity",
    "t6"."_no_quantity",
    "t6"."_value",
    "t6"."_no_value",
    MAX("t6"."_rank") OVER (
      PARTITION BY "t6"."exchange", "t6"."instrument_type", "t6"."symbol", "t6"."_bucket"
      ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    ) AS "_rank",
    "t6"."_lowest",
    "t6"."_highest",
    "t6"."_mixed",
    "t6"."_signed",
    COALESCE(
      SUM("t6"."_unusable") OVER (
        PARTITION BY "t6"."exchange", "t6"."instrument_type", "t6"."symbol", "t6"."_bucket"
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
      ),
      0
    ) AS "_unusable",
    COALESCE(
      SUM("t6"."_signed") OVER (
        PARTITION BY "t6"."exchange", "t6"."instrument_type", "t6"."symbol", "t6"."_bucket"
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
      ),
      0
    ) AS "_net",
    COALESCE(
      SUM("t6"."_value") OVER (
        PARTITION BY "t6"."exchange", "t6"."instrument_type", "t6"."symbol", "t6"."_bucket"
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
      ),
      0
    ) AS "_gross"
  FROM (
    SELECT
      "t5"."exchange",
      "t5"."instrument_type",
      "t5"."symbol",
      "t5"."_bucket",
      "t5"."_side",
      "t5"."events",
      "t5"."_quantity",
      "t5"."_no_quantity",
      "t5"."_value",
      "t5"."_no_value",
      "t5"."_rank",
      "t5"."_lowest",
      "t5"."_highest",
      FALSE AS "_mixed",
      CASE
        WHEN "t5"."_side" = 'long'
        THEN "t5"."_value"
        ELSE CASE WHEN "t5"."_side" = 'short' THEN -(
          "t5"."_value"
        ) ELSE NULL END
      END AS "_signed",
      CAST((
        "t5"."_no_value" > 0
      )
      OR NOT (
        COALESCE(
          CASE WHEN "t5"."_side" IS NULL THEN NULL ELSE "t5"."_side" IN ('long', 'short') END,
          FALSE
        )
      ) AS BIGINT) AS "_unusable"
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
        "t4"."_rank",
        MIN("t4"."_lowest") OVER (
          PARTITION BY "t4"."exchange", "t4"."instrument_type", "t4"."symbol", "t4"."_bucket"
          ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        ) AS "_lowest",
        MAX("t4"."_highest") OVER (
          PARTITION BY "t4"."exchange", "t4"."instrument_type", "t4"."symbol", "t4"."_bucket"
          ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        ) AS "_highest"
      FROM (
        SELECT
          *
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
  ) AS "t6"
) AS "t7"
ORDER BY
  "t7"."exchange" ASC NULLS FIRST,
  "t7"."instrument_type" ASC NULLS FIRST,
  "t7"."symbol" ASC NULLS FIRST,
  "t7"."_bucket" ASC NULLS FIRST,
  "t7"."_side" ASC NULLS FIRST;

CREATE OR REPLACE TEMP VIEW liquidations_1d_liquidation_summary AS
SELECT
  "t7"."exchange",
  "t7"."instrument_type",
  "t7"."symbol",
  "t7"."_bucket" AS "timestamp",
  "t7"."_side" AS "side",
  "t7"."events",
  CASE
    WHEN (
      "t7"."_no_quantity" = 0
    ) AND NOT (
      "t7"."_mixed"
    )
    THEN "t7"."_quantity"
    ELSE NULL
  END AS "quantity_base",
  CASE WHEN "t7"."_no_value" = 0 THEN "t7"."_value" ELSE NULL END AS "value_usd",
  CASE
    WHEN (
      "t7"."_unusable" = 0
    ) AND (
      "t7"."_gross" > 0
    )
    THEN "t7"."_net" / "t7"."_gross"
    ELSE NULL
  END AS "imbalance",
  COALESCE(
    CASE WHEN "t7"."_rank" = 0 THEN 'full' ELSE NULL END,
    CASE WHEN "t7"."_rank" = 1 THEN 'throttled' ELSE NULL END,
    CASE WHEN "t7"."_rank" = 2 THEN 'absent' ELSE NULL END
  ) AS "coverage"
FROM (
  SELECT
    "t6"."exchange",
    "t6"."instrument_type",
    "t6"."symbol",
    "t6"."_bucket",
    "t6"."_side",
    "t6"."events",
    "t6"."_quantity",
    "t6"."_no_quantity",
    "t6"."_value",
    "t6"."_no_value",
    MAX("t6"."_rank") OVER (
      PARTITION BY "t6"."exchange", "t6"."instrument_type", "t6"."symbol", "t6"."_bucket"
      ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    ) AS "_rank",
    "t6"."_lowest",
    "t6"."_highest",
    "t6"."_mixed",
    "t6"."_signed",
    COALESCE(
      SUM("t6"."_unusable") OVER (
        PARTITION BY "t6"."exchange", "t6"."instrument_type", "t6"."symbol", "t6"."_bucket"
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
      ),
      0
    ) AS "_unusable",
    COALESCE(
      SUM("t6"."_signed") OVER (
        PARTITION BY "t6"."exchange", "t6"."instrument_type", "t6"."symbol", "t6"."_bucket"
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
      ),
      0
    ) AS "_net",
    COALESCE(
      SUM("t6"."_value") OVER (
        PARTITION BY "t6"."exchange", "t6"."instrument_type", "t6"."symbol", "t6"."_bucket"
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
      ),
      0
    ) AS "_gross"
  FROM (
    SELECT
      "t5"."exchange",
      "t5"."instrument_type",
      "t5"."symbol",
      "t5"."_bucket",
      "t5"."_side",
      "t5"."events",
      "t5"."_quantity",
      "t5"."_no_quantity",
      "t5"."_value",
      "t5"."_no_value",
      "t5"."_rank",
      "t5"."_lowest",
      "t5"."_highest",
      FALSE AS "_mixed",
      CASE
        WHEN "t5"."_side" = 'long'
        THEN "t5"."_value"
        ELSE CASE WHEN "t5"."_side" = 'short' THEN -(
          "t5"."_value"
        ) ELSE NULL END
      END AS "_signed",
      CAST((
        "t5"."_no_value" > 0
      )
      OR NOT (
        COALESCE(
          CASE WHEN "t5"."_side" IS NULL THEN NULL ELSE "t5"."_side" IN ('long', 'short') END,
          FALSE
        )
      ) AS BIGINT) AS "_unusable"
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
        "t4"."_rank",
        MIN("t4"."_lowest") OVER (
          PARTITION BY "t4"."exchange", "t4"."instrument_type", "t4"."symbol", "t4"."_bucket"
          ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        ) AS "_lowest",
        MAX("t4"."_highest") OVER (
          PARTITION BY "t4"."exchange", "t4"."instrument_type", "t4"."symbol", "t4"."_bucket"
          ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        ) AS "_highest"
      FROM (
        SELECT
          *
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
  ) AS "t6"
) AS "t7"
ORDER BY
  "t7"."exchange" ASC NULLS FIRST,
  "t7"."instrument_type" ASC NULLS FIRST,
  "t7"."symbol" ASC NULLS FIRST,
  "t7"."_bucket" ASC NULLS FIRST,
  "t7"."_side" ASC NULLS FIRST;
