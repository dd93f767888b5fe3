"""Liquidation metrics: summary, cascades, heatmap, and intensity."""
