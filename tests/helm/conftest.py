"""The chart, rendered by a real helm. Without one these tests are skipped: `make tools` builds it where there is Go."""

from __future__ import annotations

import pytest

from deploy.helm.tool import installed
from tests.helm.chart import Chart


@pytest.fixture(scope="session")
def chart() -> Chart:
    helm = installed()
    if helm is None:
        pytest.skip("helm is not there: make tools (needs Go), or install helm")
    return Chart(helm)
