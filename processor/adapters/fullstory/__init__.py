"""FullStory's server API as the destination."""

from processor.adapters.fullstory.address import base_url_of
from processor.adapters.fullstory.client import FullStory, Timeouts
from processor.adapters.fullstory.key import ApiKey

__all__ = ["ApiKey", "FullStory", "Timeouts", "base_url_of"]
