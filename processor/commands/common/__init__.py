"""What several commands share: their options, signals, text on a terminal, and the explanation of a record."""
