-- Generated from the metric registry and the schema by `python -m cexkit.warehouse.sql_views`; do not edit.
-- liquidation_cascades: Runs of liquidations of one coin, over all venues, in which none is further than ``gap`` from the next.
-- Columns added or given: base, start, end, duration_seconds, events, value_usd, long_value_usd, short_value_usd, price_move, oi_change, venues, coverage.

CREATE OR REPLACE TEMP VIEW liquidations_liquidation_cascades AS
SELECT
  "t18"."base",
  CAST(TO_TIMESTAMP(CAST(FLOOR((
    "t18"."_cascade"
  ) / (
    1000000
  )) AS BIGINT)) AS TIMESTAMPTZ) + TO_MICROSECONDS("t18"."_cascade" % 1000000) AS "start",
  CAST(TO_TIMESTAMP(CAST(FLOOR((
    "t18"."_end"
  ) / (
    1000000
  )) AS BIGINT)) AS TIMESTAMPTZ) + TO_MICROSECONDS("t18"."_end" % 1000000) AS "end",
  (
    "t18"."_end" - "t18"."_cascade"
  ) / 1000000 AS "duration_seconds",
  "t18"."events",
  CASE WHEN "t18"."_no_value" = 0 THEN "t18"."_value" ELSE NULL END AS "value_usd",
  CASE WHEN "t18"."_no_long" = 0 THEN "t18"."_long" ELSE NULL END AS "long_value_usd",
  CASE WHEN "t18"."_no_short" = 0 THEN "t18"."_short" ELSE NULL END AS "short_value_usd",
  CASE
    WHEN NOT (
      FALSE
    )
    THEN (
      "t18"."_last_price" / "t18"."_first_price"
    ) - 1
    ELSE NULL
  END AS "price_move",
  CASE WHEN NOT (
    FALSE
  ) THEN CAST(NULL AS DOUBLE) ELSE NULL END AS "oi_change",
  "t18"."venues",
  COALESCE(
    CASE WHEN "t18"."_rank" = 0 THEN 'full' ELSE NULL END,
    CASE WHEN "t18"."_rank" = 1 THEN 'throttled' ELSE NULL END,
    CASE WHEN "t18"."_rank" = 2 THEN 'absent' ELSE NULL END
  ) AS "coverage"
