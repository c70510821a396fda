"""Python types of the records on the topics. The JSON Schemas beside them are the source of truth; a test holds
the two together in both directions (tests/unit/contracts)."""
