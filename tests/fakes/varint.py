"""Numbers as Avro and Kafka's records write them: seven bits a byte, the sign in the lowest bit."""


def varint(number: int) -> bytes:
    """Return a number in zigzag encoding, however large."""
    rest = number << 1 if number >= 0 else ~number << 1 | 1
    written = bytearray()
    while rest > 127:
        written.append(rest & 127 | 128)
        rest >>= 7
    return bytes([*written, rest])