FROM (
  SELECT
    "t17"."base",
    "t17"."_cascade",
    MAX("t17"."_us") AS "_end",
    COUNT(*) AS "events",
    COUNT(DISTINCT "t17"."exchange") + CAST(BOOL_OR(CAST("t17"."exchange" IS NULL AS BOOLEAN)) AS TINYINT) AS "venues",
    COALESCE(SUM("t17"."_value"), 0) AS "_value",
    COALESCE(SUM("t17"."_no_value"), 0) AS "_no_value",
    COALESCE(SUM("t17"."_long"), 0) AS "_long",
    COALESCE(SUM("t17"."_no_long"), 0) AS "_no_long",
    COALESCE(SUM("t17"."_short"), 0) AS "_short",
    COALESCE(SUM("t17"."_no_short"), 0) AS "_no_short",
    AVG("t17"."_first_price") AS "_first_price",
    AVG("t17"."_last_price") AS "_last_price",
    MIN("t17"."_price") AS "_lowest",
    MAX("t17"."_price") AS "_highest",
    MAX("t17"."_rank") AS "_rank"
  FROM (
    SELECT
      "t16"."exchange",
      "t16"."instrument_type",
      "t16"."symbol",
      "t16"."base",
      "t16"."quote",
      "t16"."timestamp",
      "t16"."side",
      "t16"."price",
      "t16"."price_type",
      "t16"."quantity_base",
      "t16"."value_quote",
      "t16"."event",
      "t16"."coverage",
      "t16"."_us",
      "t16"."_before",
      "t16"."_begins",
      "t16"."_start",
      "t16"."_cascade",
      "t16"."_size",
      "t16"."_value",
      "t16"."_long",
      "t16"."_short",
      "t16"."_no_value",
      "t16"."_no_long",
      "t16"."_no_short",
      "t16"."_rank",
      "t16"."_unit",
      "t16"."_least",
      "t16"."_most",
      "t16"."_price",
      "t16"."_priced",
      "t16"."_first",
      "t16"."_last",
      CASE WHEN "t16"."_priced" = "t16"."_first" THEN "t16"."_price" ELSE NULL END AS "_first_price",
      CASE WHEN "t16"."_priced" = "t16"."_last" THEN "t16"."_price" ELSE NULL END AS "_last_price"
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
        MIN("t15"."_priced") OVER (
          PARTITION BY "t15"."base", "t15"."_cascade"
          ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        ) AS "_first",
        MAX("t15"."_priced") OVER (
          PARTITION BY "t15"."base", "t15"."_cascade"
          ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        ) AS "_last"
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
          CASE WHEN "t14"."_least" = "t14"."_most" THEN "t14"."_price" ELSE NULL END AS "_price",
          CASE
            WHEN NOT (
              CASE WHEN "t14"."_least" = "t14"."_most" THEN "t14"."_price" ELSE NULL END IS NULL
            )
            THEN "t14"."_us"
            ELSE NULL
          END AS "_priced"
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
            MIN(CAST("t13"."symbol" AS TEXT)) OVER (
              PARTITION BY "t13"."base", "t13"."_cascade"
              ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
            ) AS "_least",
            MAX(CAST("t13"."symbol" AS TEXT)) OVER (
              PARTITION BY "t13"."base", "t13"."_cascade"
              ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
            ) AS "_most",
            "t13"."_price"
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
              "t12"."_least",
              "t12"."_most",
              CASE
                WHEN "t12"."_least" = "t12"."_most"
                THEN CASE
                  WHEN CASE
                    WHEN ABS(CAST("t12"."price" AS DOUBLE)) <= 1.7976931348623157e+308
                    THEN CAST("t12"."price" AS DOUBLE)
                    ELSE NULL
                  END > 0
                  THEN CASE
                    WHEN ABS(CAST("t12"."price" AS DOUBLE)) <= 1.7976931348623157e+308
                    THEN CAST("t12"."price" AS DOUBLE)
                    ELSE NULL
                  END
                  ELSE NULL
                END
                ELSE NULL
              END AS "_price"
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
                MIN("t11"."_unit") OVER (
                  PARTITION BY "t11"."base", "t11"."_cascade"
                  ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                ) AS "_least",
                MAX("t11"."_unit") OVER (
                  PARTITION BY "t11"."base", "t11"."_cascade"
                  ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                ) AS "_most"
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
                  CAST("t10"."_value" IS NULL AS BIGINT) AS "_no_value",
                  CAST("t10"."_long" IS NULL AS BIGINT) AS "_no_long",
                  CAST("t10"."_short" IS NULL AS BIGINT) AS "_no_short",
                  COALESCE(
                    CASE WHEN CAST("t10"."coverage" AS TEXT) = 'full' THEN 0 ELSE NULL END,
                    CASE WHEN CAST("t10"."coverage" AS TEXT) = 'throttled' THEN 1 ELSE NULL END,
                    CASE WHEN CAST("t10"."coverage" AS TEXT) = 'absent' THEN 2 ELSE NULL END,
                    3
                  ) AS "_rank",
                  CASE
                    WHEN CASE
                      WHEN CAST("t10"."quote" AS TEXT) IS NULL
                      THEN NULL
                      ELSE CAST("t10"."quote" AS TEXT) IN ('BUSD', 'DAI', 'FDUSD', 'TUSD', 'USD', 'USDC', 'USDP', 'USDT')
                    END
                    THEN 'USD'
                    ELSE COALESCE(CAST("t10"."quote" AS TEXT), '')
                  END AS "_unit"
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
                    CASE
                      WHEN CAST("t9"."side" AS TEXT) = 'long'
                      THEN "t9"."_value"
                      ELSE CASE
                        WHEN COALESCE(
                          CASE
                            WHEN CAST("t9"."side" AS TEXT) IS NULL
                            THEN NULL
                            ELSE CAST("t9"."side" AS TEXT) IN ('long', 'short')
                          END,
                          FALSE
                        )
                        THEN 0.0
                        ELSE NULL
                      END
                    END AS "_long",
                    CASE
                      WHEN CAST("t9"."side" AS TEXT) = 'short'
                      THEN "t9"."_value"
                      ELSE CASE
                        WHEN COALESCE(
                          CASE
                            WHEN CAST("t9"."side" AS TEXT) IS NULL
                            THEN NULL
                            ELSE CAST("t9"."side" AS TEXT) IN ('long', 'short')
                          END,
                          FALSE
                        )
                        THEN 0.0
                        ELSE NULL
                      END
                    END AS "_short"
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
                      CASE
                        WHEN CASE
                          WHEN CAST("t8"."quote" AS TEXT) IS NULL
                          THEN NULL
                          ELSE CAST("t8"."quote" AS TEXT) IN ('BUSD', 'DAI', 'FDUSD', 'TUSD', 'USD', 'USDC', 'USDP', 'USDT')
                        END
                        THEN CASE
                          WHEN CASE
                            WHEN ABS(CAST("t8"."value_quote" AS DOUBLE)) <= 1.7976931348623157e+308
                            THEN CAST("t8"."value_quote" AS DOUBLE)
                            ELSE NULL
                          END >= 0
                          THEN CASE
                            WHEN ABS(CAST("t8"."value_quote" AS DOUBLE)) <= 1.7976931348623157e+308
                            THEN CAST("t8"."value_quote" AS DOUBLE)
                            ELSE NULL
                          END
                          ELSE NULL
                        END
                        ELSE NULL
                      END AS "_value"
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
                        COUNT("t7"."_us") OVER (
                          PARTITION BY "t7"."base", "t7"."_cascade"
                          ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                        ) AS "_size"
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
                          CASE
                            WHEN "t6"."_start" IS NOT NULL
                            THEN MAX("t6"."_start") OVER (
                              PARTITION BY "t6"."base"
                              ORDER BY "t6"."_us" ASC NULLS FIRST
                              ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
                            )
                            ELSE NULL
                          END AS "_cascade"
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
                            CASE WHEN "t5"."_begins" = 1 THEN "t5"."_us" ELSE -2305843009213693952 END AS "_start"
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
                              MAX("t4"."_begins") OVER (
                                PARTITION BY "t4"."base", "t4"."_us"
                                ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                              ) AS "_begins"
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
                                CAST((
                                  "t3"."_before" IS NULL
                                )
                                OR (
                                  (
                                    "t3"."_us" - "t3"."_before"
                                  ) > 60000000
                                ) AS BIGINT) AS "_begins"
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
                                  LAG("t2"."_us", 1) OVER (
                                    PARTITION BY "t2"."base"
                                    ORDER BY "t2"."_us" ASC NULLS FIRST
                                    ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                                  ) AS "_before"
                                FROM (
                                  SELECT
                                    *
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
                                        WHEN (
                                          DATE_DIFF('MICROSECOND', MAKE_TIMESTAMPTZ(1970, 1, 1, 0, 0, 0.0, 'UTC'), "t0"."timestamp") >= 946684800000000
                                        )
                                        AND (
                                          DATE_DIFF('MICROSECOND', MAKE_TIMESTAMPTZ(1970, 1, 1, 0, 0, 0.0, 'UTC'), "t0"."timestamp") < 7258118400000000
                                        )
                                        THEN DATE_DIFF('MICROSECOND', MAKE_TIMESTAMPTZ(1970, 1, 1, 0, 0, 0.0, 'UTC'), "t0"."timestamp")
                                        ELSE NULL
                                      END AS "_us"
                                    FROM "liquidations" AS "t0"
                                  ) AS "t1"
                                  WHERE
                                    NOT (
                                      "t1"."base" IS NULL
                                    ) AND NOT (
                                      "t1"."_us" IS NULL
                                    )
                                ) AS "t2"
                              ) AS "t3"
                            ) AS "t4"
                          ) AS "t5"
                        ) AS "t6"
                      ) AS "t7"
                    ) AS "t8"
                    WHERE
                      "t8"."_size" >= 2
                  ) AS "t9"
                ) AS "t10"
              ) AS "t11"
            ) AS "t12"
          ) AS "t13"
        ) AS "t14"
      ) AS "t15"
    ) AS "t16"
  ) AS "t17"
  GROUP BY
    1,
    2
) AS "t18"
WHERE
  "t18"."_value" >= 0.0
