"""Names of files in words that a terminal can show."""

import unicodedata

# Control characters, characters that turn the direction of text, and bytes of names that are not
# UTF-8, which Python keeps as lone surrogates.
_UNSHOWN = ("Cc", "Cf", "Cs", "Zl", "Zp")


def printable(text: object, keep: str = "") -> str:
    r"""Returns a text in which everything that a terminal would not show as a letter is escaped.

    A name of a file may hold a line break, a colour code of terminals, or bytes that are not UTF-8.
    They become `\n`, `\x1b` or `\xff`, so that a name takes one line and prints everywhere.

    Args:
        text: any object, such as a path.
        keep: characters that stay as they are.
    """
    return "".join(letter if letter in keep else _shown(letter) for letter in str(text))


def _shown(letter: str) -> str:
    if letter.isascii() and letter.isprintable():
        return letter
    if unicodedata.category(letter) not in _UNSHOWN:
        return letter
    if 0xDC80 <= ord(letter) <= 0xDCFF:  # a byte of a name, as os.fsdecode keeps it
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode()
