"""The HTTP edge of a service: aiohttp.web in the service's own event loop (docs/adr/0003)."""
