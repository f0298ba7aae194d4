"""OpenAPI contracts: reads a contract file, finds the operation a request names, checks requests and responses."""
