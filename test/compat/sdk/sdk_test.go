package sdk

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const fault = `{"id":"36","kind":"Error","href":"/e/36","code":"KAFKAS-MGMT-36","reason":"taken","operation_id":"x"}`

const instance = `{"id":"k1","kind":"Kafka","href":"/k1","status":"ready","name":"n","owner":"o","cloud_provider":"aws","region":"r",
	"multi_az":true,"reauthentication_enabled":true,"created_at":"2026-11-22T10:00:00.123Z","updated_at":"2026-11-22T10:00:00Z",
	"instance_type":"standard","size_id":"x1","unheard_of":[1]}`

// answering gives a client of a server that answers everything alike.
func answering(t *testing.T, status int, contentType, body string) *Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return &Client{Base: server.URL, HTTP: server.Client()}
}

// edited replaces a text that must be there.
func edited(t *testing.T, text, old, fresh string) string {
	t.Helper()
	require.Equal(t, 1, strings.Count(text, old), old)
	return strings.Replace(text, old, fresh, 1)
}

// TestWhatAnSDKCannotRead: each broken reply is refused for the reason that it is broken for.
func TestWhatAnSDKCannotRead(t *testing.T) {
	t.Parallel()
	page := `{"kind":"KafkaRequestList","page":1,"size":1,"total":1,"items":[` + instance + `]}`
	_, err := answering(t, 200, "application/json", instance).GetKafka(t.Context(), "k1")
	require.NoError(t, err)
	_, _, err = answering(t, 200, "application/vnd.kafkas+json; charset=utf-8", page).ListKafkas(t.Context())
	require.NoError(t, err)
	for name, c := range map[string]struct{ kind, old, fresh, why string }{
		"another type of content": {"application/problem+json", "", "", "undefined response type"},
		"text":                    {"text/html", "", "", "undefined response type"},
		"a null cluster":          {"", `"id":"k1"`, `"id":"k1","cluster_id":null`, "cluster_id is null"},
		"an empty cluster":        {"", `"id":"k1"`, `"id":"k1","cluster_id":""`, "cluster_id is there and empty"},
		"a cluster of the fleet":  {"", `"id":"k1"`, `"id":"k1","cluster_id":"c1"`, "as if the customer owned"},
		"no multi_az":             {"", `"multi_az":true,`, ``, "multi_az is missing"},
		"a null flag":             {"", `"reauthentication_enabled":true`, `"reauthentication_enabled":null`, "reauthentication_enabled is null"},
		"a time that is none":     {"", `2026-11-22T10:00:00Z`, `2026-11-22 10:00`, "parsing time"},
		"an empty option":         {"", `"id":"k1"`, `"id":"k1","failed_reason":""`, "failed_reason is there and empty"},
		"a number too large":      {"", `"id":"k1"`, `"id":"k1","max_partitions":2147483648`, "int32"},
		"half a number":           {"", `"id":"k1"`, `"id":"k1","max_partitions":1.5`, "int32"},
		"a null part":             {"", `"id":"k1"`, `"id":"k1","max_data_retention_size":null`, "max_data_retention_size is null"},
		"items null":              {"", `[` + instance + `]`, `null`, "items is null"},
		"no items":                {"", `,"items":[` + instance + `]`, ``, "items is missing"},
		"no size":                 {"", `"size":1,`, ``, "size is missing"},
		"size 0 of a full page":   {"", `"size":1`, `"size":0`, "has size 0"},
		"a total too large":       {"", `"total":1`, `"total":4294967297`, "int32"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kind, body := "application/json", page
			if c.kind != "" {
				kind = c.kind
			}
			if c.old != "" {
				body = edited(t, page, c.old, c.fresh)
			}
			_, _, err := answering(t, 200, kind, body).ListKafkas(t.Context())
			require.ErrorContains(t, err, c.why)
		})
	}
	_, err = answering(t, 200, "application/json", edited(t, instance, `"id":"k1"`, `"id":"k1","billing_model":"enterprise","cluster_id":"c1"`)).
		GetKafka(t.Context(), "k1")
	require.NoError(t, err, "a cluster of the customer")
	_, err = answering(t, 200, "application/json", edited(t, instance, `"id":"k1"`, `"id":"k1","expires_at":null`)).GetKafka(t.Context(), "k1")
	require.NoError(t, err, "the one field that may be null")
}

