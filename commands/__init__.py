"""The admin processes: the `flask …` commands, a file a subject (https://12factor.net/admin-processes)."""

from commands.comments import delete_comment, render
from commands.moderation import comments, purge, rules, threads
from commands.schema import migrate

COMMANDS = (comments, delete_comment, migrate, purge, render, rules, threads)
