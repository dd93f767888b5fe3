-- Generated from the metric registry and the schema by `python -m cexkit.warehouse.sql_views`; do not edit.
-- The tables of a dataset by name, in a plain DuckDB shell. Give the dataset's folder first:
--   SET VARIABLE root = 'path/to/warehouse';
-- Only files that the manifest names are read: others in the folder are older versions of them.
-- A column that older files lack is null, and a table that the dataset lacks is empty.

SET VARIABLE any_file = (
  SELECT [getvariable('root') || '/' || files[1].path] FROM read_json(getvariable('root') || '/manifest.json')
);

SET VARIABLE instruments_files = (
  SELECT list(getvariable('root') || '/' || file.path)
  FROM (SELECT unnest(files) AS file FROM read_json(getvariable('root') || '/manifest.json'))
  WHERE file."table" = 'instruments'
);
CREATE OR REPLACE TEMP VIEW instruments AS
SELECT "exchange", "instrument_type", "symbol", "base", "quote", "venue_symbol", "settle", "multiplier", "contract_size", "inverse", "tick_size", "lot_size", "status", "listing_time", "delisting_time", "expiry", "funding_interval_hours", "observed_at", "asset_class"
FROM (
  SELECT CAST(NULL AS TEXT) AS "exchange", CAST(NULL AS TEXT) AS "instrument_type", CAST(NULL AS TEXT) AS "symbol", CAST(NULL AS TEXT) AS "base", CAST(NULL AS TEXT) AS "quote", CAST(NULL AS TEXT) AS "venue_symbol", CAST(NULL AS TEXT) AS "settle", CAST(NULL AS DOUBLE) AS "multiplier", CAST(NULL AS DOUBLE) AS "contract_size", CAST(NULL AS BOOLEAN) AS "inverse", CAST(NULL AS DOUBLE) AS "tick_size", CAST(NULL AS DOUBLE) AS "lot_size", CAST(NULL AS TEXT) AS "status", CAST(NULL AS TIMESTAMPTZ) AS "listing_time", CAST(NULL AS TIMESTAMPTZ) AS "delisting_time", CAST(NULL AS TIMESTAMPTZ) AS "expiry", CAST(NULL AS DOUBLE) AS "funding_interval_hours", CAST(NULL AS TIMESTAMPTZ) AS "observed_at", CAST(NULL AS TEXT) AS "asset_class" WHERE false
  UNION ALL BY NAME
  FROM read_parquet(
    coalesce(getvariable('instruments_files'), getvariable('any_file')), hive_partitioning = false, union_by_name = true
  )
  WHERE getvariable('instruments_files') IS NOT NULL
);

SET VARIABLE instrument_periods_files = (
  SELECT list(getvariable('root') || '/' || file.path)
  FROM (SELECT unnest(files) AS file FROM read_json(getvariable('root') || '/manifest.json'))
  WHERE file."table" = 'instrument_periods'
);
CREATE OR REPLACE TEMP VIEW instrument_periods AS
SELECT "exchange", "instrument_type", "symbol", "base", "quote", "venue_symbol", "valid_from", "valid_to", "listing_time", "delisting_time", "settle", "multiplier", "contract_size", "inverse", "tick_size", "lot_size", "status", "funding_interval_hours", "asset_class", "expiry"
FROM (
  SELECT CAST(NULL AS TEXT) AS "exchange", CAST(NULL AS TEXT) AS "instrument_type", CAST(NULL AS TEXT) AS "symbol", CAST(NULL AS TEXT) AS "base", CAST(NULL AS TEXT) AS "quote", CAST(NULL AS TEXT) AS "venue_symbol", CAST(NULL AS TIMESTAMPTZ) AS "valid_from", CAST(NULL AS TIMESTAMPTZ) AS "valid_to", CAST(NULL AS TIMESTAMPTZ) AS "listing_time", CAST(NULL AS TIMESTAMPTZ) AS "delisting_time", CAST(NULL AS TEXT) AS "settle", CAST(NULL AS DOUBLE) AS "multiplier", CAST(NULL AS DOUBLE) AS "contract_size", CAST(NULL AS BOOLEAN) AS "inverse", CAST(NULL AS DOUBLE) AS "tick_size", CAST(NULL AS DOUBLE) AS "lot_size", CAST(NULL AS TEXT) AS "status", CAST(NULL AS DOUBLE) AS "funding_interval_hours", CAST(NULL AS TEXT) AS "asset_class", CAST(NULL AS TIMESTAMPTZ) AS "expiry" WHERE false
  UNION ALL BY NAME
  FROM read_parquet(
    coalesce(getvariable('instrument_periods_files'), getvariable('any_file')), hive_partitioning = false, union_by_name = true
  )
  WHERE getvariable('instrument_periods_files') IS NOT NULL
);

