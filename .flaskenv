# What `flask run` knows PORT as.
FLASK_RUN_PORT=${PORT:-5000}
