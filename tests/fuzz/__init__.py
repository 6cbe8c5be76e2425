"""Damaged records through decoding and mapping: whatever the bytes are, an outcome comes soon, in little memory."""
