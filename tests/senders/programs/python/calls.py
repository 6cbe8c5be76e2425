"""The calls by the libraries for Python: `python calls.py segment|rudderstack ADDRESS`."""

import sys
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from importlib import import_module

MOMENT = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=timezone(timedelta(hours=1)))
VALUES = {
    "whole": 42,
    "real": 42.0,
    "huge": 2**53 + 1,
    "flag": True,
    "nothing": None,
    "moment": MOMENT,
    "nested": {"a": {"b": 1}},
    "list": [1, 2.5],
    "things": [{"sku": "t"}],
    "day": date(2026, 3, 4),
    "decimal": Decimal("12.30"),
    "beyond": 88888888888888888888888,
    "nan": float("nan"),
}
TRAITS = {"name": "Ada Byron", "email": "ada@tea.example", "plan": "pro", "logins": 42, "born": MOMENT}


def main(of: str, address: str) -> None:
    """Make the calls."""
    client = import_module(f"{of}.analytics.client").Client("key", host=address, gzip=False)
    client.identify("u-1", TRAITS)
    client.track("u-1", "Plain")
    client.track("u-1", "Values", VALUES)
    client.track(42, "Number Id")
    client.track(anonymous_id="a-1", event="Visitor")
    client.track("u-1", "Dated", timestamp=MOMENT)
    client.track("u-1", "Opted Out", integrations={"All": False})
    client.group("u-1", "g-1", {"name": "Tea"})
    client.page("u-1", None, "Cart", {"url": "https://tea.example/cart"})
    client.screen("u-1", None, "Cart")
    client.alias("a-1", "u-1")
    client.flush()
    client.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
