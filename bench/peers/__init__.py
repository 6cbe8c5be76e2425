"""Others that do the worker's work on the same topic, and how they are measured beside it.

Each decodes typed maps in Avro, makes the items that the worker makes, and POSTs them in batches to the same sink; the
sink's account says that it did. None of them keeps the worker's promises: no journal, no dead letters, no limits, no
jobs that are followed.
"""
