"""The table of epochs: its columns and notes, its files written and read, and its curves."""