// TestWhenAnErrorIsTyped: only for statuses that the operation declares, and only as JSON.
func TestWhenAnErrorIsTyped(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status     int
		kind, body string
		code, text string
	}{
		"declared":            {409, "application/json", fault, "KAFKAS-MGMT-36", "409 Conflict"},
		"undeclared":          {422, "application/json", fault, "", "422 Unprocessable Entity"},
		"busy":                {429, "application/json", fault, "", "429 Too Many Requests"},
		"away":                {503, "application/json", fault, "", "503 Service Unavailable"},
		"problem":             {409, "application/problem+json", fault, "", "undefined response type"},
		"no reason":           {409, "application/json", edited(t, fault, `"reason":"taken",`, ``), "", "reason is missing"},
		"no code":             {409, "application/json", edited(t, fault, `"code":"KAFKAS-MGMT-36",`, ``), "", "code is missing"},
		"a code that is none": {409, "application/json", edited(t, fault, `"KAFKAS-MGMT-36"`, `36`), "", "string"},
		"a page":              {500, "text/html", "<html>", "", "undefined response type"},
		"nothing":             {500, "application/json", "", "", "end of JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := answering(t, c.status, c.kind, c.body).CreateKafka(t.Context(), Order{"name": "n"})
			require.ErrorContains(t, err, c.text)
			require.Equal(t, c.code, FaultOf(err).Code)
			require.Equal(t, c.code == "", Lost(err))
		})
	}
	_, _, err := answering(t, 404, "application/json", fault).ListKafkas(t.Context())
	require.True(t, Lost(err), "a list has no 404")
	require.True(t, Lost(answering(t, 409, "application/json", fault).DeleteKafka(t.Context(), "k1")), "a deletion has no 409")
	require.ErrorContains(t, answering(t, 202, "application/json", "{}").DeleteKafka(t.Context(), "k1"), "id is missing")
	require.NoError(t, answering(t, 202, "application/json", "").DeleteKafka(t.Context(), "k1"))
}

// TestWhatIsSent: the encoding of queries, bodies and paths is the programs'.
func TestWhatIsSent(t *testing.T) {
	t.Parallel()
	var seen *http.Request
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		seen, body = r, string(raw)
	}))
	defer server.Close()
	c := &Client{Base: server.URL, HTTP: server.Client(), Agent: "rhoas-cli_1"}
	_, _, err := c.ListKafkas(t.Context(), "search", "name like %x%", "size", "10")
	require.Error(t, err)
	require.Equal(t, fleet+"/kafkas?search=name+like+%25x%25&size=10", seen.RequestURI)
	require.Equal(t, "application/json", seen.Header.Get("Accept"))
	require.Equal(t, "rhoas-cli_1", seen.UserAgent())
	require.Empty(t, seen.Header.Get("Content-Type"))
	_, err = c.CreateKafka(t.Context(), Order{"name": "n", "cluster_id": ""})
	require.Error(t, err)
	require.JSONEq(t, `{"name":"n","cluster_id":""}`, body)
	require.Equal(t, "async=true", seen.URL.RawQuery)
	_, err = c.GetKafka(t.Context(), "a/b%")
	require.Error(t, err)
	require.Equal(t, fleet+"/kafkas/a%2Fb%25", seen.RequestURI)
}

func TestTokensAreReadAsTheToolsReadThem(t *testing.T) {
	t.Parallel()
	for token, why := range map[string]string{
		"opaque":              "1 parts",
		"a.!.c":               "illegal base64",
		"a.eyJleHAiOiIxIn0.c": "time of expiry",
	} {
		_, err := Claims(token)
		require.ErrorContains(t, err, why, token)
	}
	claims, err := Claims("a.eyJleHAiOjF9.c")
	require.NoError(t, err)
	require.InEpsilon(t, 1.0, claims["exp"], 0)
	at, err := SSO{URL: "http://sso/realms/one"}.connect("token")
	require.NoError(t, err)
	require.Equal(t, "http://sso/auth/realms/one/protocol/openid-connect/token", at)
}
