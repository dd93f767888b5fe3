-- Generated from cexkit/schema by `python -m cexkit.schema`; do not edit.

-- What is and was listed: names, contract terms, listing and delisting.
CREATE TABLE instruments (
  "exchange" TEXT NOT NULL,
  "instrument_type" TEXT NOT NULL,
  "symbol" TEXT NOT NULL,
  "base" TEXT NOT NULL,
  "quote" TEXT NOT NULL,
  "venue_symbol" TEXT NOT NULL,
  "settle" TEXT NOT NULL,
  "multiplier" DOUBLE NOT NULL,  -- coins per unit
  "contract_size" DOUBLE NOT NULL,  -- units, or quote if inverse
  "inverse" BOOLEAN NOT NULL,
  "tick_size" DOUBLE,  -- quote per unit
  "lot_size" DOUBLE,  -- units
  "status" TEXT NOT NULL,
  "listing_time" TIMESTAMPTZ,  -- UTC
  "delisting_time" TIMESTAMPTZ,  -- UTC
  "expiry" TIMESTAMPTZ,  -- UTC
  "funding_interval_hours" DOUBLE,  -- hours
  "observed_at" TIMESTAMPTZ NOT NULL,  -- UTC
  "asset_class" TEXT,
  CONSTRAINT positive_multiplier CHECK (multiplier > 0 AND contract_size > 0),
  CONSTRAINT known_status CHECK (status IN ('trading', 'pending', 'halted', 'delisted')),
  PRIMARY KEY (exchange, instrument_type, symbol)
);

-- Facts of each instrument over time: one row per span in which all of them were the same.
CREATE TABLE instrument_periods (
  "exchange" TEXT NOT NULL,
  "instrument_type" TEXT NOT NULL,
  "symbol" TEXT NOT NULL,
  "base" TEXT NOT NULL,
  "quote" TEXT NOT NULL,
  "venue_symbol" TEXT NOT NULL,
  "valid_from" TIMESTAMPTZ NOT NULL,  -- UTC
  "valid_to" TIMESTAMPTZ,  -- UTC
  "listing_time" TIMESTAMPTZ,  -- UTC
  "delisting_time" TIMESTAMPTZ,  -- UTC
  "settle" TEXT NOT NULL,
  "multiplier" DOUBLE NOT NULL,  -- coins per unit
  "contract_size" DOUBLE NOT NULL,  -- units, or quote if inverse
  "inverse" BOOLEAN NOT NULL,
  "tick_size" DOUBLE,  -- quote per unit
  "lot_size" DOUBLE,  -- units
  "status" TEXT NOT NULL,
  "funding_interval_hours" DOUBLE,  -- hours
  "asset_class" TEXT,
  "expiry" TIMESTAMPTZ,  -- UTC
  CONSTRAINT positive_multiplier CHECK (multiplier > 0 AND contract_size > 0),
  CONSTRAINT known_status CHECK (status IN ('trading', 'pending', 'halted', 'delisted')),
  CONSTRAINT period_not_empty CHECK (valid_to IS NULL OR valid_to > valid_from),
  PRIMARY KEY (exchange, instrument_type, symbol, valid_from)
);

