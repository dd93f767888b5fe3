"""Metrics, each defined once as a Narwhals function from frame to frame.

The modules here hold definitions only. Call them as ``cexkit.funding_apr(frame)``, as
``frame.crypto.funding_apr()`` or, on Ibis, as ``table.pipe(cexkit.funding_apr)``.

What a definition may rely on
-----------------------------
* It gets a Narwhals frame and returns it with its outputs added (row, rolling) or a new frame
  (summary, cross-venue). Columns that begin with ``_`` are temporary; the core drops them.
* Row and rolling ones append with ``with_columns`` and do nothing else: :mod:`cexkit.analytics._core.plan`
  notes what they append once for each kind of input, and carries it out on blocks of whole instruments
  (of any rows, for row metrics).
* One order-dependent step per ``with_columns``, each with its own ``.over(...)``; nesting them fails
  on most engines.
* It reads inputs through ``number``, ``positive`` and ``text`` of :mod:`cexkit.analytics._core.compat`, so
  that NaN and infinities are null on every engine.
* Anything that engines do differently goes into :mod:`cexkit.analytics._core.compat` and nowhere else.
"""
