"""A small PDF with text on each page, written by hand, so that no library of ours is on both sides of a test."""

from __future__ import annotations

PAGES = (
    "First, we tokenize the input text. Then a tokenizer feeds token embeddings.",
    "The encoder applies six Transformer blocks with multi-head self-attention.",
    "A pooling layer summarises the sequence. The classifier predicts the label.",
    "We train with cross-entropy and evaluate accuracy on a held-out set.",
    "The appendix lists hyperparameters.",
)


def paper(pages: tuple[str, ...] = PAGES) -> bytes:
    """A PDF of so many pages, each with its line of text."""
    count = len(pages)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{' '.join(f'{4 + 2 * i} 0 R' for i in range(count))}] /Count {count} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for i, text in enumerate(pages):
        content = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode()
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * i} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>".encode()
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
    written, places = b"%PDF-1.4\n", list[int]()
    for number, value in enumerate(objects, 1):
        places.append(len(written))
        written += b"%d 0 obj\n%s\nendobj\n" % (number, value)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    end = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, len(written))
    return written + b"xref\n0 %d\n0000000000 65535 f \n" % size + table + end
