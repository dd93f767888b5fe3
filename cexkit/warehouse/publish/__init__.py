"""Publishing a warehouse: to HuggingFace in one commit, or to a folder.

What is published is the whole state of one warehouse: its manifest and exactly the files that it names, a
``spec.json`` for programs and a dataset card for people. See ``docs/how-to/publish.md``.
"""

from cexkit.warehouse.publish.losses import Loss
from cexkit.warehouse.publish.plans import Plan
from cexkit.warehouse.publish.publication import Publication, plan, publish

__all__ = ["Loss", "Plan", "Publication", "plan", "publish"]
