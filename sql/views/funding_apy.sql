-- Generated from the metric registry and the schema by `python -m cexkit.warehouse.sql_views`; do not edit.
-- funding_apy: Funding rate compounded over a year, ``(1 + r) ** (8760 / h) - 1``.
-- Columns added or given: funding_apy.

CREATE OR REPLACE TEMP VIEW funding_rates_funding_apy AS
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
  EXP(
    (
      CASE
        WHEN CASE
          WHEN CASE
            WHEN ABS("t10"."_growth") <= 1.7976931348623157e+308
            THEN "t10"."_growth"
            ELSE NULL
          END > 0
          THEN CASE
            WHEN ABS("t10"."_growth") <= 1.7976931348623157e+308
            THEN "t10"."_growth"
            ELSE NULL
          END
          ELSE NULL
        END = 1
        THEN CASE
          WHEN ABS(CAST("t10"."funding_rate" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t10"."funding_rate" AS DOUBLE)
          ELSE NULL
        END
        ELSE (
          CASE
            WHEN CASE
              WHEN CASE
                WHEN ABS("t10"."_growth") <= 1.7976931348623157e+308
                THEN "t10"."_growth"
                ELSE NULL
              END > 0
              THEN CASE
                WHEN ABS("t10"."_growth") <= 1.7976931348623157e+308
                THEN "t10"."_growth"
                ELSE NULL
              END
              ELSE NULL
            END < 0
            THEN CAST('nan' AS DOUBLE)
            WHEN CASE
              WHEN CASE
                WHEN ABS("t10"."_growth") <= 1.7976931348623157e+308
                THEN "t10"."_growth"
                ELSE NULL
              END > 0
              THEN CASE
                WHEN ABS("t10"."_growth") <= 1.7976931348623157e+308
                THEN "t10"."_growth"
                ELSE NULL
              END
              ELSE NULL
            END = 0
            THEN CAST('-inf' AS DOUBLE)
            ELSE LN(
              CASE
                WHEN CASE
                  WHEN ABS("t10"."_growth") <= 1.7976931348623157e+308
                  THEN "t10"."_growth"
                  ELSE NULL
                END > 0
                THEN CASE
                  WHEN ABS("t10"."_growth") <= 1.7976931348623157e+308
                  THEN "t10"."_growth"
                  ELSE NULL
                END
                ELSE NULL
              END
            ) / LN(2.718281828459045)
          END * CASE
            WHEN ABS(CAST("t10"."funding_rate" AS DOUBLE)) <= 1.7976931348623157e+308
            THEN CAST("t10"."funding_rate" AS DOUBLE)
            ELSE NULL
          END
        ) / (
          CASE
            WHEN CASE
              WHEN ABS("t10"."_growth") <= 1.7976931348623157e+308
              THEN "t10"."_growth"
              ELSE NULL
            END > 0
            THEN CASE
              WHEN ABS("t10"."_growth") <= 1.7976931348623157e+308
              THEN "t10"."_growth"
              ELSE NULL
            END
            ELSE NULL
          END - 1
        )
      END * 8760
    ) / "t10"."_covered"
  ) - 1 AS "funding_apy"
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
    "t9"."_over_before",
    "t9"."_over_after",
    "t9"."_repeated",
    "t9"."_supported",
    COALESCE("t9"."_found", "t9"."_next") AS "_found",
    "t9"."_next",
    CAST(CASE
      WHEN COALESCE("t9"."_found", "t9"."_next") <> 0
      THEN ABS(COALESCE("t9"."_found", "t9"."_next"))
      ELSE NULL
    END AS DOUBLE) / 60 AS "_derived",
    COALESCE(COALESCE("t9"."_found", "t9"."_next") <= 0, FALSE) AS "_doubt",
    COALESCE(
      CASE
        WHEN CASE
          WHEN ABS("t9"."funding_interval_hours") <= 1.7976931348623157e+308
          THEN "t9"."funding_interval_hours"
          ELSE NULL
        END > 0
        THEN CASE
          WHEN ABS("t9"."funding_interval_hours") <= 1.7976931348623157e+308
          THEN "t9"."funding_interval_hours"
          ELSE NULL
        END
        ELSE NULL
      END,
      CAST(CASE
        WHEN COALESCE("t9"."_found", "t9"."_next") <> 0
        THEN ABS(COALESCE("t9"."_found", "t9"."_next"))
        ELSE NULL
      END AS DOUBLE) / 60
    ) AS "_covered",
    CASE
      WHEN ABS(CAST("t9"."funding_rate" AS DOUBLE)) <= 1.7976931348623157e+308
      THEN CAST("t9"."funding_rate" AS DOUBLE)
      ELSE NULL
    END + 1 AS "_growth"
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
      "t8"."_over_before",
      "t8"."_over_after",
      "t8"."_repeated",
      "t8"."_supported",
      "t8"."_found",
      LAG("t8"."_found", -1) OVER (
        PARTITION BY "t8"."exchange", "t8"."instrument_type", "t8"."symbol"
        ORDER BY "t8"."timestamp" ASC NULLS FIRST
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
      ) AS "_next"
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
        "t7"."_over_before",
        "t7"."_over_after",
        "t7"."_repeated",
        "t7"."_supported",
        CASE
          WHEN "t7"."_over_before" AND (
            "t7"."_before" = "t7"."_after"
          )
          THEN -(
            "t7"."_before"
          )
          ELSE CASE
            WHEN "t7"."_fits_distance"
            AND (
              "t7"."_repeated"
              OR (
                "t7"."_supported"
                AND NOT (
                  "t7"."_over_before"
                )
                AND NOT (
                  "t7"."_over_after"
                )
              )
            )
            AND NOT (
              (
                "t7"."_distance" = "t7"."_after"
              )
              AND (
                "t7"."_before" = "t7"."_after2"
              )
              AND "t7"."_over_before"
            )
            AND NOT (
              (
                "t7"."_distance" = "t7"."_before"
              )
              AND (
                "t7"."_before2" = "t7"."_after"
              )
              AND "t7"."_over_after"
            )
            THEN "t7"."_distance"
            ELSE "t7"."_distance" * 0
          END
        END AS "_found"
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
          ) AS "_supported"
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
            END AS "_fits_after"
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
              "t4"."_us",
              "t4"."_previous",
              "t4"."_minutes",
              "t4"."_hour",
              "t4"."_distance",
              COALESCE(
                LAG("t4"."_distance", 1) OVER (
                  PARTITION BY "t4"."exchange", "t4"."instrument_type", "t4"."symbol"
                  ORDER BY "t4"."timestamp" ASC NULLS FIRST
                  ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                ),
                0
              ) AS "_before",
              COALESCE(
                LAG("t4"."_distance", 2) OVER (
                  PARTITION BY "t4"."exchange", "t4"."instrument_type", "t4"."symbol"
                  ORDER BY "t4"."timestamp" ASC NULLS FIRST
                  ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                ),
                0
              ) AS "_before2",
              COALESCE(
                LAG("t4"."_distance", -1) OVER (
                  PARTITION BY "t4"."exchange", "t4"."instrument_type", "t4"."symbol"
                  ORDER BY "t4"."timestamp" ASC NULLS FIRST
                  ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                ),
                0
              ) AS "_after",
              COALESCE(
                LAG("t4"."_distance", -2) OVER (
                  PARTITION BY "t4"."exchange", "t4"."instrument_type", "t4"."symbol"
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
                    "t1"."_us",
                    LAG("t1"."_us", 1) OVER (
                      PARTITION BY "t1"."exchange", "t1"."instrument_type", "t1"."symbol"
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
                      DATE_DIFF('MICROSECOND', MAKE_TIMESTAMPTZ(1970, 1, 1, 0, 0, 0.0, 'UTC'), "t0"."timestamp") AS "_us"
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
) AS "t10";
