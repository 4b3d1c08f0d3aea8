"""The same experiments at the scale of the paper."""
