package keycloak_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/keycloak"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/sso"
)

// Only the SSO itself can say that a client is not there: what it still has would
// be forgotten, and open instances.
func TestNothingIsGoneForANotFoundOfSomebodyElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sso.Options{})
	made, err := w.admin.Ensure(t.Context(), canary("k1"))
	require.NoError(t, err)
	kind, body := "", ""
	proxy := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, "/clients") {
			w.emulated.Handler().ServeHTTP(rw, r)
			return
		}
		rw.Header().Set("Content-Type", kind)
		rw.WriteHeader(http.StatusNotFound)
		_, _ = rw.Write([]byte(body))
	}))
	t.Cleanup(proxy.Close)
	there := w
	there.url = proxy.URL
	behind := there.connect(t, keycloak.Config{ClientSecret: ownSecret})
	for _, c := range []struct{ kind, body string }{
		{"text/html", "<html>404: no such page</html>"}, {"application/json", `{"message":"no route matched"}`}, {"application/json", ""},
	} {
		kind, body = c.kind, c.body
		_, err = behind.Get(t.Context(), made.ID)
		require.ErrorIs(t, err, keycloak.ErrUnavailable, c.body)
		require.NotErrorIs(t, err, keycloak.ErrNotFound, c.body)
		_, err = behind.DeleteByID(t.Context(), made.ID)
		require.ErrorIs(t, err, keycloak.ErrUnavailable, c.body)
		_, err = behind.Delete(t.Context(), made.ClientID)
		require.ErrorIs(t, err, keycloak.ErrUnavailable, c.body)
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete} { // a search that is not there, a client that is shown and not there
		w.emulated.Inject(emulator.Fault{Method: method, Path: "/clients", Mode: emulator.Before, Status: http.StatusNotFound})
		_, err = w.admin.Delete(t.Context(), made.ClientID)
		require.ErrorIs(t, err, keycloak.ErrUnavailable, method)
		w.emulated.ClearFaults()
	}
	existed, err := w.admin.Delete(t.Context(), made.ClientID)
	require.NoError(t, err)
	require.True(t, existed)
}

func TestStrangeRepliesAreFailures(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"a page":        func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>maintenance</html>")) },
		"no content":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"nothing there": func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) },
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/", http.StatusFound)
		},
		"too much": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(append(make([]byte, 0, 10<<20), fmt.Sprintf("[%*s]", 10<<20, "")...))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					w.Header().Set("Content-Type", "application/json")
					_, _ = w.Write([]byte(`{"access_token":"a.b.c","expires_in":300}`))
					return
				}
				answer(w, r)
			}))
			t.Cleanup(server.Close)
			admin, err := keycloak.New(keycloak.Config{Realm: keycloak.Realm{BaseURL: server.URL, Name: realm}, ClientID: "x", ClientSecret: "y"})
			require.NoError(t, err)
			_, err = admin.Delete(t.Context(), "canary-k1")
			require.ErrorIs(t, err, keycloak.ErrUnavailable)
		})
	}
}