-- Trade price bars of one minute.
CREATE TABLE ohlcv_1m (
  "exchange" TEXT NOT NULL,
  "instrument_type" TEXT NOT NULL,
  "symbol" TEXT NOT NULL,
  "base" TEXT NOT NULL,
  "quote" TEXT NOT NULL,
  "timestamp" TIMESTAMPTZ NOT NULL,  -- UTC
  "open" DOUBLE NOT NULL,  -- quote per unit
  "high" DOUBLE NOT NULL,  -- quote per unit
  "low" DOUBLE NOT NULL,  -- quote per unit
  "close" DOUBLE NOT NULL,  -- quote per unit
  "volume_base" DOUBLE NOT NULL,  -- units
  "volume_quote" DOUBLE,  -- quote
  "trades" BIGINT,
  "taker_buy_volume_base" DOUBLE,  -- units
  "taker_buy_volume_quote" DOUBLE,  -- quote
  "multiplier" DOUBLE,  -- coins per unit
  CONSTRAINT ohlc_order CHECK (high >= open AND high >= close AND high >= low AND low <= open AND low <= close),
  CONSTRAINT positive_price CHECK (low > 0),
  CONSTRAINT volume_not_negative CHECK (volume_base >= 0 AND (volume_quote IS NULL OR volume_quote >= 0)),
  CONSTRAINT taker_within_volume CHECK (taker_buy_volume_base IS NULL OR (taker_buy_volume_base >= 0 AND taker_buy_volume_base <= volume_base * 1.000001)),
  PRIMARY KEY (exchange, instrument_type, symbol, timestamp)
);

-- Trade price bars of one hour.
CREATE TABLE ohlcv_1h (
  "exchange" TEXT NOT NULL,
  "instrument_type" TEXT NOT NULL,
  "symbol" TEXT NOT NULL,
  "base" TEXT NOT NULL,
  "quote" TEXT NOT NULL,
  "timestamp" TIMESTAMPTZ NOT NULL,  -- UTC
  "open" DOUBLE NOT NULL,  -- quote per unit
  "high" DOUBLE NOT NULL,  -- quote per unit
  "low" DOUBLE NOT NULL,  -- quote per unit
  "close" DOUBLE NOT NULL,  -- quote per unit
  "volume_base" DOUBLE NOT NULL,  -- units
  "volume_quote" DOUBLE,  -- quote
  "trades" BIGINT,
  "taker_buy_volume_base" DOUBLE,  -- units
  "taker_buy_volume_quote" DOUBLE,  -- quote
  "multiplier" DOUBLE,  -- coins per unit
  CONSTRAINT ohlc_order CHECK (high >= open AND high >= close AND high >= low AND low <= open AND low <= close),
  CONSTRAINT positive_price CHECK (low > 0),
  CONSTRAINT volume_not_negative CHECK (volume_base >= 0 AND (volume_quote IS NULL OR volume_quote >= 0)),
  CONSTRAINT taker_within_volume CHECK (taker_buy_volume_base IS NULL OR (taker_buy_volume_base >= 0 AND taker_buy_volume_base <= volume_base * 1.000001)),
  PRIMARY KEY (exchange, instrument_type, symbol, timestamp)
);

-- Trade price bars of one UTC day.
CREATE TABLE ohlcv_1d (
  "exchange" TEXT NOT NULL,
  "instrument_type" TEXT NOT NULL,
  "symbol" TEXT NOT NULL,
  "base" TEXT NOT NULL,
  "quote" TEXT NOT NULL,
  "timestamp" TIMESTAMPTZ NOT NULL,  -- UTC
  "open" DOUBLE NOT NULL,  -- quote per unit
  "high" DOUBLE NOT NULL,  -- quote per unit
  "low" DOUBLE NOT NULL,  -- quote per unit
  "close" DOUBLE NOT NULL,  -- quote per unit
  "volume_base" DOUBLE NOT NULL,  -- units
  "volume_quote" DOUBLE,  -- quote
  "trades" BIGINT,
  "taker_buy_volume_base" DOUBLE,  -- units
  "taker_buy_volume_quote" DOUBLE,  -- quote
  "multiplier" DOUBLE,  -- coins per unit
  CONSTRAINT ohlc_order CHECK (high >= open AND high >= close AND high >= low AND low <= open AND low <= close),
  CONSTRAINT positive_price CHECK (low > 0),
  CONSTRAINT volume_not_negative CHECK (volume_base >= 0 AND (volume_quote IS NULL OR volume_quote >= 0)),
  CONSTRAINT taker_within_volume CHECK (taker_buy_volume_base IS NULL OR (taker_buy_volume_base >= 0 AND taker_buy_volume_base <= volume_base * 1.000001)),
  PRIMARY KEY (exchange, instrument_type, symbol, timestamp)
);

