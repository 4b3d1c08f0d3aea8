"""The same experiments for the public radiographs of Open-i."""
