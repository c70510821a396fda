"""Tables that `errors.py` draws from: keys beside each other, nicknames, transliterations, spellings of one sound.

Written for the benchmark and kept apart from the engine's own tables, so that the engine is not asked what it was told.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ACCENTED", "KEYS", "NICKNAMES", "SOUNDS", "TRANSLITERATIONS"]

_ROWS: Final = ("QWERTYUIOP", "ASDFGHJKL", "ZXCVBNM")


def _keys() -> dict[str, str]:
    near: dict[str, str] = {}
    for row, keys in enumerate(_ROWS):
        for at, key in enumerate(keys):
            beside = keys[max(0, at - 1) : at] + keys[at + 1 : at + 2]
            above = _ROWS[row - 1][at : at + 2] if row else ""
            near[key] = beside + above
    return near


KEYS: Final = _keys()
"""Letter -> the keys beside it on an American keyboard."""


def _groups(text: str) -> dict[str, tuple[str, ...]]:
    """Each name of a group (one a line) -> the others of it."""
    table: dict[str, tuple[str, ...]] = {}
    for line in text.split("\n"):
        names = line.split()
        for name in names:
            table[name] = (*table.get(name, ()), *(other for other in names if other != name))
    return table


NICKNAMES: Final = _groups(
    """WILLIAM BILL WILL BILLY
ROBERT BOB ROB BOBBY
RICHARD RICK DICK RICKY
JAMES JIM JIMMY JAMIE
JOHN JACK JOHNNY
MICHAEL MIKE MICKEY
CHARLES CHUCK CHARLIE
THOMAS TOM TOMMY
JOSEPH JOE JOEY
DANIEL DAN DANNY
DAVID DAVE
EDWARD ED EDDIE TED
ANTHONY TONY
STEVEN STEVE
STEPHEN STEVE
CHRISTOPHER CHRIS
MATTHEW MATT
ANDREW ANDY DREW
JOSHUA JOSH
KENNETH KEN KENNY
TIMOTHY TIM
RONALD RON RONNIE
DONALD DON DONNIE
GREGORY GREG
JEFFREY JEFF
LAWRENCE LARRY
PATRICK PAT
SAMUEL SAM SAMMY
BENJAMIN BEN
NICHOLAS NICK
ALEXANDER ALEX
NATHANIEL NATE
ZACHARY ZACH
JONATHAN JON
RAYMOND RAY
LEONARD LEN LENNY
GERALD JERRY
ELIZABETH LIZ BETH BETTY
KATHERINE KATHY KATE
CATHERINE CATHY
MARGARET PEGGY MAGGIE
PATRICIA PAT TRISH
JENNIFER JEN JENNY
JESSICA JESS
REBECCA BECKY
DEBORAH DEBBIE
SUSAN SUE
BARBARA BARB
VICTORIA VICKY
KIMBERLY KIM
CHRISTINA TINA
FRANCISCO PACO PANCHO FRANK
JOSE PEPE
JESUS CHUY
IGNACIO NACHO
GUADALUPE LUPE
ENRIQUE QUIQUE HENRY
ROBERTO BETO
GUILLERMO MEMO
ALEJANDRO ALEX
EDUARDO LALO
MANUEL MANNY
RAFAEL RAFA
ANTONIO TONO TONY
MIGUEL MIKE
JUAN JOHN"""
)
"""Given name -> what else the person is called."""

TRANSLITERATIONS: Final = _groups(
    """MOHAMED MOHAMMED MUHAMMAD MOHAMMAD MOHAMAD
AHMED AHMAD AHMET
HUSSEIN HUSSAIN HUSAIN HUSSIEN
HASSAN HASAN HASSEN
YOUSEF YUSUF YOUSSEF YOUSIF
IBRAHIM EBRAHIM BRAHIM
OMAR UMAR OMER
OSMAN USMAN OTHMAN
KHALED KHALID
MAHMOUD MAHMUD
ABDULLAH ABDALLAH ABDULLA ABDALLA
SULEIMAN SULAIMAN SOLIMAN
SALEH SALIH
QASIM KASSEM QASSEM
MUSTAFA MOSTAFA MOUSTAFA
AISHA AYESHA AICHA
FATIMA FATMA FATEMA
ABDELRAHMAN ABDULRAHMAN ABDIRAHMAN
OSAMA USAMA
JAMAL GAMAL
SHAIKH SHEIKH
CHOWDHURY CHAUDHRY CHOUDHURY
SIDDIQUI SIDDIQI
RAHMAN REHMAN
ZHANG CHANG CHEUNG
CHEN CHAN TAN
WANG WONG
LIU LAU
LI LEE
HUANG HWANG WONG
ZHOU CHOU CHOW
WU NG
LIN LAM
XU HSU
XIE HSIEH
CAI TSAI
CAO TSAO
DENG TENG
HUYNH HOANG
VU VO
NGUYEN NGUYN"""
)
"""Name -> other ways in which the same name is written in Latin letters."""

SOUNDS: Final = (
    ("PH", "F"),
    ("(?<=.)F", "PH"),
    ("CK", "K"),
    ("C(?=[AOU])", "K"),
    ("(?<=.)K(?=[AO])", "C"),
    ("(?<=[^AEIOU])Y", "IE"),
    ("(?<=[^AEIOU])IE", "Y"),
    ("Y$", "I"),
    ("EE", "EA"),
    ("EA", "EE"),
    ("EI", "IE"),
    ("(?<=[AEIOU])([LNRST])\\1", "\\1"),
    ("(?<=[AEIOU])([LNST])(?=[AEIOU])", "\\1\\1"),
    ("Z", "S"),
    ("(?<=[AEIOU])S(?=[AEIOU])", "Z"),
    ("EZ$", "ES"),
    ("ES$", "EZ"),
    ("SCH", "SH"),
    ("MC", "MAC"),
    ("(?<=[AEIOU])H", ""),
    ("^HE", "E"),
    ("V(?=[AEI])", "B"),
    ("B(?=[AEI])", "V"),
    ("E$", ""),
    ("AU", "O"),
    ("SON$", "SEN"),
    ("SEN$", "SON"),
    ("(?<=[BCDFGKLMNPRST])ER", "AR"),
    ("AI", "AY"),
    ("AY", "AI"),
    ("GE", "JE"),
    ("QU", "K"),
    ("LY$", "LEE"),
)
"""A regular expression, and what is written in its place by somebody who heard the name."""

ACCENTED: Final = {"A": "ÁÀ", "E": "ÉÈ", "I": "Í", "O": "ÓÖ", "U": "ÚÜ", "N": "Ñ"}