ORDER BY
  "t18"."base" ASC NULLS FIRST,
  CAST(TO_TIMESTAMP(CAST(FLOOR((
    "t18"."_cascade"
  ) / (
    1000000
  )) AS BIGINT)) AS TIMESTAMPTZ) + TO_MICROSECONDS("t18"."_cascade" % 1000000) ASC NULLS FIRST;

CREATE OR REPLACE TEMP VIEW liquidations_1d_liquidation_cascades AS
SELECT
  "t12"."base",
  CAST(TO_TIMESTAMP(CAST(FLOOR((
    "t12"."_cascade"
  ) / (
    1000000
  )) AS BIGINT)) AS TIMESTAMPTZ) + TO_MICROSECONDS("t12"."_cascade" % 1000000) AS "start",
  CAST(TO_TIMESTAMP(CAST(FLOOR((
    "t12"."_end"
  ) / (
    1000000
  )) AS BIGINT)) AS TIMESTAMPTZ) + TO_MICROSECONDS("t12"."_end" % 1000000) AS "end",
  (
    "t12"."_end" - "t12"."_cascade"
  ) / 1000000 AS "duration_seconds",
  "t12"."events",
  CASE WHEN "t12"."_no_value" = 0 THEN "t12"."_value" ELSE NULL END AS "value_usd",
  CASE WHEN "t12"."_no_long" = 0 THEN "t12"."_long" ELSE NULL END AS "long_value_usd",
  CASE WHEN "t12"."_no_short" = 0 THEN "t12"."_short" ELSE NULL END AS "short_value_usd",
  CASE
    WHEN NOT (
      FALSE
    )
    THEN (
      "t12"."_last_price" / "t12"."_first_price"
    ) - 1
    ELSE NULL
  END AS "price_move",
  CASE WHEN NOT (
    FALSE
  ) THEN CAST(NULL AS DOUBLE) ELSE NULL END AS "oi_change",
  "t12"."venues",
  COALESCE(
    CASE WHEN "t12"."_rank" = 0 THEN 'full' ELSE NULL END,
    CASE WHEN "t12"."_rank" = 1 THEN 'throttled' ELSE NULL END,
    CASE WHEN "t12"."_rank" = 2 THEN 'absent' ELSE NULL END
  ) AS "coverage"
