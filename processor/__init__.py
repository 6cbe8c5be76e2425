"""segment-fullstory: Segment events from Kafka to FullStory."""

from pathlib import Path

__version__ = "0.1.0"


def shipped_folder() -> Path:
    """Return the folder of the schemas that come with the worker; an installed package holds its own copy."""
    package = Path(__file__).parent
    installed = package / "schemas"
    return installed if installed.is_dir() else package.parent / "schemas"