// An id becomes part of paths, of rows and of what customers see. One that the realm
// cannot have given is refused where it is of what was asked for, and only there.
func TestNotEveryTextIsAnID(t *testing.T) {
	t.Parallel()
	id, clientID, userID := "", "srvc-acct-1", "4f0c"
	reply := func(rw http.ResponseWriter, value any) {
		rw.Header().Set("Content-Type", "application/json")
		assert.NoError(t, json.NewEncoder(rw).Encode(value))
	}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/token"):
			reply(rw, map[string]any{"access_token": "a.b.c", "expires_in": 300})
		case strings.HasSuffix(r.URL.Path, "/clients") && r.Method == http.MethodGet:
			reply(rw, []map[string]any{{"id": id, "clientId": clientID, "attributes": map[string]string{"rh-org-id": "one"}}})
		case strings.HasSuffix(r.URL.Path, "/clients"):
			rw.Header().Set("Location", "/clients/"+id)
			rw.WriteHeader(http.StatusCreated)
		case strings.HasSuffix(r.URL.Path, "/service-account-user"):
			reply(rw, map[string]any{"id": userID})
		case r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/users/4f0c"):
			rw.WriteHeader(http.StatusNoContent)
		case strings.HasSuffix(r.URL.Path, "/client-secret"):
			reply(rw, map[string]string{"type": "secret", "value": "a-secret"})
		case r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/clients/4f0c"):
			rw.WriteHeader(http.StatusNoContent)
		default:
			t.Errorf("a call that nobody asked for: %s %s", r.Method, r.URL)
			rw.WriteHeader(http.StatusTeapot)
		}
	}))
	t.Cleanup(server.Close)
	admin, err := keycloak.New(keycloak.Config{Realm: keycloak.Realm{BaseURL: server.URL, Name: realm}, ClientID: "x", ClientSecret: "y"})
	require.NoError(t, err)
	theirs := keycloak.Query{Attribute: "rh-org-id", Value: "one", Prefix: "srvc-acct-"}
	spec := keycloak.ClientSpec{ClientID: clientID, TokenClaims: map[string]string{"rh-org-id": "one"}}
	for _, id = range []string{"../../admin?x=%2e%2e#", "<script>", "two\nlines", "nul\x00", "'; DROP TABLE kafka_requests; --", "a.host.example.test", strings.Repeat("x", 37)} {
		clientID = "srvc-acct-1"
		_, err = admin.List(t.Context(), theirs)
		require.ErrorIs(t, err, keycloak.ErrUnavailable, "%q", id)
		require.NotContains(t, err.Error(), id)
		_, err = admin.Find(t.Context(), clientID)
		require.ErrorIs(t, err, keycloak.ErrUnavailable, "%q", id)
		_, err = admin.Delete(t.Context(), clientID)
		require.ErrorIs(t, err, keycloak.ErrUnavailable, "%q", id)
		_, err = admin.Ensure(t.Context(), spec)
		require.ErrorIs(t, err, keycloak.ErrUnavailable, "%q", id)
		clientID = "somebody-else"
		all, err := admin.List(t.Context(), theirs)
		require.NoError(t, err, "%q of a client that was not asked for", id)
		require.Empty(t, all)
	}
	id, clientID = "4f0c", "srvc-acct-1"
	_, err = admin.Ensure(t.Context(), spec)
	require.NoError(t, err)
	userID = "../clients/other"
	_, err = admin.Ensure(t.Context(), spec)
	require.ErrorIs(t, err, keycloak.ErrUnavailable)
}

// A secret goes into headers, forms and property files of others: what would break
// out of a line there is no secret.
func TestNotEveryTextIsASecret(t *testing.T) {
	t.Parallel()
	var value string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/token") {
			_, _ = w.Write([]byte(`{"access_token":"a.b.c","expires_in":300}`))
			return
		}
		assert.NoError(t, json.NewEncoder(w).Encode(map[string]string{"type": "secret", "value": value}))
	}))
	t.Cleanup(server.Close)
	admin, err := keycloak.New(keycloak.Config{Realm: keycloak.Realm{BaseURL: server.URL, Name: realm}, ClientID: "x", ClientSecret: "y"})
	require.NoError(t, err)
	for _, value = range []string{"", "two\nlines", "a word", "nul\x00", "ünicode", strings.Repeat("x", 513)} {
		_, err = admin.Secret(t.Context(), "one")
		require.ErrorIs(t, err, keycloak.ErrUnavailable, "%q", value)
		_, err = admin.Regenerate(t.Context(), "one")
		require.ErrorIs(t, err, keycloak.ErrUnavailable, "%q", value)
		require.NotContains(t, err.Error(), "word")
	}
	value = "It-is_" + strings.Repeat("~", 506)
	got, err := admin.Secret(t.Context(), "one")
	require.NoError(t, err)
	require.Equal(t, value, got.Reveal())
}