FROM (
  SELECT
    "t11"."base",
    "t11"."_cascade",
    MAX("t11"."_us") AS "_end",
    COUNT(*) AS "events",
    COUNT(DISTINCT "t11"."exchange") + CAST(BOOL_OR(CAST("t11"."exchange" IS NULL AS BOOLEAN)) AS TINYINT) AS "venues",
    COALESCE(SUM("t11"."_value"), 0) AS "_value",
    COALESCE(SUM("t11"."_no_value"), 0) AS "_no_value",
    COALESCE(SUM("t11"."_long"), 0) AS "_long",
    COALESCE(SUM("t11"."_no_long"), 0) AS "_no_long",
    COALESCE(SUM("t11"."_short"), 0) AS "_short",
    COALESCE(SUM("t11"."_no_short"), 0) AS "_no_short",
    AVG("t11"."_first_price") AS "_first_price",
    AVG("t11"."_last_price") AS "_last_price",
    MIN("t11"."_price") AS "_lowest",
    MAX("t11"."_price") AS "_highest",
    MAX("t11"."_rank") AS "_rank"
  FROM (
    SELECT
      "t10"."exchange",
      "t10"."instrument_type",
      "t10"."symbol",
      "t10"."base",
      "t10"."quote",
      "t10"."timestamp",
      "t10"."side",
      "t10"."events",
      "t10"."quantity_base",
      "t10"."value_quote",
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
      CAST("t10"."_value" IS NULL AS BIGINT) AS "_no_value",
      CAST("t10"."_long" IS NULL AS BIGINT) AS "_no_long",
      CAST("t10"."_short" IS NULL AS BIGINT) AS "_no_short",
      COALESCE(
        CASE WHEN CAST("t10"."coverage" AS TEXT) = 'full' THEN 0 ELSE NULL END,
        CASE WHEN CAST("t10"."coverage" AS TEXT) = 'throttled' THEN 1 ELSE NULL END,
        CASE WHEN CAST("t10"."coverage" AS TEXT) = 'absent' THEN 2 ELSE NULL END,
        3
      ) AS "_rank",
      CAST(NULL AS DOUBLE) AS "_price",
      CAST(NULL AS DOUBLE) AS "_first_price",
      CAST(NULL AS DOUBLE) AS "_last_price"
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
        CASE
          WHEN CAST("t9"."side" AS TEXT) = 'long'
          THEN "t9"."_value"
          ELSE CASE
            WHEN COALESCE(
              CASE
                WHEN CAST("t9"."side" AS TEXT) IS NULL
                THEN NULL
                ELSE CAST("t9"."side" AS TEXT) IN ('long', 'short')
              END,
              FALSE
            )
            THEN 0.0
            ELSE NULL
          END
        END AS "_long",
        CASE
          WHEN CAST("t9"."side" AS TEXT) = 'short'
          THEN "t9"."_value"
          ELSE CASE
            WHEN COALESCE(
              CASE
                WHEN CAST("t9"."side" AS TEXT) IS NULL
                THEN NULL
                ELSE CAST("t9"."side" AS TEXT) IN ('long', 'short')
              END,
              FALSE
            )
            THEN 0.0
            ELSE NULL
          END
        END AS "_short"
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
          CASE
            WHEN CASE
              WHEN CAST("t8"."quote" AS TEXT) IS NULL
              THEN NULL
              ELSE CAST("t8"."quote" AS TEXT) IN ('BUSD', 'DAI', 'FDUSD', 'TUSD', 'USD', 'USDC', 'USDP', 'USDT')
            END
            THEN CASE
              WHEN CASE
                WHEN ABS(CAST("t8"."value_quote" AS DOUBLE)) <= 1.7976931348623157e+308
                THEN CAST("t8"."value_quote" AS DOUBLE)
                ELSE NULL
              END >= 0
              THEN CASE
                WHEN ABS(CAST("t8"."value_quote" AS DOUBLE)) <= 1.7976931348623157e+308
                THEN CAST("t8"."value_quote" AS DOUBLE)
                ELSE NULL
              END
              ELSE NULL
            END
            ELSE NULL
          END AS "_value"
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
            COUNT("t7"."_us") OVER (
              PARTITION BY "t7"."base", "t7"."_cascade"
              ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
            ) AS "_size"
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
              CASE
                WHEN "t6"."_start" IS NOT NULL
                THEN MAX("t6"."_start") OVER (
                  PARTITION BY "t6"."base"
                  ORDER BY "t6"."_us" ASC NULLS FIRST
                  ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
                )
                ELSE NULL
              END AS "_cascade"
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
                CASE WHEN "t5"."_begins" = 1 THEN "t5"."_us" ELSE -2305843009213693952 END AS "_start"
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
                  MAX("t4"."_begins") OVER (
                    PARTITION BY "t4"."base", "t4"."_us"
                    ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                  ) AS "_begins"
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
                    CAST((
                      "t3"."_before" IS NULL
                    )
                    OR (
                      (
                        "t3"."_us" - "t3"."_before"
                      ) > 60000000
                    ) AS BIGINT) AS "_begins"
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
                      LAG("t2"."_us", 1) OVER (
                        PARTITION BY "t2"."base"
                        ORDER BY "t2"."_us" ASC NULLS FIRST
                        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                      ) AS "_before"
                    FROM (
                      SELECT
                        *
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
                        FROM "liquidations_1d" AS "t0"
                      ) AS "t1"
                      WHERE
                        NOT (
                          "t1"."base" IS NULL
                        ) AND NOT (
                          "t1"."_us" IS NULL
                        )
                    ) AS "t2"
                  ) AS "t3"
                ) AS "t4"
              ) AS "t5"
            ) AS "t6"
          ) AS "t7"
        ) AS "t8"
        WHERE
          "t8"."_size" >= 2
      ) AS "t9"
    ) AS "t10"
  ) AS "t11"
  GROUP BY
    1,
    2
) AS "t12"
WHERE
  "t12"."_value" >= 0.0
ORDER BY
  "t12"."base" ASC NULLS FIRST,
  CAST(TO_TIMESTAMP(CAST(FLOOR((
    "t12"."_cascade"
  ) / (
    1000000
  )) AS BIGINT)) AS TIMESTAMPTZ) + TO_MICROSECONDS("t12"."_cascade" % 1000000) ASC NULLS FIRST;
