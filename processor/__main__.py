"""`python -m processor`: the command line without an installed script."""

from processor.commands.main import main

main(prog_name="segment-fullstory")
