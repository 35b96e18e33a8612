"""The admin processes: the `flask …` commands, a file a subject (https://12factor.net/admin-processes)."""

from commands.comments import delete_comment, render
from commands.moderation import purge
from commands.schema import migrate

COMMANDS = (delete_comment, migrate, purge, render)
