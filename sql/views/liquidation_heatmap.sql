-- Generated from the metric registry and the schema by `python -m cexkit.warehouse.sql_views`; do not edit.
-- liquidation_heatmap: Liquidated value per time bucket and price bin, of events that took place.
-- Columns added or given: timestamp, price_low, price_high, events, value_usd, long_value_usd, short_value_usd, coverage.

CREATE OR REPLACE TEMP VIEW liquidations_liquidation_heatmap AS
SELECT
  "t8"."exchange",
  "t8"."instrument_type",
  "t8"."symbol",
  "t8"."_bucket" AS "timestamp",
  EXP("t8"."_bin" * 0.009950330853168083) AS "price_low",
  EXP((
    "t8"."_bin" + 1
  ) * 0.009950330853168083) AS "price_high",
  "t8"."events",
  CASE WHEN "t8"."_no_value" = 0 THEN "t8"."_value" ELSE NULL END AS "value_usd",
  CASE WHEN "t8"."_no_long" = 0 THEN "t8"."_long" ELSE NULL END AS "long_value_usd",
  CASE WHEN "t8"."_no_short" = 0 THEN "t8"."_short" ELSE NULL END AS "short_value_usd",
  COALESCE(
    CASE WHEN "t8"."_rank" = 0 THEN 'full' ELSE NULL END,
    CASE WHEN "t8"."_rank" = 1 THEN 'throttled' ELSE NULL END,
    CASE WHEN "t8"."_rank" = 2 THEN 'absent' ELSE NULL END
  ) AS "coverage"