SET VARIABLE ohlcv_1m_files = (
  SELECT list(getvariable('root') || '/' || file.path)
  FROM (SELECT unnest(files) AS file FROM read_json(getvariable('root') || '/manifest.json'))
  WHERE file."table" = 'ohlcv_1m'
);
CREATE OR REPLACE TEMP VIEW ohlcv_1m AS
SELECT "exchange", "instrument_type", "symbol", "base", "quote", "timestamp", "open", "high", "low", "close", "volume_base", "volume_quote", "trades", "taker_buy_volume_base", "taker_buy_volume_quote", "multiplier"
FROM (
  SELECT CAST(NULL AS TEXT) AS "exchange", CAST(NULL AS TEXT) AS "instrument_type", CAST(NULL AS TEXT) AS "symbol", CAST(NULL AS TEXT) AS "base", CAST(NULL AS TEXT) AS "quote", CAST(NULL AS TIMESTAMPTZ) AS "timestamp", CAST(NULL AS DOUBLE) AS "open", CAST(NULL AS DOUBLE) AS "high", CAST(NULL AS DOUBLE) AS "low", CAST(NULL AS DOUBLE) AS "close", CAST(NULL AS DOUBLE) AS "volume_base", CAST(NULL AS DOUBLE) AS "volume_quote", CAST(NULL AS BIGINT) AS "trades", CAST(NULL AS DOUBLE) AS "taker_buy_volume_base", CAST(NULL AS DOUBLE) AS "taker_buy_volume_quote", CAST(NULL AS DOUBLE) AS "multiplier" WHERE false
  UNION ALL BY NAME
  FROM read_parquet(
    coalesce(getvariable('ohlcv_1m_files'), getvariable('any_file')), hive_partitioning = false, union_by_name = true
  )
  WHERE getvariable('ohlcv_1m_files') IS NOT NULL
);

SET VARIABLE ohlcv_1h_files = (
  SELECT list(getvariable('root') || '/' || file.path)
  FROM (SELECT unnest(files) AS file FROM read_json(getvariable('root') || '/manifest.json'))
  WHERE file."table" = 'ohlcv_1h'
);
CREATE OR REPLACE TEMP VIEW ohlcv_1h AS
SELECT "exchange", "instrument_type", "symbol", "base", "quote", "timestamp", "open", "high", "low", "close", "volume_base", "volume_quote", "trades", "taker_buy_volume_base", "taker_buy_volume_quote", "multiplier"
FROM (
  SELECT CAST(NULL AS TEXT) AS "exchange", CAST(NULL AS TEXT) AS "instrument_type", CAST(NULL AS TEXT) AS "symbol", CAST(NULL AS TEXT) AS "base", CAST(NULL AS TEXT) AS "quote", CAST(NULL AS TIMESTAMPTZ) AS "timestamp", CAST(NULL AS DOUBLE) AS "open", CAST(NULL AS DOUBLE) AS "high", CAST(NULL AS DOUBLE) AS "low", CAST(NULL AS DOUBLE) AS "close", CAST(NULL AS DOUBLE) AS "volume_base", CAST(NULL AS DOUBLE) AS "volume_quote", CAST(NULL AS BIGINT) AS "trades", CAST(NULL AS DOUBLE) AS "taker_buy_volume_base", CAST(NULL AS DOUBLE) AS "taker_buy_volume_quote", CAST(NULL AS DOUBLE) AS "multiplier" WHERE false
  UNION ALL BY NAME
  FROM read_parquet(
    coalesce(getvariable('ohlcv_1h_files'), getvariable('any_file')), hive_partitioning = false, union_by_name = true
  )
  WHERE getvariable('ohlcv_1h_files') IS NOT NULL
);

