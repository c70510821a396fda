"""The ledger in PostgreSQL. Schema by alembic (SQLAlchemy's engine runs it), everything else by asyncpg."""