FROM (
  SELECT
    "t7"."exchange",
    "t7"."instrument_type",
    "t7"."symbol",
    "t7"."_bucket",
    "t7"."_bin",
    COUNT(*) AS "events",
    COALESCE(SUM("t7"."_value"), 0) AS "_value",
    COALESCE(SUM("t7"."_no_value"), 0) AS "_no_value",
    COALESCE(SUM("t7"."_long"), 0) AS "_long",
    COALESCE(SUM("t7"."_no_long"), 0) AS "_no_long",
    COALESCE(SUM("t7"."_short"), 0) AS "_short",
    COALESCE(SUM("t7"."_no_short"), 0) AS "_no_short",
    MAX("t7"."_rank") AS "_rank",
    MAX("t7"."_mixed") AS "_mixed"
  FROM (
    SELECT
      "t6"."exchange",
      "t6"."instrument_type",
      "t6"."symbol",
      "t6"."base",
      "t6"."quote",
      "t6"."timestamp",
      "t6"."side",
      "t6"."price",
      "t6"."price_type",
      "t6"."quantity_base",
      "t6"."value_quote",
      "t6"."event",
      "t6"."coverage",
      "t6"."_value",
      "t6"."_long",
      "t6"."_short",
      "t6"."_no_value",
      "t6"."_no_long",
      "t6"."_no_short",
      "t6"."_bucket",
      "t6"."_unit",
      "t6"."_least",
      "t6"."_most",
      CASE WHEN CAST(FALSE AS BIGINT) = 0 THEN "t6"."_price" ELSE NULL END AS "_price",
      "t6"."_lowest",
      "t6"."_highest",
      CAST(FALSE AS BIGINT) AS "_mixed",
      CAST(CAST(FLOOR(
        CASE
          WHEN CASE WHEN CAST(FALSE AS BIGINT) = 0 THEN "t6"."_price" ELSE NULL END < 0
          THEN CAST('nan' AS DOUBLE)
          WHEN CASE WHEN CAST(FALSE AS BIGINT) = 0 THEN "t6"."_price" ELSE NULL END = 0
          THEN CAST('-inf' AS DOUBLE)
          ELSE LN(CASE WHEN CAST(FALSE AS BIGINT) = 0 THEN "t6"."_price" ELSE NULL END) / LN(2.718281828459045)
        END / 0.009950330853168083
      ) AS BIGINT) AS DOUBLE) AS "_bin",
      COALESCE(
        CASE WHEN CAST("t6"."coverage" AS TEXT) = 'full' THEN 0 ELSE NULL END,
        CASE WHEN CAST("t6"."coverage" AS TEXT) = 'throttled' THEN 1 ELSE NULL END,
        CASE WHEN CAST("t6"."coverage" AS TEXT) = 'absent' THEN 2 ELSE NULL END,
        3
      ) AS "_rank"
    FROM (
      SELECT
        "t5"."exchange",
        "t5"."instrument_type",
        "t5"."symbol",
        "t5"."base",
        "t5"."quote",
        "t5"."timestamp",
        "t5"."side",
        "t5"."price",
        "t5"."price_type",
        "t5"."quantity_base",
        "t5"."value_quote",
        "t5"."event",
        "t5"."coverage",
        "t5"."_value",
        "t5"."_long",
        "t5"."_short",
        "t5"."_no_value",
        "t5"."_no_long",
        "t5"."_no_short",
        "t5"."_bucket",
        "t5"."_unit",
        "t5"."_least",
        "t5"."_most",
        "t5"."_price",
        MIN("t5"."_price") OVER (
          PARTITION BY "t5"."exchange", "t5"."instrument_type", "t5"."symbol", "t5"."_bucket"
          ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        ) AS "_lowest",
        MAX("t5"."_price") OVER (
          PARTITION BY "t5"."exchange", "t5"."instrument_type", "t5"."symbol", "t5"."_bucket"
          ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        ) AS "_highest"
      FROM (
        SELECT
          "t4"."exchange",
          "t4"."instrument_type",
          "t4"."symbol",
          "t4"."base",
          "t4"."quote",
          "t4"."timestamp",
          "t4"."side",
          "t4"."price",
          "t4"."price_type",
          "t4"."quantity_base",
          "t4"."value_quote",
          "t4"."event",
          "t4"."coverage",
          "t4"."_value",
          "t4"."_long",
          "t4"."_short",
          "t4"."_no_value",
          "t4"."_no_long",
          "t4"."_no_short",
          "t4"."_bucket",
          "t4"."_unit",
          "t4"."_least",
          "t4"."_most",
          CASE
            WHEN "t4"."_least" = "t4"."_most"
            THEN CASE
              WHEN CASE
                WHEN ABS(CAST("t4"."price" AS DOUBLE)) <= 1.7976931348623157e+308
                THEN CAST("t4"."price" AS DOUBLE)
                ELSE NULL
              END > 0
              THEN CASE
                WHEN ABS(CAST("t4"."price" AS DOUBLE)) <= 1.7976931348623157e+308
                THEN CAST("t4"."price" AS DOUBLE)
                ELSE NULL
              END
              ELSE NULL
            END
            ELSE NULL
          END AS "_price"
        FROM (
          SELECT
            "t3"."exchange",
            "t3"."instrument_type",
            "t3"."symbol",
            "t3"."base",
            "t3"."quote",
            "t3"."timestamp",
            "t3"."side",
            "t3"."price",
            "t3"."price_type",
            "t3"."quantity_base",
            "t3"."value_quote",
            "t3"."event",
            "t3"."coverage",
            "t3"."_value",
            "t3"."_long",
            "t3"."_short",
            "t3"."_no_value",
            "t3"."_no_long",
            "t3"."_no_short",
            "t3"."_bucket",
            "t3"."_unit",
            MIN("t3"."_unit") OVER (
              PARTITION BY "t3"."exchange", "t3"."instrument_type", "t3"."symbol"
              ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
            ) AS "_least",
            MAX("t3"."_unit") OVER (
              PARTITION BY "t3"."exchange", "t3"."instrument_type", "t3"."symbol"
              ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
            ) AS "_most"
          FROM (
            SELECT
              "t2"."exchange",
              "t2"."instrument_type",
              "t2"."symbol",
              "t2"."base",
              "t2"."quote",
              "t2"."timestamp",
              "t2"."side",
              "t2"."price",
              "t2"."price_type",
              "t2"."quantity_base",
              "t2"."value_quote",
              "t2"."event",
              "t2"."coverage",
              "t2"."_value",
              "t2"."_long",
              "t2"."_short",
              CAST("t2"."_value" IS NULL AS BIGINT) AS "_no_value",
              CAST("t2"."_long" IS NULL AS BIGINT) AS "_no_long",
              CAST("t2"."_short" IS NULL AS BIGINT) AS "_no_short",
              CAST(TO_TIMESTAMP(
                (
                  CASE
                    WHEN 3600000000 <> 0
                    THEN CAST(FLOOR(
                      (
                        DATE_DIFF('MICROSECOND', MAKE_TIMESTAMPTZ(1970, 1, 1, 0, 0, 0.0, 'UTC'), "t2"."timestamp") - 0
                      ) / (
                        3600000000
                      )
                    ) AS BIGINT)
                    ELSE NULL
                  END * 3600
                ) + 0
              ) AS TIMESTAMPTZ) AS "_bucket",
              CASE
                WHEN CASE
                  WHEN CAST("t2"."quote" AS TEXT) IS NULL
                  THEN NULL
                  ELSE CAST("t2"."quote" AS TEXT) IN ('BUSD', 'DAI', 'FDUSD', 'TUSD', 'USD', 'USDC', 'USDP', 'USDT')
                END
                THEN 'USD'
                ELSE COALESCE(CAST("t2"."quote" AS TEXT), '')
              END AS "_unit"
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
                "t1"."_value",
                CASE
                  WHEN CAST("t1"."side" AS TEXT) = 'long'
                  THEN "t1"."_value"
                  ELSE CASE
                    WHEN COALESCE(
                      CASE
                        WHEN CAST("t1"."side" AS TEXT) IS NULL
                        THEN NULL
                        ELSE CAST("t1"."side" AS TEXT) IN ('long', 'short')
                      END,
                      FALSE
                    )
                    THEN 0.0
                    ELSE NULL
                  END
                END AS "_long",
                CASE
                  WHEN CAST("t1"."side" AS TEXT) = 'short'
                  THEN "t1"."_value"
                  ELSE CASE
                    WHEN COALESCE(
                      CASE
                        WHEN CAST("t1"."side" AS TEXT) IS NULL
                        THEN NULL
                        ELSE CAST("t1"."side" AS TEXT) IN ('long', 'short')
                      END,
                      FALSE
                    )
                    THEN 0.0
                    ELSE NULL
                  END
                END AS "_short"
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
                  END AS "_value"
                FROM "liquidations" AS "t0"
              ) AS "t1"
            ) AS "t2"
          ) AS "t3"
        ) AS "t4"
      ) AS "t5"
    ) AS "t6"
  ) AS "t7"
  GROUP BY
    1,
    2,
    3,
    4,
    5
) AS "t8"
ORDER BY
  "t8"."exchange" ASC NULLS FIRST,
  "t8"."instrument_type" ASC NULLS FIRST,
  "t8"."symbol" ASC NULLS FIRST,
  "t8"."_bucket" ASC NULLS FIRST,
  EXP("t8"."_bin" * 0.009950330853168083) ASC NULLS FIRST;
