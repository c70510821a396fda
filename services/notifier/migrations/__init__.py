"""The ledger's schema, by alembic. `sallyport migrate` brings a database to the newest revision."""
