"""What a service counts, as it says on /metrics."""

from __future__ import annotations

from deploy.demo.processes import ServiceProcess

__all__ = ["total"]


def total(service: ServiceProcess, sample: str) -> float:
    """The sum of all samples that begin so: the name of a metric, and as much of its labels as matters."""
    lines = service.get("/metrics")[1].splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(sample))
