"""`python -m deploy.observe`: write the boards into deploy/observe/boards."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from deploy.observe.board_delivery import DELIVERY
from deploy.observe.board_feeds import FEEDS
from deploy.observe.board_flow import FLOW
from deploy.observe.board_matcher import MATCHER
from deploy.observe.panels import Board, render

__all__ = ["BOARDS", "DIRECTORY", "file_of", "main"]

DIRECTORY: Final = Path(__file__).parent / "boards"
BOARDS: Final = (FLOW, FEEDS, DELIVERY, MATCHER)


def file_of(board: Board) -> Path:
    return DIRECTORY / f"{board.uid.removeprefix('sallyport-')}.json"


def main() -> None:
    DIRECTORY.mkdir(exist_ok=True)
    for board in BOARDS:
        file_of(board).write_text(render(board), encoding="utf-8")


if __name__ == "__main__":
    main()
