"""What a file is, by its first bytes: so that advice fits what was found, and nothing else is taken for text."""

COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}
"""Streams that readers look through, by how they begin."""

HEAD = 512
"""Bytes that are enough to tell."""

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"%PDF-", "a PDF document"),
    (0, b"{\\rtf", "an RTF document"),
    (0, b"%!PS", "a PostScript document"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Microsoft Office document (.doc, .xls, .ppt)"),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"GIF8", "a GIF picture"),
    (0, b"II*\x00", "a TIFF picture"),
    (0, b"MM\x00*", "a TIFF picture"),
    (8, b"WEBP", "a WebP picture"),
    (8, b"WAVE", "a sound file"),
    (4, b"ftyp", "a film, sound or HEIF picture file"),
    (0, b"ID3", "a sound file"),
    (0, b"OggS", "a sound file"),
    (0, b"fLaC", "a sound file"),
    (128, b"DICM", "a DICOM file"),
    (0, b"PAR1", "a Parquet table"),
    (0, b"ORC", "an ORC table"),
    (0, b"ARROW1", "an Arrow file"),
    (0, b"Obj\x01", "an Avro file"),
    (0, b"SQLite format 3\x00", "an SQLite database"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"\x04\x22\x4d\x18", "an LZ4 stream"),
    (0, b"\x1f\x9d", "a compress (.Z) stream"),
    (0, b"\x7fELF", "a program"),
    (0, b"\x80\x04\x95", "a Python pickle"),
)
_OFFICE = ((b"word/", "a Word document (.docx)"), (b"xl/", "an Excel workbook (.xlsx)"), (b"ppt/", "slides (.pptx)"))

_ADVICE = {
    "document": "export its text as .txt, for instance with pdftotext or `soffice --convert-to txt`",
    "workbook": "export its sheets as CSV",
    "slides": "export their text as .txt",
    "picture": "it is read by `workload: images` alone",
    "table": "give it the suffix .parquet, or set format: parquet",
    "archive": "unpack it",
    "stream": "decompress it",
}


def compression(head: bytes) -> str | None:
    """The name of the compression that a file begins with: gzip, bzip2, xz or zstd."""
    for magic, name in COMPRESSED.items():
        if head.startswith(magic) and (name != "bzip2" or _is_bzip2(head)):
            return name
    if len(head) >= 4 and head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F:
        return "zstd"  # a skippable frame, as pzstd writes it
    return None


def kind_of(head: bytes) -> str | None:
    """What a file is that begins so, in words; ``None`` where it may be text."""
    name = compression(head)
    if name:
        return f"a {name} stream"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        known = (words for part, words in _OFFICE if part in head)
        return next(known, "an OpenDocument text" if b"opendocument" in head else "a ZIP archive or Office document")
    return next((words for at, magic, words in _SIGNATURES if head[at : at + len(magic)] == magic), None)


def advice_for(kind: str) -> str:
    """What to do with a file of this kind."""
    fits = next((advice for word, advice in _ADVICE.items() if word in kind), None)
    return f"{fits}; or leave it out of the paths" if fits else "leave it out of the paths"


def _is_bzip2(head: bytes) -> bool:
    """Whether a block or the end of an empty stream follows: text may begin with BZh too."""
    return head[3:4] in b"123456789" and head[4:10] in (b"1AY&SY", b"\x17rE8P\x90")
