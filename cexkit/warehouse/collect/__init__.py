"""Live liquidations: listening to the venues' streams and keeping every message in Bronze."""
