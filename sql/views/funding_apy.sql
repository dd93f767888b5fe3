-- Generated from the metric registry and the schema by `python -m cexkit.warehouse.sql_views`; do not edit.
-- funding_apy: Funding rate compounded over a year, ``(1 + r) ** (8760 / h) - 1``.
-- Columns added or given: funding_apy.

CREATE OR REPLACE TEMP VIEW funding_rates_funding_apy AS
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
  EXP(
    (
      CASE
        WHEN CASE
          WHEN CASE
            WHEN ABS("t13"."_growth") <= 1.7976931348623157e+308
            THEN "t13"."_growth"
            ELSE NULL
          END > 0
          THEN CASE
            WHEN ABS("t13"."_growth") <= 1.7976931348623157e+308
            THEN "t13"."_growth"
            ELSE NULL
          END
          ELSE NULL
        END = 1
        THEN CASE
          WHEN ABS(CAST("t13"."funding_rate" AS DOUBLE)) <= 1.7976931348623157e+308
          THEN CAST("t13"."funding_rate" AS DOUBLE)
          ELSE NULL
        END
        ELSE (
          CASE
            WHEN CASE
              WHEN CASE
                WHEN ABS("t13"."_growth") <= 1.7976931348623157e+308
                THEN "t13"."_growth"
                ELSE NULL
              END > 0
              THEN CASE
                WHEN ABS("t13"."_growth") <= 1.7976931348623157e+308
                THEN "t13"."_growth"
                ELSE NULL
              END
              ELSE NULL
            END < 0
            THEN CAST('nan' AS DOUBLE)
            WHEN CASE
              WHEN CASE
                WHEN ABS("t13"."_growth") <= 1.7976931348623157e+308
                THEN "t13"."_growth"
                ELSE NULL
              END > 0
              THEN CASE
                WHEN ABS("t13"."_growth") <= 1.7976931348623157e+308
                THEN "t13"."_growth"
                ELSE NULL
              END
              ELSE NULL
            END = 0
            THEN CAST('-inf' AS DOUBLE)
            ELSE LN(
              CASE
                WHEN CASE
                  WHEN ABS("t13"."_growth") <= 1.7976931348623157e+308
                  THEN "t13"."_growth"
                  ELSE NULL
                END > 0
                THEN CASE
                  WHEN ABS("t13"."_growth") <= 1.7976931348623157e+308
                  THEN "t13"."_growth"
                  ELSE NULL
                END
                ELSE NULL
              END
            ) / LN(2.718281828459045)
          END * CASE
            WHEN ABS(CAST("t13"."funding_rate" AS DOUBLE)) <= 1.7976931348623157e+308
            THEN CAST("t13"."funding_rate" AS DOUBLE)
            ELSE NULL
          END
        ) / (
          CASE
            WHEN CASE
              WHEN ABS("t13"."_growth") <= 1.7976931348623157e+308
              THEN "t13"."_growth"
              ELSE NULL
            END > 0
            THEN CASE
              WHEN ABS("t13"."_growth") <= 1.7976931348623157e+308
              THEN "t13"."_growth"
              ELSE NULL
            END
            ELSE NULL
          END - 1
        )
      END * 8760
    ) / "t13"."_covered"
  ) - 1 AS "funding_apy"
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
    "t12"."_rated",
    "t12"."_share",
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
    COALESCE("t12"."_found", "t12"."_next") AS "_found",
    "t12"."_next",
    CAST(CASE
      WHEN COALESCE("t12"."_found", "t12"."_next") <> 0
      THEN ABS(COALESCE("t12"."_found", "t12"."_next"))
      ELSE NULL
    END AS DOUBLE) / 60 AS "_derived",
    COALESCE(COALESCE("t12"."_found", "t12"."_next") <= 0, FALSE) AS "_doubt",
    COALESCE(
      CASE
        WHEN (
          CASE
            WHEN ABS("t12"."funding_interval_hours") <= 1.7976931348623157e+308
            THEN "t12"."funding_interval_hours"
            ELSE NULL
          END > 0
        )
        AND (
          CASE
            WHEN ABS("t12"."funding_interval_hours") <= 1.7976931348623157e+308
            THEN "t12"."funding_interval_hours"
            ELSE NULL
          END <= 24
        )
        THEN CASE
          WHEN ABS("t12"."funding_interval_hours") <= 1.7976931348623157e+308
          THEN "t12"."funding_interval_hours"
          ELSE NULL
        END
        ELSE NULL
      END,
      CAST(CASE
        WHEN COALESCE("t12"."_found", "t12"."_next") <> 0
        THEN ABS(COALESCE("t12"."_found", "t12"."_next"))
        ELSE NULL
      END AS DOUBLE) / 60
    ) AS "_covered",
    CASE
      WHEN ABS(CAST("t12"."funding_rate" AS DOUBLE)) <= 1.7976931348623157e+308
      THEN CAST("t12"."funding_rate" AS DOUBLE)
      ELSE NULL
    END + 1 AS "_growth"
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
      "t11"."_rated",
      "t11"."_share",
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
      LAG("t11"."_found", -1) OVER (
        PARTITION BY "t11"."exchange", "t11"."instrument_type", "t11"."symbol", "t11"."_settled"
        ORDER BY "t11"."timestamp" ASC NULLS FIRST
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
      ) AS "_next"
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
        "t10"."_rated",
        "t10"."_share",
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
        CASE
          WHEN "t10"."_over_before" AND (
            "t10"."_before" = "t10"."_after"
          )
          THEN -(
            "t10"."_before"
          )
          ELSE CASE
            WHEN "t10"."_pair" > 0
            THEN "t10"."_pair"
            ELSE CASE
              WHEN "t10"."_pair_before" > 0
              THEN "t10"."_pair_before"
              ELSE CASE
                WHEN (
                  "t10"."_pair" = 0
                )
                OR (
                  "t10"."_pair_before" = 0
                )
                OR (
                  (
                    (
                      ABS((
                        "t10"."_distance" + "t10"."_before2"
                      ) - (
                        "t10"."_before" * 2
                      )) <= 1
                    )
                    OR (
                      ABS((
                        "t10"."_distance" + "t10"."_after2"
                      ) - (
                        "t10"."_before" * 2
                      )) <= 1
                    )
                  )
                  AND (
                    "t10"."_before" = "t10"."_after"
                  )
                  AND "t10"."_fits_before"
                  AND (
                    "t10"."_distance" <> "t10"."_before"
                  )
                )
                THEN "t10"."_distance" * 0
                ELSE CASE
                  WHEN "t10"."_fits_distance"
                  AND (
                    "t10"."_repeated"
                    OR (
                      "t10"."_supported"
                      AND NOT (
                        "t10"."_over_before"
                      )
                      AND NOT (
                        "t10"."_over_after"
                      )
                    )
                    OR COALESCE(
                      (
                        "t10"."_pair_after" = "t10"."_distance"
                      )
                      OR (
                        "t10"."_pair_before2" = "t10"."_distance"
                      ),
                      FALSE
                    )
                  )
                  AND NOT (
                    (
                      "t10"."_distance" = "t10"."_after"
                    )
                    AND (
                      "t10"."_before" = "t10"."_after2"
                    )
                    AND "t10"."_over_before"
                  )
                  AND NOT (
                    (
                      "t10"."_distance" = "t10"."_before"
                    )
                    AND (
                      "t10"."_before2" = "t10"."_after"
                    )
                    AND "t10"."_over_after"
                  )
                  THEN "t10"."_distance"
                  ELSE "t10"."_distance" * 0
                END
              END
            END
          END
        END AS "_found"
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
          "t9"."_rated",
          "t9"."_share",
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
          LAG("t9"."_pair", 1) OVER (
            PARTITION BY "t9"."exchange", "t9"."instrument_type", "t9"."symbol", "t9"."_settled"
            ORDER BY "t9"."timestamp" ASC NULLS FIRST
            ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
          ) AS "_pair_before",
          LAG("t9"."_pair", 2) OVER (
            PARTITION BY "t9"."exchange", "t9"."instrument_type", "t9"."symbol", "t9"."_settled"
            ORDER BY "t9"."timestamp" ASC NULLS FIRST
            ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
          ) AS "_pair_before2",
          LAG("t9"."_pair", -1) OVER (
            PARTITION BY "t9"."exchange", "t9"."instrument_type", "t9"."symbol", "t9"."_settled"
            ORDER BY "t9"."timestamp" ASC NULLS FIRST
            ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
          ) AS "_pair_after"
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
            "t8"."_rated",
            "t8"."_share",
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
            "t8"."_fits_before"
            AND (
              "t8"."_distance" > "t8"."_before"
            )
            AND (
              (
                (
                  (
                    "t8"."_distance" % "t8"."_before"
                  ) + "t8"."_before"
                ) % "t8"."_before"
              ) = 0
            ) AS "_over_before",
            "t8"."_fits_after"
            AND (
              "t8"."_distance" > "t8"."_after"
            )
            AND (
              (
                (
                  (
                    "t8"."_distance" % "t8"."_after"
                  ) + "t8"."_after"
                ) % "t8"."_after"
              ) = 0
            ) AS "_over_after",
            (
              "t8"."_distance" = "t8"."_before"
            ) OR (
              "t8"."_distance" = "t8"."_after"
            ) AS "_repeated",
            (
              (
                "t8"."_before" = 0
              ) AND (
                "t8"."_after" = 0
              )
            )
            OR "t8"."_fits_before"
            OR "t8"."_fits_after"
            OR (
              (
                "t8"."_before" > "t8"."_distance"
              )
              AND (
                (
                  (
                    (
                      "t8"."_before" % "t8"."_distance"
                    ) + "t8"."_distance"
                  ) % "t8"."_distance"
                ) = 0
              )
            )
            OR (
              (
                "t8"."_after" > "t8"."_distance"
              )
              AND (
                (
                  (
                    (
                      "t8"."_after" % "t8"."_distance"
                    ) + "t8"."_distance"
                  ) % "t8"."_distance"
                ) = 0
              )
            ) AS "_supported",
            CASE
              WHEN (
                "t8"."_distance" > 0
              )
              AND (
                "t8"."_after" > 0
              )
              AND (
                "t8"."_distance" <> "t8"."_after"
              )
              AND (
                "t8"."_distance" <> "t8"."_before"
              )
              AND (
                "t8"."_after" <> "t8"."_after2"
              )
              AND "t8"."_fits_before"
              AND (
                "t8"."_before" = "t8"."_after2"
              )
              AND (
                ABS((
                  "t8"."_distance" + "t8"."_after"
                ) - (
                  "t8"."_before" * 2
                )) <= 1
              )
              THEN "t8"."_before"
              ELSE CASE
                WHEN (
                  "t8"."_distance" > 0
                )
                AND (
                  "t8"."_after" > 0
                )
                AND (
                  "t8"."_distance" <> "t8"."_after"
                )
                AND (
                  "t8"."_distance" <> "t8"."_before"
                )
                AND (
                  "t8"."_after" <> "t8"."_after2"
                )
                AND (
                  (
                    (
                      "t8"."_distance" > 0
                    )
                    AND (
                      "t8"."_after" > 0
                    )
                    AND (
                      "t8"."_distance" <> "t8"."_after"
                    )
                    AND (
                      "t8"."_distance" <> "t8"."_before"
                    )
                    AND (
                      "t8"."_after" <> "t8"."_after2"
                    )
                    AND "t8"."_fits_before"
                    AND (
                      "t8"."_before" = "t8"."_after2"
                    )
                    AND (
                      (
                        (
                          (
                            "t8"."_distance" % "t8"."_before"
                          ) + "t8"."_before"
                        ) % "t8"."_before"
                      ) <> 0
                    )
                    AND (
                      (
                        (
                          (
                            (
                              "t8"."_distance" + "t8"."_after" + 1
                            ) % "t8"."_before"
                          ) + "t8"."_before"
                        ) % "t8"."_before"
                      ) <= 2
                    )
                  )
                  OR (
                    (
                      "t8"."_fits_before"
                      AND (
                        ABS((
                          "t8"."_distance" + "t8"."_after"
                        ) - (
                          "t8"."_before" * 2
                        )) <= 1
                      )
                    )
                    OR (
                      "t8"."_fits_after2"
                      AND (
                        ABS((
                          "t8"."_distance" + "t8"."_after"
                        ) - (
                          "t8"."_after2" * 2
                        )) <= 1
                      )
                    )
                  )
                  OR (
                    (
                      "t8"."_before" = 0
                    )
                    AND (
                      "t8"."_after2" = 0
                    )
                    AND CASE
                      WHEN (
                        "t8"."_distance" + "t8"."_after"
                      ) IS NULL
                      THEN NULL
                      ELSE "t8"."_distance" + "t8"."_after" IN (119, 120, 121, 239, 240, 241, 479, 480, 481, 719, 720, 721, 959, 960, 961)
                    END
                  )
                )
                THEN "t8"."_distance" * 0
                ELSE (
                  "t8"."_distance" * 0
                ) - 1
              END
            END AS "_pair"
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
              "t7"."_rated",
              "t7"."_share",
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
              CASE
                WHEN "t7"."_distance" IS NULL
                THEN NULL
                ELSE "t7"."_distance" IN (60, 120, 240, 360, 480)
              END AS "_fits_distance",
              CASE
                WHEN "t7"."_before" IS NULL
                THEN NULL
                ELSE "t7"."_before" IN (60, 120, 240, 360, 480)
              END AS "_fits_before",
              CASE
                WHEN "t7"."_after" IS NULL
                THEN NULL
                ELSE "t7"."_after" IN (60, 120, 240, 360, 480)
              END AS "_fits_after",
              CASE
                WHEN "t7"."_after2" IS NULL
                THEN NULL
                ELSE "t7"."_after2" IN (60, 120, 240, 360, 480)
              END AS "_fits_after2"
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
                "t6"."_rated",
                "t6"."_share",
                "t6"."_settled",
                "t6"."_us",
                "t6"."_previous",
                "t6"."_minutes",
                "t6"."_hour",
                "t6"."_distance",
                COALESCE(
                  LAG("t6"."_distance", 1) OVER (
                    PARTITION BY "t6"."exchange", "t6"."instrument_type", "t6"."symbol", "t6"."_settled"
                    ORDER BY "t6"."timestamp" ASC NULLS FIRST
                    ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                  ),
                  0
                ) AS "_before",
                COALESCE(
                  LAG("t6"."_distance", 2) OVER (
                    PARTITION BY "t6"."exchange", "t6"."instrument_type", "t6"."symbol", "t6"."_settled"
                    ORDER BY "t6"."timestamp" ASC NULLS FIRST
                    ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                  ),
                  0
                ) AS "_before2",
                COALESCE(
                  LAG("t6"."_distance", -1) OVER (
                    PARTITION BY "t6"."exchange", "t6"."instrument_type", "t6"."symbol", "t6"."_settled"
                    ORDER BY "t6"."timestamp" ASC NULLS FIRST
                    ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                  ),
                  0
                ) AS "_after",
                COALESCE(
                  LAG("t6"."_distance", -2) OVER (
                    PARTITION BY "t6"."exchange", "t6"."instrument_type", "t6"."symbol", "t6"."_settled"
                    ORDER BY "t6"."timestamp" ASC NULLS FIRST
                    ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                  ),
                  0
                ) AS "_after2"
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
                  "t5"."_rated",
                  "t5"."_share",
                  "t5"."_settled",
                  "t5"."_us",
                  "t5"."_previous",
                  "t5"."_minutes",
                  "t5"."_hour",
                  CASE
                    WHEN ABS("t5"."_minutes" - "t5"."_hour") <= 1
                    THEN "t5"."_hour"
                    ELSE "t5"."_minutes"
                  END AS "_distance"
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
                    "t4"."_rated",
                    "t4"."_share",
                    "t4"."_settled",
                    "t4"."_us",
                    "t4"."_previous",
                    CASE
                      WHEN 60000000 <> 0
                      THEN CAST(FLOOR((
                        (
                          "t4"."_us" - "t4"."_previous"
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
                                "t4"."_us" - "t4"."_previous"
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
                      "t3"."_rated",
                      "t3"."_share",
                      "t3"."_settled",
                      "t3"."_us",
                      LAG("t3"."_us", 1) OVER (
                        PARTITION BY "t3"."exchange", "t3"."instrument_type", "t3"."symbol", "t3"."_settled"
                        ORDER BY "t3"."timestamp" ASC NULLS FIRST
                        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                      ) AS "_previous"
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
                        "t2"."_rated",
                        "t2"."_share",
                        "t2"."_rated" OR (
                          "t2"."_share" > 0.5
                        ) AS "_settled",
                        CASE
                          WHEN (
                            DATE_DIFF('MICROSECOND', MAKE_TIMESTAMPTZ(1970, 1, 1, 0, 0, 0.0, 'UTC'), "t2"."timestamp") >= 946684800000000
                          )
                          AND (
                            DATE_DIFF('MICROSECOND', MAKE_TIMESTAMPTZ(1970, 1, 1, 0, 0, 0.0, 'UTC'), "t2"."timestamp") < 7258118400000000
                          )
                          THEN DATE_DIFF('MICROSECOND', MAKE_TIMESTAMPTZ(1970, 1, 1, 0, 0, 0.0, 'UTC'), "t2"."timestamp")
                          ELSE NULL
                        END AS "_us"
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
                          "t1"."_rated",
                          AVG(CAST("t1"."_rated" AS DOUBLE)) OVER (
                            PARTITION BY "t1"."exchange", "t1"."instrument_type", "t1"."symbol"
                            ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                          ) AS "_share"
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
                            NOT (
                              CASE
                                WHEN ABS(CAST("t0"."funding_rate" AS DOUBLE)) <= 1.7976931348623157e+308
                                THEN CAST("t0"."funding_rate" AS DOUBLE)
                                ELSE NULL
                              END IS NULL
                            ) AS "_rated"
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
) AS "t13";
