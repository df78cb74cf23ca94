#!/bin/sh
# What the installer's and the smoke test's scripts do: curl as it comes, and jq.
# Takes ORIGIN, TOKEN_URL, USERNAME, PASSWORD, ADMIN_ID and ADMIN_SECRET.
set -eu

token() { curl -sS --fail "$TOKEN_URL" "$@" | jq -er .access_token; }

# A person logs in with a password, the installer itself as a client.
USER_TOKEN=$(token -d grant_type=password -d client_id=cloud-services -d "username=$USERNAME" -d "password=$PASSWORD" -d scope=openid)
ADMIN_TOKEN=$(token -u "$ADMIN_ID:$ADMIN_SECRET" -d grant_type=client_credentials)
test -n "$ADMIN_TOKEN"

API=$ORIGIN/api/kafkas_mgmt/v1
call() { curl -sS -H "Authorization: Bearer $USER_TOKEN" "$@"; }

test "$(call "$API/kafkas" | jq -er '.total')" = 0
# No type of content is given, so curl says that this is a form.
ID=$(call -X POST "$API/kafkas?async=true" -d '{"name":"smoke","cloud_provider":"aws","region":"us-east-1"}' | jq -er .id)
call "$API/kafkas" | jq -er '.items[] | select(.name == "smoke") | .id' | grep -qx "$ID"
call -G "$API/kafkas" --data-urlencode 'search=name = smoke' | jq -er .items[0].id | grep -qx "$ID"

# The same again is an error, which is told by its kind.
AGAIN=$(call -X POST "$API/kafkas?async=true" -d '{"name":"smoke"}')
test "$(echo "$AGAIN" | jq -er 'select(.kind == "Error") | .code')" = KAFKAS-MGMT-36
echo "$AGAIN" | jq -er .reason >/dev/null

# Accounts are made until there are enough.
COUNT=0
while :; do
    MADE=$(call -X POST "$API/service_accounts" -H 'Content-Type: application/json' -d '{"name":"smoke"}')
    if test "$(echo "$MADE" | jq -r .kind)" = Error; then
        echo "limit $(echo "$MADE" | jq -r .code) after $COUNT"
        break
    fi
    echo "$MADE" | jq -er .client_secret >/dev/null
    COUNT=$((COUNT + 1))
done
call "$API/service_accounts" | jq -er '.items[].id' | while read -r ACCOUNT; do
    test "$(call -o /dev/null -w '%{http_code}' -X DELETE "$API/service_accounts/$ACCOUNT")" = 204
done

test "$(call -o /dev/null -w '%{http_code}' -X DELETE "$API/kafkas/$ID?async=true")" = 202
echo "deleted $ID"
