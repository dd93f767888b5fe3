-- Generated from the metric registry and the schema by `python -m cexkit.warehouse.sql_views`; do not edit.
-- liquidation_cascades: Runs of liquidations of one coin, over all venues, in which none is further than ``gap`` from the next.
-- Columns added or given: base, start, end, duration_seconds, events, value_usd, long_value_usd, short_value_usd, price_move, oi_change, venues, coverage.

CREATE OR REPLACE TEMP VIEW liquidations_liquidation_cascades AS
SELECT
  "t17"."base",
  CAST(TO_TIMESTAMP(CAST(FLOOR((
    "t17"."_cascade"
  ) / (
    1000000
  )) AS BIGINT)) AS TIMESTAMPTZ) + TO_MICROSECONDS("t17"."_cascade" % 1000000) AS "start",
  CAST(TO_TIMESTAMP(CAST(FLOOR((
    "t17"."_end"
  ) / (
    1000000
  )) AS BIGINT)) AS TIMESTAMPTZ) + TO_MICROSECONDS("t17"."_end" % 1000000) AS "end",
  (
    "t17"."_end" - "t17"."_cascade"
  ) / 1000000 AS "duration_seconds",
  "t17"."events",
  CASE WHEN "t17"."_no_value" = 0 THEN "t17"."_value" ELSE NULL END AS "value_usd",
  CASE WHEN "t17"."_no_long" = 0 THEN "t17"."_long" ELSE NULL END AS "long_value_usd",
  CASE WHEN "t17"."_no_short" = 0 THEN "t17"."_short" ELSE NULL END AS "short_value_usd",
  (
    "t17"."_last_price" / "t17"."_first_price"
  ) - 1 AS "price_move",
  CAST(NULL AS DOUBLE) AS "oi_change",
  "t17"."venues",
  COALESCE(
    CASE WHEN "t17"."_rank" = 0 THEN 'full' ELSE NULL END,
    CASE WHEN "t17"."_rank" = 1 THEN 'throttled' ELSE NULL END,
    CASE WHEN "t17"."_rank" = 2 THEN 'absent' ELSE NULL END
  ) AS "coverage"
