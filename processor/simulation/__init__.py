"""The worker on virtual time, between a Kafka and a FullStory in memory: what it would do with somebody's numbers.

What decides is the worker itself, put together by `processor.app.assemble`. Only what it talks to is simulated.
"""
