# `flask run` has names of its own for two of our variables.
FLASK_RUN_HOST=${HOST:-127.0.0.1}
FLASK_RUN_PORT=${PORT:-5000}