SET VARIABLE ohlcv_1d_files = (
  SELECT list(getvariable('root') || '/' || file.path)
  FROM (SELECT unnest(files) AS file FROM read_json(getvariable('root') || '/manifest.json'))
  WHERE file."table" = 'ohlcv_1d'
);
CREATE OR REPLACE TEMP VIEW ohlcv_1d AS
SELECT "exchange", "instrument_type", "symbol", "base", "quote", "timestamp", "open", "high", "low", "close", "volume_base", "volume_quote", "trades", "taker_buy_volume_base", "taker_buy_volume_quote", "multiplier"
FROM (
  SELECT CAST(NULL AS TEXT) AS "exchange", CAST(NULL AS TEXT) AS "instrument_type", CAST(NULL AS TEXT) AS "symbol", CAST(NULL AS TEXT) AS "base", CAST(NULL AS TEXT) AS "quote", CAST(NULL AS TIMESTAMPTZ) AS "timestamp", CAST(NULL AS DOUBLE) AS "open", CAST(NULL AS DOUBLE) AS "high", CAST(NULL AS DOUBLE) AS "low", CAST(NULL AS DOUBLE) AS "close", CAST(NULL AS DOUBLE) AS "volume_base", CAST(NULL AS DOUBLE) AS "volume_quote", CAST(NULL AS BIGINT) AS "trades", CAST(NULL AS DOUBLE) AS "taker_buy_volume_base", CAST(NULL AS DOUBLE) AS "taker_buy_volume_quote", CAST(NULL AS DOUBLE) AS "multiplier" WHERE false
  UNION ALL BY NAME
  FROM read_parquet(
    coalesce(getvariable('ohlcv_1d_files'), getvariable('any_file')), hive_partitioning = false, union_by_name = true
  )
  WHERE getvariable('ohlcv_1d_files') IS NOT NULL
);

SET VARIABLE mark_1h_files = (
  SELECT list(getvariable('root') || '/' || file.path)
  FROM (SELECT unnest(files) AS file FROM read_json(getvariable('root') || '/manifest.json'))
  WHERE file."table" = 'mark_1h'
);
CREATE OR REPLACE TEMP VIEW mark_1h AS
SELECT "exchange", "instrument_type", "symbol", "base", "quote", "timestamp", "open", "high", "low", "close", "multiplier"
FROM (
  SELECT CAST(NULL AS TEXT) AS "exchange", CAST(NULL AS TEXT) AS "instrument_type", CAST(NULL AS TEXT) AS "symbol", CAST(NULL AS TEXT) AS "base", CAST(NULL AS TEXT) AS "quote", CAST(NULL AS TIMESTAMPTZ) AS "timestamp", CAST(NULL AS DOUBLE) AS "open", CAST(NULL AS DOUBLE) AS "high", CAST(NULL AS DOUBLE) AS "low", CAST(NULL AS DOUBLE) AS "close", CAST(NULL AS DOUBLE) AS "multiplier" WHERE false
  UNION ALL BY NAME
  FROM read_parquet(
    coalesce(getvariable('mark_1h_files'), getvariable('any_file')), hive_partitioning = false, union_by_name = true
  )
  WHERE getvariable('mark_1h_files') IS NOT NULL
);

SET VARIABLE index_1h_files = (
  SELECT list(getvariable('root') || '/' || file.path)
  FROM (SELECT unnest(files) AS file FROM read_json(getvariable('root') || '/manifest.json'))
  WHERE file."table" = 'index_1h'
);
CREATE OR REPLACE TEMP VIEW index_1h AS
SELECT "exchange", "instrument_type", "symbol", "base", "quote", "timestamp", "open", "high", "low", "close", "multiplier"
FROM (
  SELECT CAST(NULL AS TEXT) AS "exchange", CAST(NULL AS TEXT) AS "instrument_type", CAST(NULL AS TEXT) AS "symbol", CAST(NULL AS TEXT) AS "base", CAST(NULL AS TEXT) AS "quote", CAST(NULL AS TIMESTAMPTZ) AS "timestamp", CAST(NULL AS DOUBLE) AS "open", CAST(NULL AS DOUBLE) AS "high", CAST(NULL AS DOUBLE) AS "low", CAST(NULL AS DOUBLE) AS "close", CAST(NULL AS DOUBLE) AS "multiplier" WHERE false
  UNION ALL BY NAME
  FROM read_parquet(
    coalesce(getvariable('index_1h_files'), getvariable('any_file')), hive_partitioning = false, union_by_name = true
  )
  WHERE getvariable('index_1h_files') IS NOT NULL
);

