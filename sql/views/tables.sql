-- Generated from the metric registry and the schema by `python -m cexkit.warehouse.sql_views`; do not edit.
-- The tables of a dataset by name, in a plain DuckDB shell. Give the dataset's folder first:
--   SET VARIABLE root = 'path/to/warehouse';
-- Only files that the manifest names are read: others in the folder are older versions of them.

SET VARIABLE instruments_files = (
  SELECT list(getvariable('root') || '/' || file.path)
  FROM (SELECT unnest(files) AS file FROM read_json(getvariable('root') || '/manifest.json'))
  WHERE file."table" = 'instruments'
);
CREATE OR REPLACE TEMP VIEW instruments AS
SELECT "exchange", "instrument_type", "symbol", "base", "quote", "venue_symbol", "settle", "multiplier", "contract_size", "inverse", "tick_size", "lot_size", "status", "listing_time", "delisting_time", "expiry", "funding_interval_hours", "observed_at"
FROM read_parquet(getvariable('instruments_files'), hive_partitioning = false);

SET VARIABLE ohlcv_1m_files = (
  SELECT list(getvariable('root') || '/' || file.path)
  FROM (SELECT unnest(files) AS file FROM read_json(getvariable('root') || '/manifest.json'))
  WHERE file."table" = 'ohlcv_1m'
);
CREATE OR REPLACE TEMP VIEW ohlcv_1m AS
SELECT "exchange", "instrument_type", "symbol", "base", "quote", "timestamp", "open", "high", "low", "close", "volume_base", "volume_quote", "trades", "taker_buy_volume_base", "taker_buy_volume_quote"
FROM read_parquet(getvariable('ohlcv_1m_files'), hive_partitioning = false);

SET VARIABLE ohlcv_1h_files = (
  SELECT list(getvariable('root') || '/' || file.path)
  FROM (SELECT unnest(files) AS file FROM read_json(getvariable('root') || '/manifest.json'))
  WHERE file."table" = 'ohlcv_1h'
);
CREATE OR REPLACE TEMP VIEW ohlcv_1h AS
SELECT "exchange", "instrument_type", "symbol", "base", "quote", "timestamp", "open", "high", "low", "close", "volume_base", "volume_quote", "trades", "taker_buy_volume_base", "taker_buy_volume_quote"
FROM read_parquet(getvariable('ohlcv_1h_files'), hive_partitioning = false);

SET VARIABLE ohlcv_1d_files = (
  SELECT list(getvariable('root') || '/' || file.path)
  FROM (SELECT unnest(files) AS file FROM read_json(getvariable('root') || '/manifest.json'))
  WHERE file."table" = 'ohlcv_1d'
);
CREATE OR REPLACE TEMP VIEW ohlcv_1d AS
SELECT "exchange", "instrument_type", "symbol", "base", "quote", "timestamp", "open", "high", "low", "close", "volume_base", "volume_quote", "trades", "taker_buy_volume_base", "taker_buy_volume_quote"
FROM read_parquet(getvariable('ohlcv_1d_files'), hive_partitioning = false);

SET VARIABLE mark_1h_files = (
  SELECT list(getvariable('root') || '/' || file.path)
  FROM (SELECT unnest(files) AS file FROM read_json(getvariable('root') || '/manifest.json'))
  WHERE file."table" = 'mark_1h'
);
CREATE OR REPLACE TEMP VIEW mark_1h AS
SELECT "exchange", "instrument_type", "symbol", "base", "quote", "timestamp", "open", "high", "low", "close"
FROM read_parquet(getvariable('mark_1h_files'), hive_partitioning = false);

SET VARIABLE index_1h_files = (
  SELECT list(getvariable('root') || '/' || file.path)
  FROM (SELECT unnest(files) AS file FROM read_json(getvariable('root') || '/manifest.json'))
  WHERE file."table" = 'index_1h'
);
CREATE OR REPLACE TEMP VIEW index_1h AS
SELECT "exchange", "instrument_type", "symbol", "base", "quote", "timestamp", "open", "high", "low", "close"
FROM read_parquet(getvariable('index_1h_files'), hive_partitioning = false);