FROM (
  SELECT
    "t16"."base",
    "t16"."_cascade",
    MAX("t16"."_us") AS "_end",
    COUNT(*) AS "events",
    COUNT(DISTINCT "t16"."exchange") + CAST(BOOL_OR(CAST("t16"."exchange" IS NULL AS BOOLEAN)) AS TINYINT) AS "venues",
    COALESCE(SUM("t16"."_value"), 0) AS "_value",
    COALESCE(SUM("t16"."_no_value"), 0) AS "_no_value",
    COALESCE(SUM("t16"."_long"), 0) AS "_long",
    COALESCE(SUM("t16"."_no_long"), 0) AS "_no_long",
    COALESCE(SUM("t16"."_short"), 0) AS "_short",
    COALESCE(SUM("t16"."_no_short"), 0) AS "_no_short",
    AVG("t16"."_first_price") AS "_first_price",
    AVG("t16"."_last_price") AS "_last_price",
    MAX("t16"."_rank") AS "_rank"
  FROM (
    SELECT
      "t15"."exchange",
      "t15"."instrument_type",
      "t15"."symbol",
      "t15"."base",
      "t15"."quote",
      "t15"."timestamp",
      "t15"."side",
      "t15"."price",
      "t15"."price_type",
      "t15"."quantity_base",
      "t15"."value_quote",
      "t15"."event",
      "t15"."coverage",
      "t15"."_us",
      "t15"."_before",
      "t15"."_begins",
      "t15"."_start",
      "t15"."_cascade",
      "t15"."_size",
      "t15"."_value",
      "t15"."_long",
      "t15"."_short",
      "t15"."_no_value",
      "t15"."_no_long",
      "t15"."_no_short",
      "t15"."_rank",
      "t15"."_unit",
      "t15"."_least",
      "t15"."_most",
      "t15"."_price",
      "t15"."_priced",
      "t15"."_first",
      "t15"."_last",
      CASE WHEN "t15"."_priced" = "t15"."_first" THEN "t15"."_price" ELSE NULL END AS "_first_price",
      CASE WHEN "t15"."_priced" = "t15"."_last" THEN "t15"."_price" ELSE NULL END AS "_last_price"
    FROM (
      SELECT
        "t14"."exchange",
        "t14"."instrument_type",
        "t14"."symbol",
        "t14"."base",
        "t14"."quote",
        "t14"."timestamp",
        "t14"."side",
        "t14"."price",
        "t14"."price_type",
        "t14"."quantity_base",
        "t14"."value_quote",
        "t14"."event",
        "t14"."coverage",
        "t14"."_us",
        "t14"."_before",
        "t14"."_begins",
        "t14"."_start",
        "t14"."_cascade",
        "t14"."_size",
        "t14"."_value",
        "t14"."_long",
        "t14"."_short",
        "t14"."_no_value",
        "t14"."_no_long",
        "t14"."_no_short",
        "t14"."_rank",
        "t14"."_unit",
        "t14"."_least",
        "t14"."_most",
        "t14"."_price",
        "t14"."_priced",
        MIN("t14"."_priced") OVER (
          PARTITION BY "t14"."base", "t14"."_cascade"
          ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        ) AS "_first",
        MAX("t14"."_priced") OVER (
          PARTITION BY "t14"."base", "t14"."_cascade"
          ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        ) AS "_last"
      FROM (
        SELECT
          "t13"."exchange",
          "t13"."instrument_type",
          "t13"."symbol",
          "t13"."base",
          "t13"."quote",
          "t13"."timestamp",
          "t13"."side",
          "t13"."price",
          "t13"."price_type",
          "t13"."quantity_base",
          "t13"."value_quote",
          "t13"."event",
          "t13"."coverage",
          "t13"."_us",
          "t13"."_before",
          "t13"."_begins",
          "t13"."_start",
          "t13"."_cascade",
          "t13"."_size",
          "t13"."_value",
          "t13"."_long",
          "t13"."_short",
          "t13"."_no_value",
          "t13"."_no_long",
          "t13"."_no_short",
          "t13"."_rank",
          "t13"."_unit",
          "t13"."_least",
          "t13"."_most",
          CASE WHEN "t13"."_least" = "t13"."_most" THEN "t13"."_price" ELSE NULL END AS "_price",
          CASE
            WHEN NOT (
              CASE WHEN "t13"."_least" = "t13"."_most" THEN "t13"."_price" ELSE NULL END IS NULL
            )
            THEN "t13"."_us"
            ELSE NULL
          END AS "_priced"
        FROM (
          SELECT
            "t12"."exchange",
            "t12"."instrument_type",
            "t12"."symbol",
            "t12"."base",
            "t12"."quote",
            "t12"."timestamp",
            "t12"."side",
            "t12"."price",
            "t12"."price_type",
            "t12"."quantity_base",
            "t12"."value_quote",
            "t12"."event",
            "t12"."coverage",
            "t12"."_us",
            "t12"."_before",
            "t12"."_begins",
            "t12"."_start",
            "t12"."_cascade",
            "t12"."_size",
            "t12"."_value",
            "t12"."_long",
            "t12"."_short",
            "t12"."_no_value",
            "t12"."_no_long",
            "t12"."_no_short",
            "t12"."_rank",
            "t12"."_unit",
            MIN(CAST("t12"."symbol" AS TEXT)) OVER (
              PARTITION BY "t12"."base", "t12"."_cascade"
              ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
            ) AS "_least",
            MAX(CAST("t12"."symbol" AS TEXT)) OVER (
              PARTITION BY "t12"."base", "t12"."_cascade"
              ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
            ) AS "_most",
            "t12"."_price"
          FROM (
            SELECT
              "t11"."exchange",
              "t11"."instrument_type",
              "t11"."symbol",
              "t11"."base",
              "t11"."quote",
              "t11"."timestamp",
              "t11"."side",
              "t11"."price",
              "t11"."price_type",
              "t11"."quantity_base",
              "t11"."value_quote",
              "t11"."event",
              "t11"."coverage",
              "t11"."_us",
              "t11"."_before",
              "t11"."_begins",
              "t11"."_start",
              "t11"."_cascade",
              "t11"."_size",
              "t11"."_value",
              "t11"."_long",
              "t11"."_short",
              "t11"."_no_value",
              "t11"."_no_long",
              "t11"."_no_short",
              "t11"."_rank",
              "t11"."_unit",
              "t11"."_least",
              "t11"."_most",
              CASE
                WHEN "t11"."_least" = "t11"."_most"
                THEN CASE
                  WHEN CASE
                    WHEN ABS(CAST("t11"."price" AS DOUBLE)) <= 1.7976931348623157e+308
                    THEN CAST("t11"."price" AS DOUBLE)
                    ELSE NULL
                  END > 0
                  THEN CASE
                    WHEN ABS(CAST("t11"."price" AS DOUBLE)) <= 1.7976931348623157e+308
                    THEN CAST("t11"."price" AS DOUBLE)
                    ELSE NULL
                  END
                  ELSE NULL
                END
                ELSE NULL
              END AS "_price"
            FROM (
              SELECT
                "t10"."exchange",
                "t10"."instrument_type",
                "t10"."symbol",
                "t10"."base",
                "t10"."quote",
                "t10"."timestamp",
                "t10"."side",
                "t10"."price",
                "t10"."price_type",
                "t10"."quantity_base",
                "t10"."value_quote",
                "t10"."event",
                "t10"."coverage",
                "t10"."_us",
                "t10"."_before",
                "t10"."_begins",
                "t10"."_start",
                "t10"."_cascade",
                "t10"."_size",
                "t10"."_value",
                "t10"."_long",
                "t10"."_short",
                "t10"."_no_value",
                "t10"."_no_long",
                "t10"."_no_short",
                "t10"."_rank",
                "t10"."_unit",
                MIN("t10"."_unit") OVER (
                  PARTITION BY "t10"."base", "t10"."_cascade"
                  ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                ) AS "_least",
                MAX("t10"."_unit") OVER (
                  PARTITION BY "t10"."base", "t10"."_cascade"
                  ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                ) AS "_most"
              FROM (
                SELECT
                  "t9"."exchange",
                  "t9"."instrument_type",
                  "t9"."symbol",
                  "t9"."base",
                  "t9"."quote",
                  "t9"."timestamp",
                  "t9"."side",
                  "t9"."price",
                  "t9"."price_type",
                  "t9"."quantity_base",
                  "t9"."value_quote",
                  "t9"."event",
                  "t9"."coverage",
                  "t9"."_us",
                  "t9"."_before",
                  "t9"."_begins",
                  "t9"."_start",
                  "t9"."_cascade",
                  "t9"."_size",
                  "t9"."_value",
                  "t9"."_long",
                  "t9"."_short",
                  CAST("t9"."_value" IS NULL AS BIGINT) AS "_no_value",
                  CAST("t9"."_long" IS NULL AS BIGINT) AS "_no_long",
                  CAST("t9"."_short" IS NULL AS BIGINT) AS "_no_short",
                  COALESCE(
                    CASE WHEN CAST("t9"."coverage" AS TEXT) = 'full' THEN 0 ELSE NULL END,
                    CASE WHEN CAST("t9"."coverage" AS TEXT) = 'throttled' THEN 1 ELSE NULL END,
                    CASE WHEN CAST("t9"."coverage" AS TEXT) = 'absent' THEN 2 ELSE NULL END,
                    3
                  ) AS "_rank",
                  CASE
                    WHEN CASE
                      WHEN CAST("t9"."quote" AS TEXT) IS NULL
                      THEN NULL
                      ELSE CAST("t9"."quote" AS TEXT) IN ('BUSD', 'DAI', 'FDUSD', 'TUSD', 'USD', 'USDC', 'USDP', 'USDT')
                    END
                    THEN 'USD'
                    ELSE COALESCE(CAST("t9"."quote" AS TEXT), '')
                  END AS "_unit"
                FROM (
                  SELECT
                    "t8"."exchange",
                    "t8"."instrument_type",
                    "t8"."symbol",
                    "t8"."base",
                    "t8"."quote",
                    "t8"."timestamp",
                    "t8"."side",
                    "t8"."price",
                    "t8"."price_type",
                    "t8"."quantity_base",
                    "t8"."value_quote",
                    "t8"."event",
                    "t8"."coverage",
                    "t8"."_us",
                    "t8"."_before",
                    "t8"."_begins",
                    "t8"."_start",
                    "t8"."_cascade",
                    "t8"."_size",
                    "t8"."_value",
                    CASE
                      WHEN CAST("t8"."side" AS TEXT) = 'long'
                      THEN "t8"."_value"
                      ELSE CASE
                        WHEN COALESCE(
                          CASE
                            WHEN CAST("t8"."side" AS TEXT) IS NULL
                            THEN NULL
                            ELSE CAST("t8"."side" AS TEXT) IN ('long', 'short')
                          END,
                          FALSE
                        )
                        THEN 0.0
                        ELSE NULL
                      END
                    END AS "_long",
                    CASE
                      WHEN CAST("t8"."side" AS TEXT) = 'short'
                      THEN "t8"."_value"
                      ELSE CASE
                        WHEN COALESCE(
                          CASE
                            WHEN CAST("t8"."side" AS TEXT) IS NULL
                            THEN NULL
                            ELSE CAST("t8"."side" AS TEXT) IN ('long', 'short')
                          END,
                          FALSE
                        )
                        THEN 0.0
                        ELSE NULL
                      END
                    END AS "_short"
                  FROM (
                    SELECT
                      "t7"."exchange",
                      "t7"."instrument_type",
                      "t7"."symbol",
                      "t7"."base",
                      "t7"."quote",
                      "t7"."timestamp",
                      "t7"."side",
                      "t7"."price",
                      "t7"."price_type",
                      "t7"."quantity_base",
                      "t7"."value_quote",
                      "t7"."event",
                      "t7"."coverage",
                      "t7"."_us",
                      "t7"."_before",
                      "t7"."_begins",
                      "t7"."_start",
                      "t7"."_cascade",
                      "t7"."_size",
                      CASE
                        WHEN CASE
                          WHEN CAST("t7"."quote" AS TEXT) IS NULL
                          THEN NULL
                          ELSE CAST("t7"."quote" AS TEXT) IN ('BUSD', 'DAI', 'FDUSD', 'TUSD', 'USD', 'USDC', 'USDP', 'USDT')
                        END
                        THEN CASE
                          WHEN ABS(CAST("t7"."value_quote" AS DOUBLE)) <= 1.7976931348623157e+308
                          THEN CAST("t7"."value_quote" AS DOUBLE)
                          ELSE NULL
                        END
                        ELSE NULL
                      END AS "_value"
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
                        "t6"."_us",
                        "t6"."_before",
                        "t6"."_begins",
                        "t6"."_start",
                        "t6"."_cascade",
                        COUNT("t6"."_us") OVER (
                          PARTITION BY "t6"."base", "t6"."_cascade"
                          ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                        ) AS "_size"
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
                          "t5"."_us",
                          "t5"."_before",
                          "t5"."_begins",
                          "t5"."_start",
                          CASE
                            WHEN "t5"."_start" IS NOT NULL
                            THEN MAX("t5"."_start") OVER (
                              PARTITION BY "t5"."base"
                              ORDER BY "t5"."_us" ASC NULLS FIRST
                              ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
                            )
                            ELSE NULL
                          END AS "_cascade"
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
                            "t4"."_us",
                            "t4"."_before",
                            "t4"."_begins",
                            CASE WHEN "t4"."_begins" = 1 THEN "t4"."_us" ELSE -2305843009213693952 END AS "_start"
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
                              "t3"."_us",
                              "t3"."_before",
                              MAX("t3"."_begins") OVER (
                                PARTITION BY "t3"."base", "t3"."_us"
                                ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                              ) AS "_begins"
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
                                "t2"."_us",
                                "t2"."_before",
                                CAST((
                                  "t2"."_before" IS NULL
                                )
                                OR (
                                  (
                                    "t2"."_us" - "t2"."_before"
                                  ) > 60000000
                                ) AS BIGINT) AS "_begins"
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
                                  "t1"."_us",
                                  LAG("t1"."_us", 1) OVER (
                                    PARTITION BY "t1"."base"
                                    ORDER BY "t1"."_us" ASC NULLS FIRST
                                    ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                                  ) AS "_before"
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
                                    DATE_DIFF('MICROSECOND', MAKE_TIMESTAMPTZ(1970, 1, 1, 0, 0, 0.0, 'UTC'), "t0"."timestamp") AS "_us"
                                  FROM "liquidations" AS "t0"
                                  WHERE
                                    NOT (
                                      "t0"."base" IS NULL
                                    )
                                    AND NOT (
                                      DATE_DIFF('MICROSECOND', MAKE_TIMESTAMPTZ(1970, 1, 1, 0, 0, 0.0, 'UTC'), "t0"."timestamp") IS NULL
                                    )
                                ) AS "t1"
                              ) AS "t2"
                            ) AS "t3"
                          ) AS "t4"
                        ) AS "t5"
                      ) AS "t6"
                    ) AS "t7"
                    WHERE
                      "t7"."_size" >= 2
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
    2
) AS "t17"
WHERE
  "t17"."_value" >= 0.0
ORDER BY
  "t17"."base" ASC NULLS FIRST,
  CAST(TO_TIMESTAMP(CAST(FLOOR((
    "t17"."_cascade"
  ) / (
    1000000
  )) AS BIGINT)) AS TIMESTAMPTZ) + TO_MICROSECONDS("t17"."_cascade" % 1000000) ASC NULLS FIRST;

CREATE OR REPLACE TEMP VIEW liquidations_1d_liquidation_cascades AS
SELECT
  "t11"."base",
  CAST(TO_TIMESTAMP(CAST(FLOOR((
    "t11"."_cascade"
  ) / (
    1000000
  )) AS BIGINT)) AS TIMESTAMPTZ) + TO_MICROSECONDS("t11"."_cascade" % 1000000) AS "start",
  CAST(TO_TIMESTAMP(CAST(FLOOR((
    "t11"."_end"
  ) / (
    1000000
  )) AS BIGINT)) AS TIMESTAMPTZ) + TO_MICROSECONDS("t11"."_end" % 1000000) AS "end",
  (
    "t11"."_end" - "t11"."_cascade"
  ) / 1000000 AS "duration_seconds",
  "t11"."events",
  CASE WHEN "t11"."_no_value" = 0 THEN "t11"."_value" ELSE NULL END AS "value_usd",
  CASE WHEN "t11"."_no_long" = 0 THEN "t11"."_long" ELSE NULL END AS "long_value_usd",
  CASE WHEN "t11"."_no_short" = 0 THEN "t11"."_short" ELSE NULL END AS "short_value_usd",
  (
    "t11"."_last_price" / "t11"."_first_price"
  ) - 1 AS "price_move",
  CAST(NULL AS DOUBLE) AS "oi_change",
  "t11"."venues",
  COALESCE(
    CASE WHEN "t11"."_rank" = 0 THEN 'full' ELSE NULL END,
    CASE WHEN "t11"."_rank" = 1 THEN 'throttled' ELSE NULL END,
    CASE WHEN "t11"."_rank" = 2 THEN 'absent' ELSE NULL END
  ) AS "coverage"
FROM (
  SELECT
    "t10"."base",
    "t10"."_cascade",
    MAX("t10"."_us") AS "_end",
    COUNT(*) AS "events",
    COUNT(DISTINCT "t10"."exchange") + CAST(BOOL_OR(CAST("t10"."exchange" IS NULL AS BOOLEAN)) AS TINYINT) AS "venues",
    COALESCE(SUM("t10"."_value"), 0) AS "_value",
    COALESCE(SUM("t10"."_no_value"), 0) AS "_no_value",
    COALESCE(SUM("t10"."_long"), 0) AS "_long",
    COALESCE(SUM("t10"."_no_long"), 0) AS "_no_long",
    COALESCE(SUM("t10"."_short"), 0) AS "_short",
    COALESCE(SUM("t10"."_no_short"), 0) AS "_no_short",
    AVG("t10"."_first_price") AS "_first_price",
    AVG("t10"."_last_price") AS "_last_price",
    MAX("t10"."_rank") AS "_rank"
  FROM (
    SELECT
      "t9"."exchange",
      "t9"."instrument_type",
      "t9"."symbol",
      "t9"."base",
      "t9"."quote",
      "t9"."timestamp",
      "t9"."side",
      "t9"."events",
      "t9"."quantity_base",
      "t9"."value_quote",
      "t9"."coverage",
      "t9"."_us",
      "t9"."_before",
      "t9"."_begins",
      "t9"."_start",
      "t9"."_cascade",
      "t9"."_size",
      "t9"."_value",
      "t9"."_long",
      "t9"."_short",
      CAST("t9"."_value" IS NULL AS BIGINT) AS "_no_value",
      CAST("t9"."_long" IS NULL AS BIGINT) AS "_no_long",
      CAST("t9"."_short" IS NULL AS BIGINT) AS "_no_short",
      COALESCE(
        CASE WHEN CAST("t9"."coverage" AS TEXT) = 'full' THEN 0 ELSE NULL END,
        CASE WHEN CAST("t9"."coverage" AS TEXT) = 'throttled' THEN 1 ELSE NULL END,
        CASE WHEN CAST("t9"."coverage" AS TEXT) = 'absent' THEN 2 ELSE NULL END,
        3
      ) AS "_rank",
      CAST(NULL AS DOUBLE) AS "_first_price",
      CAST(NULL AS DOUBLE) AS "_last_price"
    FROM (
      SELECT
        "t8"."exchange",
        "t8"."instrument_type",
        "t8"."symbol",
        "t8"."base",
        "t8"."quote",
        "t8"."timestamp",
        "t8"."side",
        "t8"."events",
        "t8"."quantity_base",
        "t8"."value_quote",
        "t8"."coverage",
        "t8"."_us",
        "t8"."_before",
        "t8"."_begins",
        "t8"."_start",
        "t8"."_cascade",
        "t8"."_size",
        "t8"."_value",
        CASE
          WHEN CAST("t8"."side" AS TEXT) = 'long'
          THEN "t8"."_value"
          ELSE CASE
            WHEN COALESCE(
              CASE
                WHEN CAST("t8"."side" AS TEXT) IS NULL
                THEN NULL
                ELSE CAST("t8"."side" AS TEXT) IN ('long', 'short')
              END,
              FALSE
            )
            THEN 0.0
            ELSE NULL
          END
        END AS "_long",
        CASE
          WHEN CAST("t8"."side" AS TEXT) = 'short'
          THEN "t8"."_value"
          ELSE CASE
            WHEN COALESCE(
              CASE
                WHEN CAST("t8"."side" AS TEXT) IS NULL
                THEN NULL
                ELSE CAST("t8"."side" AS TEXT) IN ('long', 'short')
              END,
              FALSE
            )
            THEN 0.0
            ELSE NULL
          END
        END AS "_short"
      FROM (
        SELECT
          "t7"."exchange",
          "t7"."instrument_type",
          "t7"."symbol",
          "t7"."base",
          "t7"."quote",
          "t7"."timestamp",
          "t7"."side",
          "t7"."events",
          "t7"."quantity_base",
          "t7"."value_quote",
          "t7"."coverage",
          "t7"."_us",
          "t7"."_before",
          "t7"."_begins",
          "t7"."_start",
          "t7"."_cascade",
          "t7"."_size",
          CASE
            WHEN CASE
              WHEN CAST("t7"."quote" AS TEXT) IS NULL
              THEN NULL
              ELSE CAST("t7"."quote" AS TEXT) IN ('BUSD', 'DAI', 'FDUSD', 'TUSD', 'USD', 'USDC', 'USDP', 'USDT')
            END
            THEN CASE
              WHEN ABS(CAST("t7"."value_quote" AS DOUBLE)) <= 1.7976931348623157e+308
              THEN CAST("t7"."value_quote" AS DOUBLE)
              ELSE NULL
            END
            ELSE NULL
          END AS "_value"
        FROM (
          SELECT
            "t6"."exchange",
            "t6"."instrument_type",
            "t6"."symbol",
            "t6"."base",
            "t6"."quote",
            "t6"."timestamp",
            "t6"."side",
            "t6"."events",
            "t6"."quantity_base",
            "t6"."value_quote",
            "t6"."coverage",
            "t6"."_us",
            "t6"."_before",
            "t6"."_begins",
            "t6"."_start",
            "t6"."_cascade",
            COUNT("t6"."_us") OVER (
              PARTITION BY "t6"."base", "t6"."_cascade"
              ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
            ) AS "_size"
          FROM (
            SELECT
              "t5"."exchange",
              "t5"."instrument_type",
              "t5"."symbol",
              "t5"."base",
              "t5"."quote",
              "t5"."timestamp",
              "t5"."side",
              "t5"."events",
              "t5"."quantity_base",
              "t5"."value_quote",
              "t5"."coverage",
              "t5"."_us",
              "t5"."_before",
              "t5"."_begins",
              "t5"."_start",
              CASE
                WHEN "t5"."_start" IS NOT NULL
                THEN MAX("t5"."_start") OVER (
                  PARTITION BY "t5"."base"
                  ORDER BY "t5"."_us" ASC NULLS FIRST
                  ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
                )
                ELSE NULL
              END AS "_cascade"
            FROM (
              SELECT
                "t4"."exchange",
                "t4"."instrument_type",
                "t4"."symbol",
                "t4"."base",
                "t4"."quote",
                "t4"."timestamp",
                "t4"."side",
                "t4"."events",
                "t4"."quantity_base",
                "t4"."value_quote",
                "t4"."coverage",
                "t4"."_us",
                "t4"."_before",
                "t4"."_begins",
                CASE WHEN "t4"."_begins" = 1 THEN "t4"."_us" ELSE -2305843009213693952 END AS "_start"
              FROM (
                SELECT
                  "t3"."exchange",
                  "t3"."instrument_type",
                  "t3"."symbol",
                  "t3"."base",
                  "t3"."quote",
                  "t3"."timestamp",
                  "t3"."side",
                  "t3"."events",
                  "t3"."quantity_base",
                  "t3"."value_quote",
                  "t3"."coverage",
                  "t3"."_us",
                  "t3"."_before",
                  MAX("t3"."_begins") OVER (
                    PARTITION BY "t3"."base", "t3"."_us"
                    ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                  ) AS "_begins"
                FROM (
                  SELECT
                    "t2"."exchange",
                    "t2"."instrument_type",
                    "t2"."symbol",
                    "t2"."base",
                    "t2"."quote",
                    "t2"."timestamp",
                    "t2"."side",
                    "t2"."events",
                    "t2"."quantity_base",
                    "t2"."value_quote",
                    "t2"."coverage",
                    "t2"."_us",
                    "t2"."_before",
                    CAST((
                      "t2"."_before" IS NULL
                    )
                    OR (
                      (
                        "t2"."_us" - "t2"."_before"
                      ) > 60000000
                    ) AS BIGINT) AS "_begins"
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
                      "t1"."_us",
                      LAG("t1"."_us", 1) OVER (
                        PARTITION BY "t1"."base"
                        ORDER BY "t1"."_us" ASC NULLS FIRST
                        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                      ) AS "_before"
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
                        DATE_DIFF('MICROSECOND', MAKE_TIMESTAMPTZ(1970, 1, 1, 0, 0, 0.0, 'UTC'), "t0"."timestamp") AS "_us"
                      FROM "liquidations_1d" AS "t0"
                      WHERE
                        NOT (
                          "t0"."base" IS NULL
                        )
                        AND NOT (
                          DATE_DIFF('MICROSECOND', MAKE_TIMESTAMPTZ(1970, 1, 1, 0, 0, 0.0, 'UTC'), "t0"."timestamp") IS NULL
                        )
                    ) AS "t1"
                  ) AS "t2"
                ) AS "t3"
              ) AS "t4"
            ) AS "t5"
          ) AS "t6"
        ) AS "t7"
        WHERE
          "t7"."_size" >= 2
      ) AS "t8"
    ) AS "t9"
  ) AS "t10"
  GROUP BY
    1,
    2
) AS "t11"
WHERE
  "t11"."_value" >= 0.0
ORDER BY
  "t11"."base" ASC NULLS FIRST,
  CAST(TO_TIMESTAMP(CAST(FLOOR((
    "t11"."_cascade"
  ) / (
    1000000
  )) AS BIGINT)) AS TIMESTAMPTZ) + TO_MICROSECONDS("t11"."_cascade" % 1000000) ASC NULLS FIRST;