SET VARIABLE funding_rates_files = (
  SELECT list(getvariable('root') || '/' || file.path)
  FROM (SELECT unnest(files) AS file FROM read_json(getvariable('root') || '/manifest.json'))
  WHERE file."table" = 'funding_rates'
);
CREATE OR REPLACE TEMP VIEW funding_rates AS
SELECT "exchange", "instrument_type", "symbol", "base", "quote", "timestamp", "funding_rate", "funding_interval_hours", "mark_price", "index_price", "venue_timestamp"
FROM (
  SELECT CAST(NULL AS TEXT) AS "exchange", CAST(NULL AS TEXT) AS "instrument_type", CAST(NULL AS TEXT) AS "symbol", CAST(NULL AS TEXT) AS "base", CAST(NULL AS TEXT) AS "quote", CAST(NULL AS TIMESTAMPTZ) AS "timestamp", CAST(NULL AS DOUBLE) AS "funding_rate", CAST(NULL AS DOUBLE) AS "funding_interval_hours", CAST(NULL AS DOUBLE) AS "mark_price", CAST(NULL AS DOUBLE) AS "index_price", CAST(NULL AS TIMESTAMPTZ) AS "venue_timestamp" WHERE false
  UNION ALL BY NAME
  FROM read_parquet(
    coalesce(getvariable('funding_rates_files'), getvariable('any_file')), hive_partitioning = false, union_by_name = true
  )
  WHERE getvariable('funding_rates_files') IS NOT NULL
);

SET VARIABLE open_interest_files = (
  SELECT list(getvariable('root') || '/' || file.path)
  FROM (SELECT unnest(files) AS file FROM read_json(getvariable('root') || '/manifest.json'))
  WHERE file."table" = 'open_interest'
);
CREATE OR REPLACE TEMP VIEW open_interest AS
SELECT "exchange", "instrument_type", "symbol", "base", "quote", "timestamp", "open_interest_base", "open_interest_quote", "multiplier"
FROM (
  SELECT CAST(NULL AS TEXT) AS "exchange", CAST(NULL AS TEXT) AS "instrument_type", CAST(NULL AS TEXT) AS "symbol", CAST(NULL AS TEXT) AS "base", CAST(NULL AS TEXT) AS "quote", CAST(NULL AS TIMESTAMPTZ) AS "timestamp", CAST(NULL AS DOUBLE) AS "open_interest_base", CAST(NULL AS DOUBLE) AS "open_interest_quote", CAST(NULL AS DOUBLE) AS "multiplier" WHERE false
  UNION ALL BY NAME
  FROM read_parquet(
    coalesce(getvariable('open_interest_files'), getvariable('any_file')), hive_partitioning = false, union_by_name = true
  )
  WHERE getvariable('open_interest_files') IS NOT NULL
);

SET VARIABLE liquidations_files = (
  SELECT list(getvariable('root') || '/' || file.path)
  FROM (SELECT unnest(files) AS file FROM read_json(getvariable('root') || '/manifest.json'))
  WHERE file."table" = 'liquidations'
);
CREATE OR REPLACE TEMP VIEW liquidations AS
SELECT "exchange", "instrument_type", "symbol", "base", "quote", "timestamp", "side", "price", "price_type", "quantity_base", "value_quote", "event", "coverage"
FROM (
  SELECT CAST(NULL AS TEXT) AS "exchange", CAST(NULL AS TEXT) AS "instrument_type", CAST(NULL AS TEXT) AS "symbol", CAST(NULL AS TEXT) AS "base", CAST(NULL AS TEXT) AS "quote", CAST(NULL AS TIMESTAMPTZ) AS "timestamp", CAST(NULL AS TEXT) AS "side", CAST(NULL AS DOUBLE) AS "price", CAST(NULL AS TEXT) AS "price_type", CAST(NULL AS DOUBLE) AS "quantity_base", CAST(NULL AS DOUBLE) AS "value_quote", CAST(NULL AS BIGINT) AS "event", CAST(NULL AS TEXT) AS "coverage" WHERE false
  UNION ALL BY NAME
  FROM read_parquet(
    coalesce(getvariable('liquidations_files'), getvariable('any_file')), hive_partitioning = false, union_by_name = true
  )
  WHERE getvariable('liquidations_files') IS NOT NULL
);

SET VARIABLE funding_weighted_8h_files = (
  SELECT list(getvariable('root') || '/' || file.path)
  FROM (SELECT unnest(files) AS file FROM read_json(getvariable('root') || '/manifest.json'))
  WHERE file."table" = 'funding_weighted_8h'
);
CREATE OR REPLACE TEMP VIEW funding_weighted_8h AS
SELECT "timestamp", "base", "weighted_funding", "venues", "weight_coverage", "quotes"
FROM (
  SELECT CAST(NULL AS TIMESTAMPTZ) AS "timestamp", CAST(NULL AS TEXT) AS "base", CAST(NULL AS DOUBLE) AS "weighted_funding", CAST(NULL AS BIGINT) AS "venues", CAST(NULL AS DOUBLE) AS "weight_coverage", CAST(NULL AS TEXT) AS "quotes" WHERE false
  UNION ALL BY NAME
  FROM read_parquet(
    coalesce(getvariable('funding_weighted_8h_files'), getvariable('any_file')), hive_partitioning = false, union_by_name = true
  )
  WHERE getvariable('funding_weighted_8h_files') IS NOT NULL
);

