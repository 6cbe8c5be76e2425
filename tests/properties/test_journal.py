"""The journal under any content: it fits, it is read as it was written, and nothing makes its reader raise."""

from hypothesis import assume, given
from hypothesis import strategies as st

from processor.engine.partition.journal_format import (
    JOB_ID_BYTES,
    METADATA_BYTES,
    NONCE_BYTES,
    Entry,
    EntryState,
    JournalId,
    JournalPlace,
    Plan,
    Range,
    SettledRange,
    UnplannedRange,
    decode,
    encode,
)
from processor.model.reasons import Kind
from tests.unit.test_journal_format import plain

names = st.text("abcABC019-_", min_size=11, max_size=11)
owners = st.builds(JournalId, st.builds(JournalPlace, names, names), names)
bases = st.integers(0, 2**63 - 1)
job_ids = st.none() | st.text(min_size=1, max_size=JOB_ID_BYTES // 4) | st.text("é€𐍈,;|%", min_size=1, max_size=600)
entries = st.builds(
    Entry,
    kind=st.sampled_from(Kind),
    items=st.integers(1, 50_000),
    digest=names,
    state=st.sampled_from(EntryState),
    attempt=st.integers(0, 1_000),
    job_id=job_ids,
)


@st.composite
def journals(draw: st.DrawFn, base: int) -> list[Range]:
    """Return ranges that follow each other, of which Kafka holds the first few."""
    lengths = draw(st.lists(st.integers(1, 100_000), max_size=12))
    acknowledged = draw(st.integers(0, len(lengths)))
    ranges: list[Range] = []
    end = base
    for number, length in enumerate(lengths):
        end += length
        match draw(st.integers(0, 3)):
            case 0:
                ranges.append(SettledRange(end))
            case 1:
                ranges.append(UnplannedRange(end))
            case _:
                nonce = draw(st.binary(min_size=NONCE_BYTES, max_size=NONCE_BYTES))
                seconds = draw(st.integers(0, 2**40))
                own = draw(st.lists(entries, max_size=4))
                for entry in own:
                    entry.until = draw(st.none() | st.integers(end - length + 1, end))
                    entry.job_id = entry.job_id if entry.state is EntryState.ACCEPTED else None
                plan = Plan(end, nonce, seconds, own)
                plan.acknowledged = int(number < acknowledged)
                ranges.append(plan)
    return ranges


@given(owner=owners, base=bases, limit=st.integers(100, METADATA_BYTES), data=st.data())
def test_a_journal_fits_and_is_read_as_it_was_written(
    owner: JournalId, base: int, limit: int, data: st.DataObject
) -> None:
    """A journal fits its limit and reads back as written up to where it ends, but for job ids without room."""
    ranges = data.draw(journals(base))
    written = encode(owner, base, ranges, limit)
    assume(written is not None)
    assert written is not None
    assert len(written.text.encode()) <= limit
    plans = [each for each in ranges if isinstance(each, Plan)]
    assert list(written.plans) == plans[: len(written.plans)]
    assert not any(plan.acknowledged for plan in plans[len(written.plans) :])

    found = decode(written.text, owner, base)
    assert isinstance(found, list)
    read = [each for each in found if isinstance(each, Plan)]
    for plan, copy in zip(written.plans, read, strict=True):
        for entry, own in zip(plan.entries, copy.entries, strict=True):
            assert own.job_id in (entry.job_id, None)
            own.job_id = entry.job_id
        assert plain(copy) == plain(plan)
    settled = {each.end for each in ranges if isinstance(each, SettledRange)}
    assert all(each.end in settled for each in found if isinstance(each, SettledRange))


@given(owner=owners, base=bases, data=st.data())
def test_damage_is_named_and_never_raises(owner: JournalId, base: int, data: st.DataObject) -> None:
    """A journal with one character added, removed or changed is read in part or named as damaged."""
    written = encode(owner, base, data.draw(journals(base)), METADATA_BYTES)
    assume(written is not None and written.text)
    assert written is not None
    at = data.draw(st.integers(0, len(written.text)))
    text = written.text[:at] + data.draw(st.text(max_size=2)) + written.text[at + data.draw(st.integers(0, 2)) :]
    found = decode(text, owner, base)
    if isinstance(found, list):
        ends = [base, *(each.end for each in found)]
        assert ends == sorted(set(ends))


@given(text=st.text(), owner=owners, base=bases)
def test_any_text_is_read_or_named(text: str, owner: JournalId, base: int) -> None:
    """Any text that another tool commits is read or named as a fault."""
    found = decode(text, owner, base)
    assert isinstance(found, str) or not text or found == []
