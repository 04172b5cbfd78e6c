"""What a teacher saw and said, by epoch and sample: the store of training on relabelled data.

A `Writer` makes a store while a teacher looks at the views that `Views` draws; a `Store` gives a
student the same views and the teacher's logits, in any order, batch size and number of ranks.
"""

from dynsample.payload.epoch_file import PayloadError
from dynsample.payload.facts import Facts, fingerprint
from dynsample.payload.original import import_original, original_order
from dynsample.payload.store import Store
from dynsample.payload.view import View
from dynsample.payload.views import Views
from dynsample.payload.writer import Writer

__all__ = [
    "Facts",
    "PayloadError",
    "Store",
    "View",
    "Views",
    "Writer",
    "fingerprint",
    "import_original",
    "original_order",
]
