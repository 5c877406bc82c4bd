#!/bin/bash
# Is the daemon in this container alive? bash opens the connection itself: the image needs no HTTP client for this.
set -eu

address=${KOPRU__HTTP__LISTEN:-127.0.0.1:8080}
exec 3<>"/dev/tcp/127.0.0.1/${address##*:}"
printf 'GET /health/live HTTP/1.0\r\n\r\n' >&3
read -r -t 3 _ status _ <&3
[ "$status" = 200 ]
