#!/bin/sh
# Starts Tollgate as CGI from a plain user account. It passes no arguments on: web servers turn query strings into them.
home=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}
TOLLGATE_CONF=${TOLLGATE_CONF:-$home/tollgate/etc/tollgate/tollgate.conf}
export TOLLGATE_CONF
# From the rewrite rules, where the host lets Authorization through in no other way.
authorization=${TOLLGATE_AUTHORIZATION:-${REDIRECT_TOLLGATE_AUTHORIZATION:-}}
if [ -z "${HTTP_AUTHORIZATION:-}" ] && [ -n "$authorization" ]; then
        HTTP_AUTHORIZATION=$authorization
        export HTTP_AUTHORIZATION
fi
exec "${TOLLGATE_FCGI:-$home/tollgate/libexec/tollgate/tollgate.fcgi}"
