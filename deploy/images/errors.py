"""What can go wrong with images and the cluster. Every message is one line: what is missing, and how to go on."""

from __future__ import annotations

from services.platform.errors import SallyportError

__all__ = ["AuthorityIncomplete", "BuildFailed", "ClusterNotReady", "ImagesError", "NoComposeTool", "NoEngine"]


class ImagesError(SallyportError):
    """Base of the errors of deploy/images and deploy/cluster."""

    code = "images"
    alert = False


class NoEngine(ImagesError):
    """No container engine answers."""

    code = "images_no_engine"


class BuildFailed(ImagesError):
    """A base or an image could not be made."""

    code = "images_build_failed"


class NoComposeTool(ImagesError):
    """Nothing here understands deploy/compose.yaml."""

    code = "cluster_no_compose_tool"


class ClusterNotReady(ImagesError):
    """A container ended, or was not ready within its time."""

    code = "cluster_not_ready"
    retryable = True


class AuthorityIncomplete(ImagesError):
    """Certificates are here without the authority that signed them, or it has to sign and its key is not here."""

    code = "cluster_authority_incomplete"
