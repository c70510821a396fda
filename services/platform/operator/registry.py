"""`sallyport registry apply|key`: put agencies, facilities and sources on registry.v1."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import yaml
from aiokafka.errors import KafkaError
from cyclopts import App
from rich.console import Console

from contracts.cloudevents import Attributes, encode_headers
from contracts.types.registry import RegistryRecord, registry_key
from services.platform.errors import ContractViolation
from services.platform.kafka.clients import make_producer
from services.platform.kafka.doors import explained
from services.platform.operator.reading import file_bytes
from services.platform.registry import REGISTRY_TOPIC, hash_key, new_key
from services.platform.settings import PlatformSettings

__all__ = ["app", "load_registry", "publish"]

app = App(name="registry", help="Agencies, facilities and sources.")
console = Console()


def load_registry(file: Path) -> list[RegistryRecord]:
    """Records from YAML or JSON: a list under `records`. file: may be a pipe.

    Raises:
        ContractViolation: it cannot be read, or is not such a file, or a record is not what the contract says; `field`
            says which.
    """
    raw = file_bytes(file)
    try:
        return msgspec.convert(yaml.safe_load(raw.decode())["records"], list[RegistryRecord])
    except msgspec.ValidationError as error:
        raise ContractViolation("registry_record_invalid", str(error)) from None
    except (UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        raise ContractViolation(
            "registry_file_invalid", "want a YAML or JSON object (UTF-8) with a list under `records`"
        ) from None


async def publish(settings: PlatformSettings, records: list[RegistryRecord]) -> None:
    """Write `records`; return once all in-sync replicas have them. Raises BrokerUnavailable."""
    producer = make_producer(settings)
    try:
        await producer.start()
        now = datetime.now(UTC)
        for record in records:
            key = registry_key(record)
            kind = key.partition(":")[0]
            attributes = Attributes(
                f"{key}@{now.timestamp():.6f}",
                "sallyport/operator",
                f"sallyport.registry.{kind}.v1",
                now,
                now,
            )
            await producer.send(
                REGISTRY_TOPIC,
                key=key.encode(),
                value=msgspec.json.encode(record),
                headers=encode_headers(attributes),
            )
        await producer.flush()
    except (KafkaError, OSError) as error:
        raise await explained(settings, error, "registry.v1 could not be written") from error
    finally:
        await producer.stop()


@app.command
def apply(file: Path) -> int:
    """Publish every record of FILE (YAML or JSON); a record that is there already is replaced whole."""
    records = load_registry(file)
    asyncio.run(publish(PlatformSettings(), records))
    console.print(f"{len(records)} records on {REGISTRY_TOPIC}")
    return 0


@app.command
def key() -> int:
    """Make an API key: the key itself for the source, its hash for the registry file. The key is shown once."""
    fresh = new_key()
    console.print(f"key         {fresh}", highlight=False)
    console.print(f"key_sha256  {hash_key(fresh)}", highlight=False)
    return 0
