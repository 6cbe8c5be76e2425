"""FullStory's server API as the destination."""

from processor.adapters.fullstory.address import base_url_of
from processor.adapters.fullstory.client import HEADERS, FullStory, deletion_path, post_headers, post_path
from processor.adapters.fullstory.key import ApiKey
from processor.adapters.fullstory.transport import Transport

__all__ = [
    "HEADERS",
    "ApiKey",
    "FullStory",
    "Transport",
    "base_url_of",
    "deletion_path",
    "post_headers",
    "post_path",
]
