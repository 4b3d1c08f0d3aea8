"""The recipes that ship with kerasmi."""
