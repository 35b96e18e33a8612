"""What is said in a run: the comments of the pages that are read, and the two that are posted.

Of the two that are posted, every Markdown makes the same HTML, so that what is stored can be compared.
"""

TEXT = "A comment of the usual length, which says that the post was good, but for one thing in the second paragraph."

MARKUP = "A comment of usual *length*, which says that [the post](https://example.org/post) was good, but for `one`."

# What people write under a post: most in plain words, few of them long, some with markup. Each begins with plain words.
SEEDS = (
    TEXT,
    "That is **not** what I see here. With *two* connections, [the manual](https://example.com/pool?size=2#order) is"
    " right:\n\n- the first one does all the work\n- the second one waits in `recv()`\n\n```\npool = Pool(size=2,"
    " timeout=5)\n```",
    "Thanks, this saved my afternoon. I had been looking at the wrong log all the time.",
    "Same here, since the update on Monday. It only happens on the machine with two disks; the others are fine. I'll"
    " try it again tonight with the old version and let you know.",
    "One small correction: the option is called `--jobs`, not `--job`. Otherwise it worked *exactly* as written.",
    "Great write-up!",
    "I read this twice, and I still don't see why the lock is needed at all. If two requests write the same row, the"
    " second one waits for the first one anyway, so what does it protect?\n\nWe took ours out a year ago. Nothing bad"
    " has happened since then, though I admit that we don't have many writers: perhaps five at the same time on a busy"
    " day.",
    "Somebody asked the same at https://example.com/questions/4711/why-is-it-slow, and the answer there was to measure"
    " it first. That's good advice.",
    "You wrote:\n\n> The second read is free.\n\nOnly if it is still in memory. On a small server it often isn't, and"
    " then it takes as long as the first one.",
    "Does anybody know whether this works with version 12 as well? The documentation says nothing about it.",
)