SET VARIABLE ohlcv_1d_composite_files = (
  SELECT list(getvariable('root') || '/' || file.path)
  FROM (SELECT unnest(files) AS file FROM read_json(getvariable('root') || '/manifest.json'))
  WHERE file."table" = 'ohlcv_1d_composite'
);
CREATE OR REPLACE TEMP VIEW ohlcv_1d_composite AS
SELECT "timestamp", "base", "open", "high", "low", "close", "volume_base", "venues", "quotes", "dispersion_bps"
FROM (
  SELECT CAST(NULL AS TIMESTAMPTZ) AS "timestamp", CAST(NULL AS TEXT) AS "base", CAST(NULL AS DOUBLE) AS "open", CAST(NULL AS DOUBLE) AS "high", CAST(NULL AS DOUBLE) AS "low", CAST(NULL AS DOUBLE) AS "close", CAST(NULL AS DOUBLE) AS "volume_base", CAST(NULL AS BIGINT) AS "venues", CAST(NULL AS TEXT) AS "quotes", CAST(NULL AS DOUBLE) AS "dispersion_bps" WHERE false
  UNION ALL BY NAME
  FROM read_parquet(
    coalesce(getvariable('ohlcv_1d_composite_files'), getvariable('any_file')), hive_partitioning = false, union_by_name = true
  )
  WHERE getvariable('ohlcv_1d_composite_files') IS NOT NULL
);

SET VARIABLE liquidations_1d_files = (
  SELECT list(getvariable('root') || '/' || file.path)
  FROM (SELECT unnest(files) AS file FROM read_json(getvariable('root') || '/manifest.json'))
  WHERE file."table" = 'liquidations_1d'
);
CREATE OR REPLACE TEMP VIEW liquidations_1d AS
SELECT "exchange", "instrument_type", "symbol", "base", "quote", "timestamp", "side", "events", "quantity_base", "value_quote", "coverage"
FROM (
  SELECT CAST(NULL AS TEXT) AS "exchange", CAST(NULL AS TEXT) AS "instrument_type", CAST(NULL AS TEXT) AS "symbol", CAST(NULL AS TEXT) AS "base", CAST(NULL AS TEXT) AS "quote", CAST(NULL AS TIMESTAMPTZ) AS "timestamp", CAST(NULL AS TEXT) AS "side", CAST(NULL AS BIGINT) AS "events", CAST(NULL AS DOUBLE) AS "quantity_base", CAST(NULL AS DOUBLE) AS "value_quote", CAST(NULL AS TEXT) AS "coverage" WHERE false
  UNION ALL BY NAME
  FROM read_parquet(
    coalesce(getvariable('liquidations_1d_files'), getvariable('any_file')), hive_partitioning = false, union_by_name = true
  )
  WHERE getvariable('liquidations_1d_files') IS NOT NULL
);

SET VARIABLE data_quality_files = (
  SELECT list(getvariable('root') || '/' || file.path)
  FROM (SELECT unnest(files) AS file FROM read_json(getvariable('root') || '/manifest.json'))
  WHERE file."table" = 'data_quality'
);
CREATE OR REPLACE TEMP VIEW data_quality AS
SELECT "timestamp", "exchange", "table_name", "check_name", "blocking", "rows_checked", "rows_failed"
FROM (
  SELECT CAST(NULL AS TIMESTAMPTZ) AS "timestamp", CAST(NULL AS TEXT) AS "exchange", CAST(NULL AS TEXT) AS "table_name", CAST(NULL AS TEXT) AS "check_name", CAST(NULL AS BOOLEAN) AS "blocking", CAST(NULL AS BIGINT) AS "rows_checked", CAST(NULL AS BIGINT) AS "rows_failed" WHERE false
  UNION ALL BY NAME
  FROM read_parquet(
    coalesce(getvariable('data_quality_files'), getvariable('any_file')), hive_partitioning = false, union_by_name = true
  )
  WHERE getvariable('data_quality_files') IS NOT NULL
);
