"""Kafka as all three services use it: one broker object, outlets that declare what they write, batches that cannot
skip a record, tables of compacted topics, and the topics' own provisioning."""
