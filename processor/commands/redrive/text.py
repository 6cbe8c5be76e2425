"""The accounts of a redrive, for people."""

from processor.commands.common.delivery import show_row
from processor.commands.common.opened_topic import Opened
from processor.commands.common.terminal import TITLE, Terminal
from processor.commands.redrive.account import DeliveryAccount
from processor.commands.redrive.choice import REMEDIES, RedriveAccount


def show_brought(account: RedriveAccount, opened: Opened, target: str) -> None:
    """Print what was brought back into a topic, or sent."""
    terminal = Terminal()
    terminal.print((f"{opened.topic}: {account.selected:,} dead letters selected", TITLE))
    if account.earlier:
        terminal.print(f"{account.earlier:,} more were dealt with by earlier runs of the same selection")
    terminal.print("")
    show_row("sent", account.sent, f"to {target}", terminal)
    for skip, count in account.skipped.most_common():
        show_row(f"skipped: {skip}", count, REMEDIES[skip], terminal)
    if account.parked:
        show_row("  parked", account.parked, f"to {opened.settings.kafka.parking_topic}", terminal)


def show_delivered(account: DeliveryAccount, opened: Opened) -> None:
    """Print what was delivered."""
    show_brought(account.choice, opened, "FullStory")
    terminal = Terminal()
    account.delivery.show(terminal)
    if account.expired:
        show_row("  expired", account.expired, "deleted from the topic before they were read", terminal)
    if account.delivery.left:
        show_row("  left", account.delivery.left, "it was stopped: the same command goes on", terminal)
