"""The tabs of the page: their controls, and what happens when they are used."""
