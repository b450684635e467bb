"""The streams of reports to the tenants' servers."""

from datetime import date

import pytest

from signalbox.domain.reports import stream_of, tenant_of


@pytest.mark.parametrize("tenant_id", ["acme", "a-2026-11-21", "", "reports-x"])
def test_a_stream_tells_its_tenant(tenant_id: str) -> None:
    assert tenant_of(stream_of(tenant_id, date(2026, 12, 5))) == tenant_id
