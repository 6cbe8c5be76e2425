"""segment-fullstory: Segment events from Kafka to FullStory."""

__version__ = "0.1.0"
