"""A page in the browser: photos without their noise, pairs, and matched colours.

    python -m cycleisp.app

`actions/` does what the page offers, on files, and knows nothing of browsers. It calls what the
scripts call. `tabs/` lays the page out and connects its controls with the work. Only `tabs/` and
`page.py` import Gradio.
"""