-- Mark price bars of one hour.
CREATE TABLE mark_1h (
  "exchange" TEXT NOT NULL,
  "instrument_type" TEXT NOT NULL,
  "symbol" TEXT NOT NULL,
  "base" TEXT NOT NULL,
  "quote" TEXT NOT NULL,
  "timestamp" TIMESTAMPTZ NOT NULL,  -- UTC
  "open" DOUBLE NOT NULL,  -- quote per unit
  "high" DOUBLE NOT NULL,  -- quote per unit
  "low" DOUBLE NOT NULL,  -- quote per unit
  "close" DOUBLE NOT NULL,  -- quote per unit
  "multiplier" DOUBLE,  -- coins per unit
  CONSTRAINT ohlc_order CHECK (high >= open AND high >= close AND high >= low AND low <= open AND low <= close),
  CONSTRAINT positive_price CHECK (low > 0),
  PRIMARY KEY (exchange, instrument_type, symbol, timestamp)
);

-- Index price bars of one hour.
CREATE TABLE index_1h (
  "exchange" TEXT NOT NULL,
  "instrument_type" TEXT NOT NULL,
  "symbol" TEXT NOT NULL,
  "base" TEXT NOT NULL,
  "quote" TEXT NOT NULL,
  "timestamp" TIMESTAMPTZ NOT NULL,  -- UTC
  "open" DOUBLE NOT NULL,  -- quote per unit
  "high" DOUBLE NOT NULL,  -- quote per unit
  "low" DOUBLE NOT NULL,  -- quote per unit
  "close" DOUBLE NOT NULL,  -- quote per unit
  "multiplier" DOUBLE,  -- coins per unit
  CONSTRAINT ohlc_order CHECK (high >= open AND high >= close AND high >= low AND low <= open AND low <= close),
  CONSTRAINT positive_price CHECK (low > 0),
  PRIMARY KEY (exchange, instrument_type, symbol, timestamp)
);

-- Funding as settled (paid), one row per settlement; predictions are never in here.
CREATE TABLE funding_rates (
  "exchange" TEXT NOT NULL,
  "instrument_type" TEXT NOT NULL,
  "symbol" TEXT NOT NULL,
  "base" TEXT NOT NULL,
  "quote" TEXT NOT NULL,
  "timestamp" TIMESTAMPTZ NOT NULL,  -- UTC
  "funding_rate" DOUBLE NOT NULL,  -- fraction per interval
  "funding_interval_hours" DOUBLE,  -- hours
  "mark_price" DOUBLE,  -- quote per unit
  "index_price" DOUBLE,  -- quote per unit
  "venue_timestamp" TIMESTAMPTZ,  -- UTC
  CONSTRAINT plausible_rate CHECK (funding_rate >= -0.1 AND funding_rate <= 0.1),
  CONSTRAINT known_interval CHECK (funding_interval_hours IS NULL OR funding_interval_hours IN (1, 2, 4, 6, 8)),
  PRIMARY KEY (exchange, instrument_type, symbol, timestamp)
);

-- Open interest, one snapshot an hour, one side, in units of base.
CREATE TABLE open_interest (
  "exchange" TEXT NOT NULL,
  "instrument_type" TEXT NOT NULL,
  "symbol" TEXT NOT NULL,
  "base" TEXT NOT NULL,
  "quote" TEXT NOT NULL,
  "timestamp" TIMESTAMPTZ NOT NULL,  -- UTC
  "open_interest_base" DOUBLE NOT NULL,  -- units
  "open_interest_quote" DOUBLE,  -- quote
  "multiplier" DOUBLE,  -- coins per unit
  CONSTRAINT open_interest_not_negative CHECK (open_interest_base >= 0),
  PRIMARY KEY (exchange, instrument_type, symbol, timestamp)
);

