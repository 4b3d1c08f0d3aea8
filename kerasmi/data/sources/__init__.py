"""Where records come from: one module per source."""
