"""The sandbox's page: users and events received, jobs, faults to switch on. Nothing is loaded from elsewhere."""

import base64
import hashlib
import re
from importlib.resources import files

from aiohttp import web

_HTML = files(__package__).joinpath("page.html").read_text(encoding="utf-8")


def _digest(element: str) -> str:
    found = re.search(f"<{element}>(.*?)</{element}>", _HTML, re.DOTALL)
    assert found is not None
    return f"'sha256-{base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()}'"


_POLICY = (
    f"default-src 'none'; style-src {_digest('style')}; script-src {_digest('script')}; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


async def page(_request: web.Request) -> web.Response:
    """GET /: the page."""
    headers = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
    return web.Response(text=_HTML, content_type="text/html", headers=headers)