-- Forced closings as venues report them.
CREATE TABLE liquidations (
  "exchange" TEXT NOT NULL,
  "instrument_type" TEXT NOT NULL,
  "symbol" TEXT NOT NULL,
  "base" TEXT NOT NULL,
  "quote" TEXT NOT NULL,
  "timestamp" TIMESTAMPTZ NOT NULL,  -- UTC
  "side" TEXT NOT NULL,
  "price" DOUBLE NOT NULL,  -- quote per unit
  "price_type" TEXT NOT NULL,
  "quantity_base" DOUBLE NOT NULL,  -- units
  "value_quote" DOUBLE NOT NULL,  -- quote
  "event" BIGINT NOT NULL,
  "coverage" TEXT NOT NULL,
  CONSTRAINT known_side CHECK (side IN ('long', 'short')),
  CONSTRAINT positive_liquidation CHECK (price > 0 AND quantity_base > 0),
  PRIMARY KEY (exchange, instrument_type, symbol, timestamp, side, price, quantity_base, event)
);

-- Funding per 8 hours over venues, weighted by open interest.
CREATE TABLE funding_weighted_8h (
  "timestamp" TIMESTAMPTZ NOT NULL,  -- UTC
  "base" TEXT NOT NULL,
  "weighted_funding" DOUBLE NOT NULL,  -- fraction per 8 h
  "venues" BIGINT NOT NULL,
  "weight_coverage" DOUBLE NOT NULL,  -- fraction
  "quotes" TEXT NOT NULL,
  CONSTRAINT coverage_is_share CHECK (weight_coverage >= 0 AND weight_coverage <= 1.000001),
  PRIMARY KEY (base, timestamp)
);

-- Daily spot bars over venues: median prices per coin, summed volume, and how far venues were apart.
CREATE TABLE ohlcv_1d_composite (
  "timestamp" TIMESTAMPTZ NOT NULL,  -- UTC
  "base" TEXT NOT NULL,
  "open" DOUBLE NOT NULL,  -- quote per unit
  "high" DOUBLE NOT NULL,  -- quote per unit
  "low" DOUBLE NOT NULL,  -- quote per unit
  "close" DOUBLE NOT NULL,  -- quote per unit
  "volume_base" DOUBLE NOT NULL,  -- units
  "venues" BIGINT NOT NULL,
  "quotes" TEXT NOT NULL,
  "dispersion_bps" DOUBLE,  -- bps
  CONSTRAINT ohlc_order CHECK (high >= open AND high >= close AND high >= low AND low <= open AND low <= close),
  CONSTRAINT positive_price CHECK (low > 0),
  PRIMARY KEY (base, timestamp)
);

-- Liquidations per UTC day, instrument and side of the position.
CREATE TABLE liquidations_1d (
  "exchange" TEXT NOT NULL,
  "instrument_type" TEXT NOT NULL,
  "symbol" TEXT NOT NULL,
  "base" TEXT NOT NULL,
  "quote" TEXT NOT NULL,
  "timestamp" TIMESTAMPTZ NOT NULL,  -- UTC
  "side" TEXT NOT NULL,
  "events" BIGINT NOT NULL,
  "quantity_base" DOUBLE NOT NULL,  -- units
  "value_quote" DOUBLE NOT NULL,  -- quote
  "coverage" TEXT NOT NULL,
  CONSTRAINT known_side CHECK (side IN ('long', 'short')),
  PRIMARY KEY (exchange, instrument_type, symbol, timestamp, side)
);

-- What the declared checks found, per table, venue and UTC day of data.
CREATE TABLE data_quality (
  "timestamp" TIMESTAMPTZ NOT NULL,  -- UTC
  "exchange" TEXT NOT NULL,
  "table_name" TEXT NOT NULL,
  "check_name" TEXT NOT NULL,
  "blocking" BOOLEAN NOT NULL,
  "rows_checked" BIGINT NOT NULL,
  "rows_failed" BIGINT NOT NULL,
  PRIMARY KEY (exchange, table_name, check_name, timestamp)
);
