"""Random schemas and values that Avro for Java writes, and whether the worker reads them as Java does."""