SET VARIABLE funding_rates_files = (
  SELECT list(getvariable('root') || '/' || file.path)
  FROM (SELECT unnest(files) AS file FROM read_json(getvariable('root') || '/manifest.json'))
  WHERE file."table" = 'funding_rates'
);
CREATE OR REPLACE TEMP VIEW funding_rates AS
SELECT "exchange", "instrument_type", "symbol", "base", "quote", "timestamp", "funding_rate", "funding_interval_hours", "mark_price", "index_price", "venue_timestamp"
FROM read_parquet(getvariable('funding_rates_files'), hive_partitioning = false);

SET VARIABLE open_interest_files = (
  SELECT list(getvariable('root') || '/' || file.path)
  FROM (SELECT unnest(files) AS file FROM read_json(getvariable('root') || '/manifest.json'))
  WHERE file."table" = 'open_interest'
);
CREATE OR REPLACE TEMP VIEW open_interest AS
SELECT "exchange", "instrument_type", "symbol", "base", "quote", "timestamp", "open_interest_base", "open_interest_quote"
FROM read_parquet(getvariable('open_interest_files'), hive_partitioning = false);

SET VARIABLE liquidations_files = (
  SELECT list(getvariable('root') || '/' || file.path)
  FROM (SELECT unnest(files) AS file FROM read_json(getvariable('root') || '/manifest.json'))
  WHERE file."table" = 'liquidations'
);
CREATE OR REPLACE TEMP VIEW liquidations AS
SELECT "exchange", "instrument_type", "symbol", "base", "quote", "timestamp", "side", "price", "price_type", "quantity_base", "value_quote", "event", "coverage"
FROM read_parquet(getvariable('liquidations_files'), hive_partitioning = false);

SET VARIABLE funding_weighted_8h_files = (
  SELECT list(getvariable('root') || '/' || file.path)
  FROM (SELECT unnest(files) AS file FROM read_json(getvariable('root') || '/manifest.json'))
  WHERE file."table" = 'funding_weighted_8h'
);
CREATE OR REPLACE TEMP VIEW funding_weighted_8h AS
SELECT "timestamp", "base", "weighted_funding", "venues", "weight_coverage", "quotes"
FROM read_parquet(getvariable('funding_weighted_8h_files'), hive_partitioning = false);

SET VARIABLE ohlcv_1d_composite_files = (
  SELECT list(getvariable('root') || '/' || file.path)
  FROM (SELECT unnest(files) AS file FROM read_json(getvariable('root') || '/manifest.json'))
  WHERE file."table" = 'ohlcv_1d_composite'
);
CREATE OR REPLACE TEMP VIEW ohlcv_1d_composite AS
SELECT "timestamp", "base", "open", "high", "low", "close", "volume_base", "venues", "quotes", "dispersion_bps"
FROM read_parquet(getvariable('ohlcv_1d_composite_files'), hive_partitioning = false);

SET VARIABLE liquidations_1d_files = (
  SELECT list(getvariable('root') || '/' || file.path)
  FROM (SELECT unnest(files) AS file FROM read_json(getvariable('root') || '/manifest.json'))
  WHERE file."table" = 'liquidations_1d'
);
CREATE OR REPLACE TEMP VIEW liquidations_1d AS
SELECT "exchange", "instrument_type", "symbol", "base", "quote", "timestamp", "side", "events", "quantity_base", "value_quote", "coverage"
FROM read_parquet(getvariable('liquidations_1d_files'), hive_partitioning = false);

SET VARIABLE data_quality_files = (
  SELECT list(getvariable('root') || '/' || file.path)
  FROM (SELECT unnest(files) AS file FROM read_json(getvariable('root') || '/manifest.json'))
  WHERE file."table" = 'data_quality'
);
CREATE OR REPLACE TEMP VIEW data_quality AS
SELECT "timestamp", "exchange", "table_name", "check_name", "blocking", "rows_checked", "rows_failed"
FROM read_parquet(getvariable('data_quality_files'), hive_partitioning = false);
