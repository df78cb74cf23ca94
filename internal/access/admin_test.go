package access_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v4"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/access"
	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

const fleet = api + "/admin/kafkas"

func realm(roles any) jwt.MapClaims {
	return jwt.MapClaims{"realm_access": map[string]any{"roles": roles}}
}

func TestRolesOfAdministrators(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, c := range map[string]struct {
		claims jwt.MapClaims
		reads  bool
	}{
		"read":                 {realm([]string{"kas-fleet-manager-admin-read"}), true},
		"write":                {realm([]string{"kas-fleet-manager-admin-write"}), true},
		"full":                 {realm([]string{"kas-fleet-manager-admin-full"}), true},
		"one of many":          {realm([]string{"offline_access", "kas-fleet-manager-admin-read", "uma"}), true},
		"other letters":        {realm([]string{"KAS-Fleet-Manager-ADMIN-read"}), true},
		"none":                 {realm([]string{}), false},
		"no list":              {realm("kas-fleet-manager-admin-full"), false},
		"null":                 {realm(nil), false},
		"not only texts":       {realm([]any{"kas-fleet-manager-admin-full", 7}), false},
		"a part of a name":     {realm([]string{"kas-fleet-manager-admin", "admin-read", "kas-fleet-manager-admin-reader", ""}), false},
		"connectors":           {realm([]string{"cos-fleet-manager-admin-read", "cos-fleet-manager-admin-full"}), false},
		"nothing":              {jwt.MapClaims{"realm_access": nil}, false},
		"another shape":        {jwt.MapClaims{"realm_access": []string{"kas-fleet-manager-admin-full"}}, false},
		"another place":        {jwt.MapClaims{"realm_access": nil, "roles": []string{"kas-fleet-manager-admin-full"}}, false},
		"other letters there":  {jwt.MapClaims{"realm_access": map[string]any{"Roles": []string{"kas-fleet-manager-admin-full"}}}, false},
		"of a client":          {jwt.MapClaims{"realm_access": nil, "resource_access": realm([]string{"kas-fleet-manager-admin-full"})}, false},
		"no name":              {jwt.MapClaims{"username": nil}, false},
		"an id only":           {jwt.MapClaims{"username": nil, "sub": "f:1"}, true},
		"no organisation":      {jwt.MapClaims{"org_id": nil}, true},
		"an id that is no one": {jwt.MapClaims{"sub": []string{"x"}}, true},
	} {
		token := w.admins.token(with(w.staff(), c.claims))
		for _, rule := range access.Rules() {
			if rule.Audience != access.Admin {
				continue
			}
			for range 2 { // the second time the token is remembered
				_, err := w.call(rule.Method, rule.Template, "k1", token)
				if c.reads {
					require.NoError(t, err, "%s: %s", name, rule.Action)
					continue
				}
				require.Error(t, err, name)
				refused(t, err, apierr.NotFound, "")
			}
		}
		_, err := w.call(http.MethodPost, fleet, "", token)
		refused(t, err, apierr.NotFound, "")
	}
	for _, token := range []string{"", "rubbish"} {
		_, err := w.call(http.MethodGet, fleet, "", token)
		require.True(t, apierr.Is(err, apierr.Unauthenticated))
	}
}

// Where no realm of administrators is set, there are none.
func TestNoRealmNoAdministrators(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.config.AdminBaseURL, w.config.AdminRealm = "", "" })
	_, err := w.call(http.MethodGet, fleet, "", w.admins.token(w.staff()))
	require.True(t, apierr.Is(err, apierr.Unauthenticated))
	_, err = w.call(http.MethodGet, fleet, "", w.users.token(with(w.alice(), realm([]string{"kas-fleet-manager-admin-full"}))))
	refused(t, err, apierr.NotFound, "")
}

func TestWhatAdministratorsAskIsWrittenDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	audit := func(token, method, template, path string) map[string]any {
		r := httptest.NewRequest(method, path, nil)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		ctx, _ := w.Authorize(r, template)
		var out bytes.Buffer
		logger := log.New(&out, slog.LevelError+100)
		access.Audit(log.With(ctx, "operation_id", "op1"), logger, access.Served{
			Method: method, Path: r.URL.Path, Template: template, Status: http.StatusTeapot, Elapsed: 5 * time.Millisecond,
		})
		require.NotContains(t, out.String(), "secret")
		if out.Len() == 0 {
			return nil
		}
		line := map[string]any{}
		require.NoError(t, json.Unmarshal(out.Bytes(), &line))
		delete(line, "time")
		return line
	}
	boss := w.admins.token(with(w.staff(), jwt.MapClaims{"sub": "f:1"}))
	want := map[string]any{
		"level": "AUDIT", "msg": "admin request", "type": "audit", "operation_id": "op1", "username": "root", "subject": "f:1",
		"issuer": w.admins.url + "/auth/realms/staff", "roles": []any{"kas-fleet-manager-admin-full"}, "action": "admin-get-kafka",
		"method": "GET", "path": fleet + "/k1", "object": "k1", "status": 418.0, "elapsed": "5ms",
	}
	require.Equal(t, want, audit(boss, http.MethodGet, fleet+"/{id}", fleet+"/k1?token=secret"))

	want["action"], want["object"], want["method"] = "", "", "DELETE"
	require.Equal(t, want, audit(boss, http.MethodDelete, "", fleet+"/k1"), "what does not exist was asked for nevertheless")
	want["username"], want["subject"], want["roles"], want["issuer"], want["action"], want["method"] = "alice", "", nil, w.config.TokenIssuer, "admin-get-kafka", "GET"
	want["object"] = "k1"
	require.Equal(t, want, audit(w.users.token(w.alice()), http.MethodGet, fleet+"/{id}", fleet+"/k1"), "who was refused")

	long := audit(boss, http.MethodGet, fleet+"/{id}", fleet+"/"+strings.Repeat("x", 5000))
	require.Len(t, long["path"], 512)
	require.Nil(t, audit("", http.MethodGet, fleet+"/{id}", fleet+"/k1"), "nobody knows who it was")
	require.Nil(t, audit("rubbish", http.MethodGet, fleet+"/{id}", fleet+"/k1"))
	require.Nil(t, audit(boss, http.MethodGet, kafkas+"/{id}", kafkas+"/k1"))
	require.Nil(t, audit(boss, http.MethodGet, "", api+"/administrators"))
	require.NotNil(t, audit(boss, http.MethodGet, "", api+"/admin"))
}
