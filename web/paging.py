"""What the lists of comments have in common: the parameters of a page, and how much fits into it."""

import re
from itertools import accumulate, takewhile
from urllib.parse import urlencode

from comment import MAX_ID
from web.answer import Headers, to_json
from web.request import choice, whole_number
