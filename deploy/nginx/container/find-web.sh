#!/bin/sh
# Tells nginx the addresses of the `web` containers, which come and go. The image's entrypoint runs this before nginx.
# It looks each second, and reloads nginx when they have changed.
#
# nginx can look them up itself for each request, but then it can't keep connections open. (From 1.27.3 on it can:
# `server web:5000 resolve`.)

list=/run/web.servers

addresses() {
  timeout 1 getent ahostsv4 web | sed -n 's/^\([0-9.]*\) *STREAM.*/server \1:5000 fail_timeout=1s;/p' | sort
}

# If there is no address, the last ones stay: perhaps only the name server is away.
watch() {
  while sleep 1; do
    found=$(addresses)
    if [ -n "$found" ] && [ "$found" != "$loaded" ]; then
      echo "$found" > "$list"
      nginx -s reload && loaded=$found
    fi
  done
}

loaded=$(addresses)
echo "${loaded:-server 127.0.0.1:5000 down;}" > "$list"
watch &
